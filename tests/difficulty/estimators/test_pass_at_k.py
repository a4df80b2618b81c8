from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from difficulty.estimators.pass_at_k import pass_at_k, pass_at_k_curve


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_agrees_with_enumeration_of_all_subsets(n: int) -> None:
    for n_correct in range(n + 1):
        labels = [1] * n_correct + [0] * (n - n_correct)
        for k in range(1, n + 1):
            subsets = list(combinations(labels, k))
            expected = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, n_correct, k) == pytest.approx(expected, abs=1e-12)


def test_large_counts_agree_with_exact_integers() -> None:
    for n, c, k in [(10_000, 3, 5_000), (10_000, 5_000, 3), (2_000, 700, 700), (10_000, 1, 10_000)]:
        miss = comb(n - c, k) / comb(n, k) if comb(n - c, k) else 0.0
        assert pass_at_k(n, c, k) == pytest.approx(1 - miss, abs=1e-12)


def test_arrays_broadcast_and_are_nan_where_undefined() -> None:
    estimate = pass_at_k(np.array([[4], [2]]), np.array([[1], [-1]]), np.array([1, 3]))
    np.testing.assert_allclose(estimate, [[0.25, 0.75], [np.nan, np.nan]])
    assert np.isnan(pass_at_k(np.array([3]), np.array([2]), 4))[0]


def test_scalars_raise_where_undefined() -> None:
    with pytest.raises(InvalidInputError, match=r"pass@5 needs at least 5 graded samples, got n=4"):
        pass_at_k(4, 1, 5)
    with pytest.raises(InvalidInputError, match="n_correct=-1"):
        pass_at_k(4, -1, 2)


@pytest.mark.parametrize(
    ("n", "n_correct", "k", "message"),
    [
        (4, 5, 1, "n_correct=5 with n=4"),
        ([4], [-2], 1, "n_correct=-2"),
        ([-1], [-1], 1, "n must be >= 0"),
        (4, 1, 0, "k must be >= 1"),
        (4.5, 1, 1, "whole numbers"),
        ([4, 4], [1, 1, 1], 1, "broadcast"),
    ],
)
def test_contradictions_raise(n: object, n_correct: object, k: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        pass_at_k(n, n_correct, k)  # type: ignore[arg-type]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_monotone_in_k_and_bounded_by_mean_and_one(counts: tuple[int, int]) -> None:
    n, n_correct = counts
    curve = pass_at_k_curve([n], [n_correct], np.arange(1, n + 1))[0]
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[0] == pytest.approx(n_correct / n)
    assert curve[-1] == pytest.approx(float(n_correct > 0))


def test_curve_repeats_pass_at_k_per_prompt() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(0, 12, size=50)
    n_correct = rng.integers(0, n + 1)
    ks = np.array([1, 3, 8])
    np.testing.assert_array_equal(
        pass_at_k_curve(n, n_correct, ks), pass_at_k(n[:, None], n_correct[:, None], ks)
    )
    assert pass_at_k_curve([], [], ks).shape == (0, 3)
    with pytest.raises(InvalidInputError, match="one shape"):
        pass_at_k_curve([1, 2], [1], ks)
