"""Rows of numbers: weights as shares of their sum, and means of what is known."""

from __future__ import annotations

import numpy as np

from difficulty.arithmetic.arrays import FloatArray


def row_shares(weights: FloatArray) -> FloatArray:
    """Return weights, shape (R, C), as shares of their row; a row without any shares alike.

    Examples
    --------
    >>> row_shares(np.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1 / max(weights.shape[1], 1))


def row_mean(values: FloatArray) -> FloatArray:
    """Return the mean of each row without NaN; NaN where a row has none, shape (P,)."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float64)
