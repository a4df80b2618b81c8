"""Choose on one half of the prompts and report on the other, both ways, over several ways to halve.

Near-duplicates stay in one half. What is chosen is, for a value that is asked for, the cheapest mix of two
courses that everybody gets, in the order of what they ask to be believed (`training.policy.population`). The
value asked for is told relative to that of today on the half that chooses, so that halves of unlike prompts
ask for the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from policies.course.course import of_one_generator
from policies.solver.hull import hull_of_one
from training.evaluation.bed import Played
from training.policy import masks
from training.policy.bench import Bench
from training.policy.columns import Columns
from training.policy.population import best_for_all

_N_HALVINGS: Final = 5
# Where accuracy hardly grows any more, a coarse grid of prices would jump from few samples to most.
_N_PRICES: Final = 100
_N_ASKED: Final = 100


class _Mixes(NamedTuple):
    """The best mixes of one half: courses, cheapest first, and their values there beyond today's."""

    columns: NDArray[np.intp]
    beyond: FloatArray
    rows: NDArray[np.intp]

    def played(self, columns: Columns, asked: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return cost and value on the rows that did not choose, by what is asked for."""
        place = np.interp(asked, self.beyond, np.arange(len(self.beyond)))
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, len(self.columns) - 1)
        share = place - below
        first, second = (np.ix_(self.rows, self.columns[end]) for end in (below, above))
        cost = columns.cost[first] * (1 - share) + columns.cost[second] * share
        value = columns.value[first] * (1 - share) + columns.value[second] * share
        return cost, value


def cross_fitted(
    columns: Columns,
    ways: Mapping[str, NDArray[np.bool_]],
    today: FloatArray,
    groups: NDArray[np.intp],
    *,
    seed: int = 0,
) -> dict[str, Played]:
    """Return what each way to save costs and is worth on prompts that its courses were not chosen on.

    Parameters
    ----------
    columns : Columns
        P prompts × C courses.
    ways : mapping of str to ndarray of bool, shape (C,)
        Courses that may be chosen.
    today : ndarray of float64, shape (P,)
        Values of what is compared with.
    groups : ndarray of intp, shape (P,)
        Counted from 0; at least two.
    seed : int
        Of the halves.

    Returns
    -------
    dict
        By way: shape (P, L), one point for each value that is asked for, the mean over the ways to halve.
    """
    rng = np.random.default_rng(seed)
    n_groups = int(groups.max()) + 1
    chosen: dict[str, list[_Mixes]] = {name: [] for name in ways}
    for _ in range(_N_HALVINGS):
        first = np.zeros(n_groups, dtype=bool)
        first[rng.permutation(n_groups)[: n_groups // 2]] = True
        for half in (first[groups], ~first[groups]):
            bench = _bench(columns, np.flatnonzero(half), groups)
            for name, mask in ways.items():
                mixes = _mixes(bench, np.flatnonzero(mask), float(today[half].mean()))
                chosen[name].append(_Mixes(*mixes, np.flatnonzero(~half)))
    return {name: _played(columns, mixes) for name, mixes in chosen.items()}


def _bench(columns: Columns, rows: NDArray[np.intp], groups: NDArray[np.intp]) -> Bench:
    """Return the half that chooses; nobody believes in anything by text."""
    courses = columns.table.courses
    return Bench(
        value=columns.value[rows],
        cost=columns.cost[rows],
        weights=np.zeros((len(rows), 0), dtype=np.float32),
        groups=np.unique(groups[rows], return_inverse=True)[1],
        folds=np.zeros(len(rows), dtype=np.intp),
        static=masks.static(courses),
        known=of_one_generator(courses),
        owner=np.unique([course.generators[0] for course in courses], return_inverse=True)[1],
        prices=np.geomspace(columns.prices[0], columns.prices[-1], _N_PRICES),
    )


def _mixes(bench: Bench, allowed: NDArray[np.intp], today: float) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the courses whose mixes are cheapest for their value, and their values beyond today's."""
    columns = np.unique(allowed[best_for_all(bench.columns(allowed))])
    value = bench.value[:, columns].mean(axis=0, dtype=np.float64)
    cost = bench.cost[:, columns].mean(axis=0, dtype=np.float64)
    kept = hull_of_one(value, cost)
    return columns[kept], value[kept] - today


def _played(columns: Columns, mixes: list[_Mixes]) -> Played:
    lowest, most = min(mix.beyond[0] for mix in mixes), max(mix.beyond[-1] for mix in mixes)
    asked = np.linspace(lowest, most, _N_ASKED)
    cost = np.zeros((len(columns.value), _N_ASKED))
    value = np.zeros_like(cost)
    for mix in mixes:
        spent, worth = mix.played(columns, asked)
        cost[mix.rows] += spent / _N_HALVINGS
        value[mix.rows] += worth / _N_HALVINGS
    return Played(cost, value)
