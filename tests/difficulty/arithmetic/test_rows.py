"""Weights become shares of their row."""

from __future__ import annotations

import numpy as np

from difficulty.arithmetic.rows import row_shares


def test_each_row_sums_to_one_and_a_row_without_weight_shares_alike() -> None:
    shares = row_shares(np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]))
    assert shares.tolist() == [[0.25, 0.75, 0.0], [1 / 3, 1 / 3, 1 / 3]]


def test_rows_without_columns_stay_without() -> None:
    assert row_shares(np.empty((2, 0))).shape == (2, 0)
