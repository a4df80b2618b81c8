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
from policies.course.strategies import StrategyKind
from training.frontier import Frontier, estimate, number
from training.strategies.bed import StrategyBed
from training.strategies.families import StrategyFamily

KINDS: Final[tuple[StrategyKind, ...]] = ("parallel", "revision", "search")
BEST: Final = "best of all"
_N_SPLITS: Final = 5
_ROUNDING: Final = 1e-9
# A search of size N draws as many tokens as N samples, up to chance; a hair too dear is not out of reach.
_NEAR: Final = 0.02


def group_weights(weights: FloatArray, rows: NDArray[np.intp]) -> FloatArray:
    """Return bootstrap weights of some prompts, rows of them summing to 1; NaN where none was drawn.

    Parameters
    ----------
    weights : ndarray of float64, shape (R, P)
        Row 0 is the sample itself.
    rows : ndarray of intp, shape (Q,)
        Prompts of the group.
    """
    chosen = weights[:, rows]
    total = chosen.sum(axis=1, keepdims=True)
    inside = np.divide(chosen, total, out=np.full(chosen.shape, np.nan), where=total > 0)
    return np.asarray(inside, dtype=np.float64)


def budget_sizes(bed: StrategyBed) -> list[int]:
    """Return the vote sizes N whose costs are the budgets: powers of two, up to what the dearest parallel
    strategy costs; where scoring has its price, that is more than the largest recorded vote.
    """
    rows = np.arange(len(bed.prompt_ids))
    weights = np.full((1, len(rows)), 1 / len(rows))
    parallel = [bed.places(family.allocations) for family in bed.families if family.kind == "parallel"]
    dearest = max(float(bed.cost[:, columns].mean(axis=0).max()) for columns in parallel)
    sizes = [1]
    while budgets_at(bed, rows, weights, [2 * sizes[-1]])[0, 0] <= dearest * (1 + _ROUNDING):
        sizes.append(2 * sizes[-1])
    return sizes


def budgets_at(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray, sizes: Sequence[int]
) -> FloatArray:
    """Return the mean cost of votes of these sizes, shape (R, S): one prompt, and N times a sample."""
    vote = bed.families[0].allocations
    first, last = (weights @ bed.cost[rows, bed.columns[vote[place]]] for place in (0, -1))
    sample = (last - first) / (vote[-1].width - vote[0].width)
    return np.asarray(first[:, None] + sample[:, None] * (np.asarray(sizes) - vote[0].width))


def values_at(
    bed: StrategyBed,
    rows: NDArray[np.intp],
    weights: FloatArray,
    families: Sequence[StrategyFamily],
    budgets: FloatArray,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return each family's value at each budget, shape (F, R, S), and whether it has spent all that it can.

    NaN where even the cheapest point of a family costs over 2 % more than the budget in the sample; else that
    point counts where it is dearer than the budget.
    """
    value = np.full((len(families), *budgets.shape), np.nan)
    spent = np.zeros((len(families), budgets.shape[1]), dtype=np.bool_)
    for index, family in enumerate(families):
        columns = bed.places(family.allocations)
        frontier = Frontier.of(bed.cost[np.ix_(rows, columns)], bed.value[np.ix_(rows, columns)], weights)
        for place, budget in enumerate(budgets.T):
            if frontier.cost[0, 0] <= budget[0] * (1 + _NEAR):
                value[index, :, place] = frontier.value_at(np.maximum(budget, frontier.cost[:, 0]))
                spent[index, place] = frontier.cost[0, -1] < budget[0] * (1 - _ROUNDING)
    return value, spent


def family_table(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray, sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Compare all families in one group of prompts, budget by budget.

    Parameters
    ----------
    bed : StrategyBed
        Measured strategies.
    rows : ndarray of intp, shape (Q,)
        The group.
    weights : ndarray of float64, shape (R, Q)
        From `group_weights`.
    sizes : sequence of int
        Vote sizes whose costs are the budgets.

    Returns
    -------
    list of dict
        Per budget: ``"strategies"``, each with value, difference to the majority vote and to the best
        parallel strategy (chosen anew in each replicate, which favours it), intervals, and the share of
        replicates in which it wins.
    """
    budgets = budgets_at(bed, rows, weights, sizes)
    value, spent = values_at(bed, rows, weights, bed.families, budgets)
    parallel = np.array([family.kind == "parallel" for family in bed.families])
    table = []
    for place, size in enumerate(sizes):
        here = value[:, :, place]
        best_parallel = np.nanmax(here[parallel], axis=0)
        wins = winner_shares(here)
        strategies = {}
        for index, family in enumerate(bed.families):
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


def kind_table(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray, sizes: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """Tell what the best parallel strategy, revision and search are worth, each chosen on other prompts.

    Parameters
    ----------
    bed, rows, weights, sizes
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
    rng = np.random.default_rng(seed)
    sums: dict[str, FloatArray] = {}
    n_directions = 0
    for _ in range(_N_SPLITS):
        told = [fold_values(bed, rows, weights, fold, sizes) for fold in random_folds(len(rows), rng)]
        for choosing, scoring in ((0, 1), (1, 0)):
            n_directions += 1
            for name, members in _members(bed.families).items():
                chosen = _chosen(told[choosing][members], told[scoring][members])
                sums[name] = sums.get(name, np.zeros(chosen.shape)) + chosen
    budgets = budgets_at(bed, rows, weights, sizes)
    value = {name: total / n_directions for name, total in sums.items()}
    table = []
    for place, size in enumerate(sizes):
        kinds = {}
        for name, found in value.items():
            here = found[:, place]
            if np.isnan(here[0]):
                continue
            kinds[name] = {
                **estimate("value", here, under="interval"),
                **(
                    {}
                    if name == "parallel"
                    else estimate("over_parallel", here - value["parallel"][:, place])
                ),
            }
        table.append({"n": size, "budget": number(budgets[0, place]), "kinds": kinds})
    return table


def points_table(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray
) -> dict[str, list[dict[str, Any]]]:
    """Return each family's own points, cheapest first: size, cost, value and its interval."""
    table = {}
    for family in bed.families:
        columns = bed.places(family.allocations)
        cost = weights @ bed.cost[np.ix_(rows, columns)]
        value = weights @ bed.value[np.ix_(rows, columns)]
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


def random_folds(n_prompts: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of prompts in two random halves."""
    order = rng.permutation(n_prompts)
    return np.sort(order[: n_prompts // 2]), np.sort(order[n_prompts // 2 :])


def fold_values(
    bed: StrategyBed,
    rows: NDArray[np.intp],
    weights: FloatArray,
    fold: NDArray[np.intp],
    sizes: Sequence[int],
) -> FloatArray:
    """Return the value of every family on one fold of a group, shape (F, R, S)."""
    inside = group_weights(weights, fold)
    budgets = budgets_at(bed, rows[fold], inside, sizes)
    return values_at(bed, rows[fold], inside, bed.families, budgets)[0]


def _chosen(told: FloatArray, scored: FloatArray) -> FloatArray:
    """Return the scored value of the family that is best by what was told, (F, R, S) both to (R, S); NaN
    where none is known in both.
    """
    usable = ~np.isnan(told) & ~np.isnan(scored)
    best = np.where(usable, told, -np.inf).argmax(axis=0)
    value = np.take_along_axis(scored, best[None], axis=0)[0]
    return np.where(usable.any(axis=0), value, np.nan)
