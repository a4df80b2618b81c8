"""Rows of different lengths, one after the other in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def offsets_of(sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return where each row starts, and where the last one ends.

    Examples
    --------
    >>> offsets_of(np.array([2, 0, 3]))
    array([0, 2, 2, 5])
    """
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])


def places(starts: NDArray[np.integer[Any]], sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return the places of all entries of rows that start there and are so long.

    Examples
    --------
    >>> places(np.array([10, 4]), np.array([2, 3]))
    array([10, 11,  4,  5,  6])
    """
    offsets = offsets_of(sizes)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
