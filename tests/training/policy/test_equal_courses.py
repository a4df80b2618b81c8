"""Courses that are worth the same are ties, which the first wins: no processor's rounding errors choose."""

from __future__ import annotations

import numpy as np

from training.policy.gaps import filled
from training.policy.offers import Believed, choose


def test_courses_of_equal_worth_are_believed_equal() -> None:
    """The same values in another order, under equal weights."""
    rng = np.random.default_rng(0)
    value = rng.random(301).astype(np.float32)
    values = np.stack([rng.permutation(value) for _ in range(64)], axis=1)
    weights = np.full((40, 301), 1 / 301, dtype=np.float32)
    believed = Believed.by(weights, values, values[:, ::-1])
    assert np.ptp(believed.value) == np.ptp(believed.cost) == 0
    assert not choose(believed, np.ones((2, 64), dtype=bool), np.array([0.5, 0.25])).any()


def test_a_gap_is_filled_by_the_first_of_columns_that_are_equally_near() -> None:
    """Of each three columns the first two lie as far above the third as below it, and it has a gap."""
    rng = np.random.default_rng(1)
    usual, away = rng.integers(0, 512, (2, 150, 64)) / 1024
    table = np.stack([usual + away, usual - away, usual], axis=2).reshape(150, -1).astype(np.float32)
    table[0, 2::3] = np.nan
    apart = away[0] - away[1:].mean(axis=0)
    np.testing.assert_allclose(filled(table)[0, 2::3], usual[0] + apart, atol=1e-6)
