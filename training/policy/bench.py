"""Training prompts as the choice of courses sees them: values, costs, weights out of fold, groups and folds.

Everything here is arrays without gaps, in one unit of cost. How they were measured is left to
`policies.table`, how gaps were filled to `training.policy.gaps`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.scale import UNIT, Scale

IntArray: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bench:
    """P training prompts × C courses.

    Parameters
    ----------
    value, cost : ndarray of float32, shape (P, C)
        Without NaN.
    weights : ndarray of float32, shape (P, P)
        Belief about each prompt out of fold: rows sum to 1, nothing on its own fold.
    groups, folds : ndarray of intp, shape (P,)
        Near-duplicates share a group, and groups a fold.
    static, known : ndarray of bool, shape (C,)
        Courses of one generator that decide everything beforehand; those, and the stop rules that people
        know.
    owner : ndarray of intp, shape (C,)
        Number of the generator that a course draws from, or of those that it does.
    prices : ndarray of float64, shape (L,)
        Falling.
    scale : Scale
        Of the values.
    """

    value: Float32Array
    cost: Float32Array
    weights: Float32Array
    groups: IntArray
    folds: IntArray
    static: NDArray[np.bool_]
    known: NDArray[np.bool_]
    owner: IntArray
    prices: NDArray[np.float64]
    scale: Scale = UNIT

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: IntArray) -> Bench:
        """Return the bench of some prompts, who then believe in each other alone."""
        weights = self.weights[np.ix_(rows, rows)]
        total = weights.sum(axis=1, keepdims=True)
        # A prompt whose likes are all away believes in everybody of the other folds.
        apart = (self.folds[rows][:, None] != self.folds[rows][None]).astype(np.float32)
        apart /= np.maximum(apart.sum(axis=1, keepdims=True), 1)
        weights = np.where(total > 1e-6, weights / np.maximum(total, 1e-6), apart)
        return replace(
            self,
            value=self.value[rows],
            cost=self.cost[rows],
            weights=weights.astype(np.float32),
            groups=np.unique(self.groups[rows], return_inverse=True)[1],
            folds=self.folds[rows],
        )

    def columns(self, columns: IntArray) -> Bench:
        """Return the bench of the courses at `columns`."""
        return replace(
            self,
            value=self.value[:, columns],
            cost=self.cost[:, columns],
            static=self.static[columns],
            known=self.known[columns],
            owner=self.owner[columns],
        )


def paired(gain: NDArray[np.floating], groups: IntArray) -> tuple[float, float]:
    """Return the mean of paired gains and its standard error over groups.

    Parameters
    ----------
    gain : ndarray, shape (P,)
        Gain of each prompt.
    groups : ndarray of intp, shape (P,)
        Counted from 0.

    Examples
    --------
    >>> mean, error = paired(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    >>> mean, round(error, 3)
    (2.0, 1.0)
    """
    mean = float(gain.mean())
    total = np.bincount(groups, weights=gain - mean)
    n = len(total)
    if n < 2:
        return mean, float("inf")
    return mean, float(np.sqrt((total**2).sum() * n / (n - 1)) / len(gain))


def paired_at(
    bench: Bench, now: int, columns: NDArray[np.intp], prices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what columns gain over one at each price, and standard errors over groups, shape (L, C) each.

    As `paired` of each, from the moments of value and cost.

    Parameters
    ----------
    bench : Bench
        P prompts.
    now : int
        Column that gains are over.
    columns : ndarray of intp, shape (C,)
    prices : ndarray of float64, shape (L,)
    """
    n, n_groups = len(bench), int(bench.groups.max()) + 1
    order = np.argsort(bench.groups, kind="stable")
    starts = np.searchsorted(bench.groups[order], np.arange(n_groups))
    means, off = [], []
    for table in (bench.value, bench.cost):
        more = table[:, columns].astype(np.float64) - table[:, [now]]
        means.append(more.mean(axis=0))
        off.append(np.add.reduceat((more - means[-1])[order], starts, axis=0))
    (value, cost), (by_value, by_cost) = means, off
    price = prices[:, None]
    squares = (by_value**2).sum(axis=0) - 2 * price * (by_value * by_cost).sum(axis=0)
    squares = np.maximum(squares + price**2 * (by_cost**2).sum(axis=0), 0.0)
    error = (
        np.sqrt(squares * n_groups / (n_groups - 1)) / n if n_groups > 1 else np.full_like(squares, np.inf)
    )
    return value - price * cost, error
