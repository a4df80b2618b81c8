"""Folds never cut a group."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from difficulty.predictor.group_folds import group_folds


def test_folds_never_cut_a_group_and_are_even() -> None:
    groups = np.array([f"g{index // 3}" for index in range(60)])
    folds = group_folds(groups, n_folds=5, seed=0)
    assert all(len(set(folds[groups == name])) == 1 for name in set(groups))
    assert_array_equal(np.bincount(folds), [12] * 5)
    assert (group_folds(groups, n_folds=5, seed=1) != folds).any()
    assert set(group_folds(np.array(["a", "b"]), n_folds=5, seed=0)) == {0, 1}
