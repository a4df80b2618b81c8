"""Wording embedding: close for like texts, equal when saved or fitted elsewhere, independent of the batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.features.text.embedding import TextEmbedding

_ADD = [f"{name} has {i} apples and buys {i * 7} more" for i in range(15) for name in ("Ann", "Bo")]
_CODE = [f"def f(x):\n    return x.{method}({i})" for i in range(15) for method in ("pop", "index")]


@pytest.fixture(scope="module")
def fitted() -> TextEmbedding:
    return TextEmbedding(dims=4, seed=3).fit(_ADD + _CODE)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_like_texts_lie_close(fitted: TextEmbedding) -> None:
    story, other_story, code = fitted.transform(
        [
            "Cy has 99 pears and buys 3 more",
            "Ann has 5 apples and buys 8 more",
            "def f(x):\n    return x.pop(77)",
        ]
    )
    assert _cosine(story, other_story) > 0.8
    assert _cosine(story, code) < 0.3


def test_only_the_length_of_numbers_counts(fitted: TextEmbedding) -> None:
    a, b, c = fitted.transform(["Ann has 12 apples", "Ann has 98 apples", "Ann has 1234567 apples"])
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_rows_do_not_depend_on_the_batch(fitted: TextEmbedding) -> None:
    texts = [*_CODE, "", *_ADD] * 9  # more than one chunk
    together = fitted.transform(texts)
    for index in (0, 29, 30, 31, 300, len(texts) - 1):
        np.testing.assert_array_equal(together[index], fitted.transform([texts[index]])[0])
    assert np.isfinite(together).all()
    assert fitted.transform([]).shape == (0, 4)


def test_restored_embedding_is_equal(fitted: TextEmbedding) -> None:
    restored = TextEmbedding.from_arrays(fitted.to_arrays())
    np.testing.assert_array_equal(restored.transform(_CODE), fitted.transform(_CODE))
    assert (restored.dims, restored.n_buckets, restored.seed) == (4, 2048, 3)


def test_other_process_gives_equal_bytes(fitted: TextEmbedding, tmp_path: Path) -> None:
    path = tmp_path / "embedding.npz"
    np.savez(path, **fitted.to_arrays())
    code = (
        "import sys, numpy as np; from difficulty.features.text.embedding import TextEmbedding;"
        f"arrays = np.load({str(path)!r}, allow_pickle=False);"
        f"again = TextEmbedding(dims=4, seed=3).fit({_ADD + _CODE!r}).transform({_ADD!r});"
        f"sys.stdout.write(TextEmbedding.from_arrays(arrays).transform({_ADD!r}).tobytes().hex());"
        "sys.stdout.write(' ' + again.tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = fitted.transform(_ADD).tobytes().hex()
    assert run.stdout.split() == [expected, expected], "restored, and fitted again, in another process"


def test_what_is_rounded_to_zero_has_no_sign(fitted: TextEmbedding) -> None:
    zero = fitted.projection_ == 0
    assert zero.any()
    assert not np.signbit(fitted.projection_[zero]).any()


def test_small_logs_get_few_dimensions() -> None:
    assert TextEmbedding(dims=32).fit(_ADD[:20]).transform(["a"]).shape == (1, 2)
    assert TextEmbedding(dims=32).fit(["only"]).transform(["only"]).shape == (1, 1)


def test_use_before_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        TextEmbedding().transform(["a"])
    with pytest.raises(NotFittedError, match="fit"):
        TextEmbedding().to_arrays()


def test_wrong_parameters_and_arrays_are_refused(fitted: TextEmbedding) -> None:
    with pytest.raises(InvalidInputError, match="dims"):
        TextEmbedding(dims=0)
    with pytest.raises(InvalidInputError, match="power of two"):
        TextEmbedding(n_buckets=1000)
    with pytest.raises(InvalidInputError, match="got none"):
        TextEmbedding().fit([])
    arrays = fitted.to_arrays()
    with pytest.raises(InvalidInputError, match="projection"):
        TextEmbedding.from_arrays({name: arrays[name] for name in ("parameters", "inverse_frequency")})
    with pytest.raises(InvalidInputError, match="rows"):
        TextEmbedding.from_arrays({**arrays, "projection": arrays["projection"][1:]})
