"""Which courses a prompt may take instead of everybody's, because of what its text says.

At each price, prompts choose by their beliefs out of fold; a course stays on offer only where those that took
it gained, beyond some standard errors over groups. What no prompt would take is no offer.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.arithmetic.row_product import row_product
from training.policy.bench import Bench, paired

_ROUNDS: Final = 4
_MOST_OFFERS: Final = 24


class Believed(NamedTuple):
    """Expected value and cost of every course for N prompts, shape (N, C)."""

    value: Float32Array
    cost: Float32Array

    @classmethod
    def by(cls, weights: Float32Array, value: NDArray[np.floating], cost: NDArray[np.floating]) -> Self:
        """Return what weights over P prompts, shape (N, P), expect of values and costs, shape (P, C) each.

        Many courses are worth the same to a prompt. Products in float32 would let rounding errors choose
        between them, and those are others on every processor.
        """
        both = row_product(weights, np.concatenate([value, cost], axis=1))
        return cls(*np.split(both, 2, axis=1))


def believe(bench: Bench, weights: Float32Array) -> Believed:
    """Return what weights over the bench's prompts, shape (N, P), expect."""
    return Believed.by(weights, bench.value, bench.cost)


def choose(believed: Believed, offered: NDArray[np.bool_], prices: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the course that each prompt takes at each price, shape (N, L).

    Parameters
    ----------
    believed : Believed
        Of N prompts.
    offered : ndarray of bool, shape (L, C)
        At least one course at each price.
    prices : ndarray of float64, shape (L,)
        Value per unit of cost.
    """
    chosen = np.empty((len(believed.value), len(prices)), dtype=np.intp)
    for level, price in enumerate(prices):
        columns = np.flatnonzero(offered[level])
        if len(columns) == 1:
            chosen[:, level] = columns[0]
            continue
        worth = believed.value[:, columns] - np.float32(price) * believed.cost[:, columns]
        chosen[:, level] = columns[worth.argmax(axis=1)]
    return chosen


def offers(
    bench: Bench, usual: NDArray[np.intp], believed: Believed, *, admitted: float
) -> NDArray[np.bool_]:
    """Return the courses on offer at each price, the usual one always among them, shape (L, C).

    Parameters
    ----------
    bench : Bench
        P training prompts.
    usual : ndarray of intp, shape (L,)
        What everybody gets otherwise.
    believed : Believed
        Their beliefs out of fold.
    admitted : float
        Standard errors that the gain of those who take an offer must exceed.
    """
    n_courses = bench.value.shape[1]
    on_offer = np.zeros((len(bench.prices), n_courses), dtype=bool)
    rows = np.arange(len(bench))
    for level, price in enumerate(bench.prices):
        step = np.float32(price)
        expected = believed.value - step * believed.cost
        at_usual = bench.value[:, usual[level]] - step * bench.cost[:, usual[level]]
        allowed = np.ones(n_courses, dtype=bool)
        for _ in range(_ROUNDS):
            taken = np.where(allowed, expected, -np.inf).argmax(axis=1)
            gain = bench.value[rows, taken] - step * bench.cost[rows, taken] - at_usual
            kept = np.zeros(n_courses, dtype=bool)
            kept[usual[level]] = True
            total = {}
            for course in np.unique(taken):
                if course != usual[level]:
                    mean, error = paired(np.where(taken == course, gain, 0.0), bench.groups)
                    if mean > admitted * error:
                        total[int(course)] = mean
            best = sorted(total, key=lambda course: -total[course])[:_MOST_OFFERS]
            kept[best] = True
            if not (allowed & ~kept)[np.unique(taken)].any():
                allowed = kept
                break
            allowed = kept
        on_offer[level] = allowed
    return on_offer
