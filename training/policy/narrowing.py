"""Which generators and pairs of them are worth a fine grid of courses: those that win on a coarse one.

Nine generators make tens of thousands of courses, and nearly all of them belong to generators that are best
at no price, neither for everybody nor for prompts of some kind. Measuring is left to
`training.policy.columns`, what the grids hold to `policies.table.grid`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.arithmetic.arrays import Float32Array
from difficulty.arithmetic.rows import row_mean
from policies.solver.prices import price_grid
from policies.table.table import CourseTable
from training.policy.offers import Believed

_N_PRICES: Final = 40
# Prompts that are asked what they would take by their text, and the share of what they take, over all prices,
# from which on generators count as best for some.
_ASKED: Final = 200
_SOME: Final = 0.005


def best_first(
    table: CourseTable, cost: Float32Array, weights: Float32Array | None = None, *, seed: int = 0
) -> list[tuple[str, ...]]:
    """Return the generators of all courses, in order of first use, those first that are best at a price.

    Parameters
    ----------
    table : CourseTable
        P prompts × C courses; NaN where not known.
    cost : ndarray of float32, shape (P, C)
        Of the courses.
    weights : ndarray of float32, shape (P, P), optional
        Beliefs out of fold: what is best for prompts by their text counts like what is best for everybody.
    seed : int
        Of the prompts that are asked.

    Returns
    -------
    list of tuple of str
        Those that are best at some price come first, by how often they are; the others by how near they come.
    """
    value, spent = (row_mean(part.T.astype(np.float64)) for part in (table.value, cost))
    known = np.flatnonzero(np.isfinite(value) & np.isfinite(spent))
    names, owner = np.unique(["\0".join(table.courses[at].generators) for at in known], return_inverse=True)
    prices = price_grid(value[known], spent[known], n_prices=_N_PRICES)
    worth = value[known] - prices[:, None] * spent[known]
    behind = np.array(
        [(worth.max(axis=1) - worth[:, owner == at].max(axis=1)).min() for at in range(len(names))]
    )
    wins = np.bincount(owner[worth.argmax(axis=1)], minlength=len(names)) / len(prices)
    if weights is not None:
        rows = np.sort(np.random.default_rng(seed).permutation(len(weights))[:_ASKED])
        whole = (
            np.where(np.isnan(part[:, known]), mean[known], part[:, known])
            for part, mean in ((table.value, value), (cost, spent))
        )
        seen, paid = Believed.by(weights[rows], *whole)
        taken = [owner[(seen - np.float32(price) * paid).argmax(axis=1)] for price in prices]
        share = np.bincount(np.concatenate(taken), minlength=len(names)) / (len(prices) * len(rows))
        behind, wins = np.where(share >= _SOME, 0.0, behind), wins + share
    return [tuple(str(names[at]).split("\0")) for at in np.lexsort((-wins, behind))]
