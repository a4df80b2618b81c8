"""Strategies at equal cost, in one group of prompts: values, differences, winners, each with its interval.

Budgets are what a majority vote over N samples costs in that group, read anew in every bootstrap replicate,
so that all comparisons are paired over prompts. A family is interpolated between its own points, which is
what mixing two sizes delivers. A kind of strategy is scored without hindsight: its family is chosen on one
half of the prompts and scored on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from policies.course.strategies import StrategyKind
from training.frontier import estimate, number
from training.strategies.bed import StrategyBed
from training.strategies.families import StrategyFamily
from training.strategies.group import N_HALVES, ROUNDING, PromptGroup, halves

KINDS: Final[tuple[StrategyKind, ...]] = ("parallel", "revision", "search")
BEST: Final = "best of all"


def budget_sizes(bed: StrategyBed) -> list[int]:
    """Return the vote sizes N whose costs are the budgets: powers of two, up to what the dearest parallel
    strategy costs; where scoring has its price, that is more than the largest recorded vote.

    Raises
    ------
    InvalidInputError
        When samples cost nothing.
    """
    n_prompts = len(bed.prompt_ids)
    whole = PromptGroup.whole(bed, np.full((1, n_prompts), 1 / n_prompts))
    parallel = [bed.places(family.allocations) for family in bed.families if family.kind == "parallel"]
    dearest = max(float(bed.cost[:, columns].mean(axis=0).max()) for columns in parallel)
    sizes = [1]
    one, two = whole.budgets([1, 2])[0]
    if two <= one:
        raise InvalidInputError(
            "a second sample costs nothing here, so that nothing can be compared at equal cost: record "
            "output tokens above 0, or compare in samples (--unit samples)"
        )
    while whole.budgets([2 * sizes[-1]])[0, 0] <= dearest * (1 + ROUNDING):
        sizes.append(2 * sizes[-1])
    return sizes


def family_table(group: PromptGroup, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Compare all families in one group of prompts, budget by budget.

    Parameters
    ----------
    group : PromptGroup
        The prompts.
    sizes : sequence of int
        Vote sizes whose costs are the budgets.

    Returns
    -------
    list of dict
        Per budget: ``"strategies"``, each with value, difference to the majority vote and to the best
        parallel strategy (chosen anew in each replicate, which favours it), intervals, and the share of
        replicates in which it wins.
    """
    value, spent = group.values(sizes)
    budgets, families = group.budgets(sizes), group.bed.families
    parallel = np.array([family.kind == "parallel" for family in families])
    table = []
    for place, size in enumerate(sizes):
        here = value[:, :, place]
        best_parallel = np.nanmax(here[parallel], axis=0)
        wins = winner_shares(here)
        strategies = {}
        for index, family in enumerate(families):
            if np.isnan(here[index, 0]):
                continue
            strategies[family.name] = {
                "kind": family.kind,
                **estimate("value", here[index], under="interval"),
                **estimate("over_vote", here[index] - here[0]),
                **estimate("over_parallel", here[index] - best_parallel),
                "wins": number(wins[index]),
                "all_spent": bool(spent[index, place]),
            }
        table.append({"n": size, "budget": number(budgets[0, place]), "strategies": strategies})
    return table


def kind_table(group: PromptGroup, sizes: Sequence[int], *, seed: int) -> list[dict[str, Any]]:
    """Tell what the best parallel strategy, revision and search are worth, each chosen on other prompts.

    Parameters
    ----------
    group, sizes
        As in `family_table`.
    seed : int
        Seed of the splits.

    Returns
    -------
    list of dict
        Per budget: value of each kind with interval, and the difference of revision, search and the best of
        all to the best parallel strategy. The value is the mean over five splits of the prompts in two folds:
        in each fold the family is the one that is best on the other fold, anew in each replicate.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 3.2: two-fold cross-validation inside each bin.
    """
    sums: dict[str, FloatArray] = {}
    for (told,), (scored,) in halves([group], sizes, seed=seed):
        for name, members in _members(group.bed.families).items():
            chosen = _chosen(told[members], scored[members])
            sums[name] = sums.get(name, np.zeros(chosen.shape)) + chosen
    budgets = group.budgets(sizes)
    value = {name: total / N_HALVES for name, total in sums.items()}
    table = []
    for place, size in enumerate(sizes):
        kinds = {}
        for name, found in value.items():
            here = found[:, place]
            if np.isnan(here[0]):
                continue
            kinds[name] = estimate("value", here, under="interval")
            if name != "parallel":
                kinds[name] |= estimate("over_parallel", here - value["parallel"][:, place])
        table.append({"n": size, "budget": number(budgets[0, place]), "kinds": kinds})
    return table


def points_table(group: PromptGroup) -> dict[str, list[dict[str, Any]]]:
    """Return each family's own points, cheapest first: size, cost, value and its interval."""
    table = {}
    for family in group.bed.families:
        cost, value = group.means(group.bed.places(family.allocations))
        table[family.name] = [
            {
                "width": family.allocations[place].width,
                "depth": family.allocations[place].depth,
                "cost": number(cost[0, place]),
                **estimate("value", value[:, place], under="interval"),
            }
            for place in np.argsort(cost[0], kind="stable")
        ]
    return table


def winner_shares(value: FloatArray) -> FloatArray:
    """Return the share of replicates in which each row is best, shape (F,); ties are shared.

    Parameters
    ----------
    value : ndarray of float64, shape (F, 1 + R)
        Column 0 is the sample and does not count; rows with NaN never win.
    """
    replicates = np.where(np.isnan(value[:, 1:]), -np.inf, value[:, 1:])
    top = replicates.max(axis=0)
    ties = (replicates >= top - 1e-12) & np.isfinite(top)
    counted = ties.sum(axis=0)
    known = counted > 0
    if not known.any():
        return np.zeros(len(value))
    return np.asarray((ties[:, known] / counted[known]).mean(axis=1), dtype=np.float64)


def shares(names: Sequence[object], wins: FloatArray) -> dict[str, float]:
    """Return winner shares by name, largest first, without those that never win."""
    order = np.argsort(-wins, kind="stable")
    return {str(names[index]): round(float(wins[index]), 4) for index in order if wins[index] > 0}


def _members(families: Sequence[StrategyFamily]) -> Mapping[str, NDArray[np.intp]]:
    """Return the places of the families of each kind, and of all."""
    kinds = np.array([family.kind for family in families])
    found = {str(kind): np.flatnonzero(kinds == kind) for kind in KINDS}
    return {name: places for name, places in found.items() if len(places)} | {BEST: np.arange(len(kinds))}


def _chosen(told: FloatArray, scored: FloatArray) -> FloatArray:
    """Return the scored value of the family that is best by what was told, (F, R, S) both to (R, S); NaN
    where none is known in both.
    """
    usable = ~np.isnan(told) & ~np.isnan(scored)
    best = np.where(usable, told, -np.inf).argmax(axis=0)
    value = np.take_along_axis(scored, best[None], axis=0)[0]
    return np.where(usable.any(axis=0), value, np.nan)
