"""A group of prompts under bootstrap weights: what strategies cost there, and what budgets buy.

It assumes a measured bed. Replicates that drew nobody of a group have no weights, and give NaN. Tables of
groups are left to `training.strategies.tables` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import Frontier
from training.strategies.bed import StrategyBed

N_HALVES: Final = 10
"""Pairs that `halves` yields: five splits, both ways."""

ROUNDING: Final = 1e-9
# A search of size N draws as many tokens as N samples, up to chance; a hair too dear is not out of reach.
_NEAR: Final = 0.02


class PromptGroup(NamedTuple):
    """Q prompts of a bed in R bootstrap replicates.

    Attributes
    ----------
    bed : StrategyBed
        Measured strategies.
    rows : ndarray of intp, shape (Q,)
        The prompts.
    weights : ndarray of float64, shape (R, Q)
        Rows sum to 1, or are NaN; row 0 is the sample itself.
    """

    bed: StrategyBed
    rows: NDArray[np.intp]
    weights: FloatArray

    @classmethod
    def whole(cls, bed: StrategyBed, weights: FloatArray) -> PromptGroup:
        """Return the group of all prompts, with weights from `training.frontier.bootstrap_weights`."""
        return cls(bed, np.arange(len(bed.prompt_ids)), weights)

    def part(self, places: NDArray[np.intp]) -> PromptGroup:
        """Return the group of some of the prompts, whose weights sum to 1 again."""
        chosen = self.weights[:, places]
        total = chosen.sum(axis=1, keepdims=True)
        weights = np.divide(chosen, total, out=np.full(chosen.shape, np.nan), where=total > 0)
        return PromptGroup(self.bed, self.rows[places], weights)

    def means(self, columns: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Return mean cost and value of some columns, shape (R, columns) each."""
        at = np.ix_(self.rows, columns)
        return self.weights @ self.bed.cost[at], self.weights @ self.bed.value[at]

    def frontier(self, columns: NDArray[np.intp]) -> Frontier:
        """Return the frontier of some columns."""
        at = np.ix_(self.rows, columns)
        return Frontier.of(self.bed.cost[at], self.bed.value[at], self.weights)

    def budgets(self, sizes: Sequence[int]) -> FloatArray:
        """Return the mean cost of votes of these sizes, shape (R, S): one prompt, and N times a sample."""
        vote = self.bed.families[0].allocations
        first, last = (
            self.weights @ self.bed.cost[self.rows, self.bed.columns[vote[place]]] for place in (0, -1)
        )
        sample = (last - first) / (vote[-1].width - vote[0].width)
        return np.asarray(first[:, None] + sample[:, None] * (np.asarray(sizes) - vote[0].width))

    def values(self, sizes: Sequence[int]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return each family's value at the cost of votes of these sizes, shape (F, R, S), and whether it has
        spent all that it can, shape (F, S); NaN where the budget does not buy its smallest size.
        """
        families, budgets = self.bed.families, self.budgets(sizes)
        value = np.full((len(families), *budgets.shape), np.nan)
        spent = np.zeros((len(families), len(sizes)), dtype=np.bool_)
        for index, family in enumerate(families):
            frontier = self.frontier(self.bed.places(family.allocations))
            for place, budget in enumerate(budgets.T):
                if frontier.cost[0, 0] <= budget[0] * (1 + _NEAR):
                    value[index, :, place] = frontier.bought_at(budget)
                    spent[index, place] = frontier.cost[0, -1] < budget[0] * (1 - ROUNDING)
        return value, spent


def halves(
    groups: Sequence[PromptGroup], sizes: Sequence[int], *, seed: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield what the families are worth on one random half of each of G groups, and on the other half, as
    arrays of shape (G, F, R, S). Near-duplicates stay in one half.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 3.2: two-fold cross-validation inside each bin.
    """
    rng = np.random.default_rng(seed)
    members = [_groups_of(group) for group in groups]
    for _ in range(N_HALVES // 2):
        orders = [rng.permutation(int(member.max()) + 1) for member in members]
        sides = [
            np.isin(member, order[: len(order) // 2]) for member, order in zip(members, orders, strict=True)
        ]
        one, two = (
            np.stack(
                [
                    group.part(np.flatnonzero(first == side)).values(sizes)[0]
                    for group, first in zip(groups, sides, strict=True)
                ]
            )
            for side in (True, False)
        )
        yield one, two
        yield two, one


def _groups_of(group: PromptGroup) -> NDArray[np.intp]:
    """Return which near-duplicates each prompt belongs to, counted from 0 in order; each prompt alone where
    all are near-duplicates of one another.
    """
    names = np.array(group.bed.near_duplicates)[group.rows]
    _, first, member = np.unique(names, return_index=True, return_inverse=True)
    alone = np.arange(len(names))
    return alone if len(first) < 2 else np.asarray(first.argsort().argsort()[member], dtype=np.intp)
