"""Rows of different lengths, one after the other in one array."""

from __future__ import annotations

from collections.abc import Sequence
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


def like_lengths(lengths: Sequence[int], most: int, *, multiple: int = 1) -> list[list[int]]:
    """Split rows into batches of like length: each of one row, or of at most `most` entries after its rows
    are padded to the longest of them, and to a multiple of `multiple`.

    Examples
    --------
    >>> like_lengths([30, 10, 16, 32], 64)
    [[1, 2], [0, 3]]
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = -(-lengths[row] // multiple) * multiple
        if not batches or (len(batches[-1]) + 1) * padded > most:
            batches.append([])
        batches[-1].append(row)
    return batches


def places(starts: NDArray[np.integer[Any]], sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return the places of all entries of rows that start there and are so long.

    Examples
    --------
    >>> places(np.array([10, 4]), np.array([2, 3]))
    array([10, 11,  4,  5,  6])
    """
    offsets = offsets_of(sizes)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
