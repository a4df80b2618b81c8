"""Samples of a request that are drawn together: neighbours, since seeds count up."""

from __future__ import annotations

from collections.abc import Iterable


def runs_of(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Cut ascending indices into runs (first, length) of neighbours.

    Examples
    --------
    >>> runs_of([0, 1, 2, 5])
    [(0, 3), (5, 1)]
    """
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
