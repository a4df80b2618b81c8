"""The best course for everybody at each price, believed in order of what it asks to be believed.

Static courses come first, then stop rules on the same generator, then all that people know, then all courses.
Where samples are other ones, or courses are thousands, the best is lucky, and replaces the one before only
where its paired gain exceeds its standard error; known rules compete on equal terms between generators, since
a tie broken in favour of the static mix's own loses as often as it wins (`notebooks/LOG.md`, 2026-11-29).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.policy.bench import Bench, paired, paired_at

# Standard errors by which a course must win over what asks for less belief.
_ADMITTED: Final = 1.0
# Standard errors by which gains of stop rules are lowered before the best is taken: a rule that saves a fifth
# at the same answers is sure, one that answers better by luck is not.
_SURE: Final = 2.0


def best_static(bench: Bench) -> NDArray[np.intp]:
    """Return the best static course at each price, shape (L,)."""
    columns = np.flatnonzero(bench.static)
    worth = _worth(bench)[:, columns]
    return np.asarray(columns[worth.argmax(axis=1)])


def stopping_early(bench: Bench, *, admitted: float = _ADMITTED) -> NDArray[np.intp]:
    """Return the best static course at each price, or one of its generator that stops early, shape (L,).

    Samples of one generator say the same of both, so that a small saving at equal accuracy can be believed;
    of all rules the one is taken whose gain is surest.

    Parameters
    ----------
    bench : Bench
        Training prompts.
    admitted : float
        Standard errors that a gain must exceed.
    """
    static = best_static(bench)
    chosen = static.copy()
    for now in np.unique(static):
        mine = np.flatnonzero(bench.known & (bench.owner == bench.owner[now]))
        levels = np.flatnonzero(static == now)
        gain, error = paired_at(bench, now, mine, bench.prices[levels])
        surest = (gain - _SURE * error).argmax(axis=1)[:, None]
        gain, error = (np.take_along_axis(each, surest, axis=1)[:, 0] for each in (gain, error))
        better = gain > admitted * error
        chosen[levels[better]] = mine[surest[better, 0]]
    return chosen


def best_for_all(bench: Bench, *, admitted: float = _ADMITTED) -> NDArray[np.intp]:
    """Return the course that everybody gets at each price, shape (L,).

    Parameters
    ----------
    bench : Bench
        Training prompts.
    admitted : float
        Standard errors that a gain must exceed: of stopping early, and of courses over several generators.
    """
    worth = _worth(bench)
    chosen = stopping_early(bench, admitted=admitted)
    levels = np.arange(len(chosen))
    _admit(bench, worth, chosen, np.flatnonzero(bench.known), levels, 0.0)
    _admit(bench, worth, chosen, np.arange(worth.shape[1]), levels, admitted)
    return chosen


def _admit(
    bench: Bench,
    worth: NDArray[np.float64],
    chosen: NDArray[np.intp],
    columns: NDArray[np.intp],
    levels: NDArray[np.intp],
    admitted: float,
) -> None:
    """Replace, in place, what is chosen at some levels where the best of some columns is shown to gain."""
    for level in levels:
        now, new = chosen[level], columns[worth[level, columns].argmax()]
        if new != now:
            gain = bench.value[:, new] - bench.value[:, now]
            gain = gain - bench.prices[level] * (bench.cost[:, new] - bench.cost[:, now])
            mean, error = paired(gain, bench.groups)
            if mean > admitted * error:
                chosen[level] = new


def _worth(bench: Bench) -> NDArray[np.float64]:
    """Return the mean worth of every course at every price, shape (L, C)."""
    value, cost = bench.value.mean(axis=0, dtype=float), bench.cost.mean(axis=0, dtype=float)
    return np.asarray(value - bench.prices[:, None] * cost)
