"""Prompt features: one table, NaN where nothing is known, restored from arrays."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, InvalidPromptError, NotFittedError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.features.text.statistics import TEXT_STATISTICS
from difficulty.prompt import Prompt

_PROMPTS = [Prompt(text=f"Compute {i} * {i + 5} and add {i}") for i in range(40)]
_HIDDEN = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)


def test_columns_have_names_and_blocks() -> None:
    features = PromptFeatures(embedding_dims=3, hidden_dims=2).fit(_PROMPTS, _HIDDEN)
    table = features.transform(_PROMPTS, _HIDDEN)
    assert [name.split("_")[0] for name in np.array(features.names_)[features.blocks_ == 1]] == [
        "wording"
    ] * 3
    assert np.bincount(features.blocks_)[1:].tolist() == [3, 2]
    assert PromptFeatures(embedding_dims=0, hidden_dims=2).fit(_PROMPTS, _HIDDEN).blocks_.max() == 1
    assert table.dtype == np.float32
    assert table.shape == (40, len(features.names_))
    assert features.names_ == (
        *TEXT_STATISTICS,
        *(f"wording_{index}" for index in range(3)),
        *(f"hidden_{index}" for index in range(2)),
    )
    assert table[7, features.names_.index("numbers")] == 3
    assert np.isfinite(table).all()


def test_hidden_columns_are_uncorrelated_with_unit_variance() -> None:
    table = (
        PromptFeatures(embedding_dims=0, hidden_dims=4).fit(_PROMPTS, _HIDDEN).transform(_PROMPTS, _HIDDEN)
    )
    np.testing.assert_allclose(np.cov(table[:, -4:].T, bias=True), np.eye(4), atol=1e-5)


def test_gold_answer_and_id_are_no_features() -> None:
    features = PromptFeatures(embedding_dims=2).fit(_PROMPTS)
    plain = features.transform([Prompt(text="Compute 1 + 1")])
    marked = features.transform([Prompt(id="x", text="Compute 1 + 1", gold="2", prompt_tokens=9)])
    np.testing.assert_array_equal(plain, marked)


def test_messages_are_read_like_text() -> None:
    features = PromptFeatures(embedding_dims=2).fit(_PROMPTS)
    text = features.transform([Prompt(text="Be brief\nCompute 1 + 1")])
    messages = ({"role": "system", "content": "Be brief"}, {"role": "user", "content": "Compute 1 + 1"})
    np.testing.assert_array_equal(text, features.transform([Prompt(messages=messages)]))


def test_prompts_without_text_are_nan() -> None:
    features = PromptFeatures(embedding_dims=2, hidden_dims=2).fit(_PROMPTS, _HIDDEN)
    hidden = _HIDDEN[:2].copy()
    hidden[0] = np.nan
    table = features.transform([Prompt(id="a"), _PROMPTS[1]], hidden)
    assert np.isnan(table[0]).all()
    assert np.isfinite(table[1]).all()
    assert np.isnan(PromptFeatures().fit(_PROMPTS).transform([Prompt(id="a")])).all()


def test_fit_leaves_out_prompts_without_text() -> None:
    mixed = PromptFeatures(embedding_dims=2).fit([Prompt(id="a"), *_PROMPTS])
    plain = PromptFeatures(embedding_dims=2).fit(_PROMPTS)
    np.testing.assert_array_equal(mixed.transform(_PROMPTS), plain.transform(_PROMPTS))


def test_available_tells_whether_there_is_text() -> None:
    assert not PromptFeatures.available([Prompt(id="a"), Prompt(id="b")])
    assert not PromptFeatures.available([])
    assert PromptFeatures.available([Prompt(id="a"), Prompt(text="b")])
    with pytest.raises(InvalidPromptError, match="no prompt has a text"):
        PromptFeatures().fit([Prompt(id="a")])


@pytest.mark.parametrize("embedding_dims", [0, 3])
@pytest.mark.parametrize("hidden", [None, _HIDDEN])
def test_restored_features_are_equal(embedding_dims: int, hidden: np.ndarray | None) -> None:
    features = PromptFeatures(embedding_dims=embedding_dims, hidden_dims=2, seed=1).fit(_PROMPTS, hidden)
    restored = PromptFeatures.from_arrays(features.to_arrays())
    assert restored.names_ == features.names_
    np.testing.assert_array_equal(restored.transform(_PROMPTS, hidden), features.transform(_PROMPTS, hidden))


def test_wrong_use_is_refused() -> None:
    features = PromptFeatures(embedding_dims=2).fit(_PROMPTS)
    with pytest.raises(NotFittedError, match="fit"):
        PromptFeatures().transform(_PROMPTS)
    with pytest.raises(InvalidInputError, match="given to transform only"):
        features.transform(_PROMPTS, _HIDDEN)
    with pytest.raises(InvalidInputError, match="given to fit only"):
        PromptFeatures().fit(_PROMPTS, _HIDDEN).transform(_PROMPTS)
    with pytest.raises(InvalidInputError, match="12 columns"):
        PromptFeatures().fit(_PROMPTS, _HIDDEN).transform(_PROMPTS, _HIDDEN[:, :5])
    with pytest.raises(InvalidInputError, match=r"\(40, H\)"):
        PromptFeatures().fit(_PROMPTS, _HIDDEN[:7])
    with pytest.raises(InvalidInputError, match="at least 0"):
        PromptFeatures(embedding_dims=-1)
    arrays = features.to_arrays()
    with pytest.raises(InvalidInputError, match="train again"):
        PromptFeatures.from_arrays({**arrays, "statistics": np.array([1.0])})
    with pytest.raises(InvalidInputError, match="parameters"):
        PromptFeatures.from_arrays({"statistics": arrays["statistics"]})
