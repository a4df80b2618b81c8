"""The best course for everybody at each price, believed in order of what it asks to be believed.

Static courses come first, then known stop rules, then all courses; each next one replaces the one before only
where its paired gain exceeds its standard error. With thousands of columns the best of them is lucky; this
order is what keeps the luck small (`notebooks/LOG.md`, 2026-11-29).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.policy.bench import Bench, paired

__all__ = ["best_for_all", "best_static"]

# Standard errors by which a course must win over what asks for less belief.
_ADMITTED: Final = 1.0


def best_static(bench: Bench) -> NDArray[np.intp]:
    """Return the best static course at each price, shape (L,)."""
    columns = np.flatnonzero(bench.static)
    worth = _worth(bench)[:, columns]
    return np.asarray(columns[worth.argmax(axis=1)])


def best_for_all(bench: Bench, *, admitted: float = _ADMITTED) -> NDArray[np.intp]:
    """Return the course that everybody gets at each price, shape (L,).

    Parameters
    ----------
    bench : Bench
        Training prompts.
    admitted : float
        Standard errors that a gain must exceed.
    """
    worth = _worth(bench)
    chosen = best_static(bench)
    for columns in (np.flatnonzero(bench.known), np.arange(worth.shape[1])):
        for level, price in enumerate(bench.prices):
            now, new = chosen[level], columns[worth[level, columns].argmax()]
            if new != now:
                gain = bench.value[:, new] - bench.value[:, now]
                gain = gain - price * (bench.cost[:, new] - bench.cost[:, now])
                mean, error = paired(gain, bench.groups)
                if mean > admitted * error:
                    chosen[level] = new
    return chosen


def _worth(bench: Bench) -> NDArray[np.float64]:
    """Return the mean worth of every course at every price, shape (L, C)."""
    value, cost = bench.value.mean(axis=0, dtype=float), bench.cost.mean(axis=0, dtype=float)
    return np.asarray(value - bench.prices[:, None] * cost)
