from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError
from difficulty.estimators.contrast import contrast_curve, variance_curve


@pytest.mark.parametrize(("n", "right"), [(2, 1), (5, 0), (5, 2), (6, 6), (7, 3)])
def test_equals_every_group_drawn_by_hand(n: int, right: int) -> None:
    rewards = np.array([1] * right + [0] * (n - right))
    sizes = np.arange(1, n + 1)
    by_hand = [np.mean([0 < rewards[list(g)].sum() < k for g in combinations(range(n), k)]) for k in sizes]
    spread = [np.mean([4 * rewards[list(g)].var() for g in combinations(range(n), k)]) for k in sizes]
    assert_allclose(contrast_curve([n], [right], sizes)[0], by_hand, atol=1e-12)
    assert_allclose(variance_curve([n], [right], sizes)[0], spread, atol=1e-12)


def test_unbiased_for_the_rate_behind_the_counts() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(8, 0.2, size=200_000)
    n = np.full(len(right), 8)
    assert contrast_curve(n, right, [4]).mean() == pytest.approx(1 - 0.2**4 - 0.8**4, abs=0.005)
    assert variance_curve(n, right, [4]).mean() == pytest.approx(4 * 0.16 * 0.75, abs=0.005)


def test_what_was_not_recorded_is_nan() -> None:
    assert np.isnan(contrast_curve([3, 4], [1, -1], [4])).all()
    assert np.isnan(variance_curve([3, 4], [1, -1], [4])).all()


def test_counts_that_cannot_be_are_refused() -> None:
    for curve in (contrast_curve, variance_curve):
        with pytest.raises(InvalidInputError, match="n_correct"):
            curve([3], [4], [2])
