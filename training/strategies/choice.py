"""What difficulty is worth: a strategy chosen for each bin against one strategy for all, at equal cost.

In every bin the budget is what a vote over N samples costs there, for whatever is chosen, so that no budget
moves between prompts: the gain is that of choosing strategies, not of allocating budget. Choices are made on
one half of the prompts and scored on the other. Bins and families are those of `training.strategies.bed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import estimate, number
from training.strategies.bed import StrategyBed
from training.strategies.group import N_HALVES, PromptGroup, halves

_VOTE: Final = 0  # place of the majority vote among the families


def choice_table(
    bed: StrategyBed, weights: FloatArray, sizes: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """Compare choosing per bin with choosing once.

    Parameters
    ----------
    bed : StrategyBed
        Measured strategies, in bins.
    weights : ndarray of float64, shape (R, P)
        From `training.frontier.bootstrap_weights`.
    sizes : sequence of int
        Vote sizes whose costs are the budgets.
    seed : int
        Seed of the splits.

    Returns
    -------
    list of dict
        Per budget: value of the vote, of the best parallel strategy for all, of the best strategy for all and
        of the best strategy per bin, with the difference of the last to each other one, and intervals.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 3.2: the compute-optimal strategy is chosen per bin by
    two-fold cross-validation. Here every replicate chooses anew, and all bins have the same N.
    """
    parallel = np.array([family.kind == "parallel" for family in bed.families])
    share = np.stack([weights[:, rows].sum(axis=1) for rows in bed.bins])
    groups = [PromptGroup.whole(bed, weights).part(rows) for rows in bed.bins]
    sums: dict[str, FloatArray] = {}
    for told, scored in halves(groups, sizes, seed=seed):
        for name, value in _values(told, scored, share, parallel).items():
            sums[name] = sums.get(name, np.zeros(value.shape)) + value / N_HALVES
    table = []
    for place, size in enumerate(sizes):
        here = {name: value[:, place] for name, value in sums.items()}
        per_bin = here["per_bin"]
        row: dict[str, Any] = {"n": size, **{name: number(value[0]) for name, value in here.items()}}
        for name in ("vote", "parallel", "single"):
            row |= estimate(f"over_{name}", per_bin - here[name])
        table.append(row)
    return table


def _values(
    told: FloatArray, scored: FloatArray, share: FloatArray, parallel: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """Return the scored values of the choices, each (R, S).

    Parameters
    ----------
    told, scored : ndarray of float64, shape (B, F, R, S)
        Value of F families in B bins on the fold that chooses and on the one that scores.
    share : ndarray of float64, shape (B, R)
        Weight of each bin.
    parallel : ndarray of bool, shape (F,)
        Which families sample in parallel.
    """
    known = ~np.isnan(told) & ~np.isnan(scored)
    candidates = np.where(known, told, -np.inf)
    weight = share[:, :, None]
    # A family that some bin cannot buy is no choice for all.
    overall = np.where(known.all(axis=0), (np.where(known, told, 0.0) * weight[:, None]).sum(axis=0), -np.inf)

    def scored_by(choice: NDArray[np.intp]) -> FloatArray:
        """Return the mean over bins of what the chosen families, (B, R, S), score."""
        values = np.take_along_axis(scored, choice[:, None], axis=1)[:, 0]
        return np.asarray((values * weight).sum(axis=0), dtype=np.float64)

    def for_all(allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        best = np.where(allowed[:, None, None], overall, -np.inf).argmax(axis=0)
        return np.broadcast_to(best, (len(told), *best.shape))

    return {
        "vote": scored_by(np.full(for_all(parallel).shape, _VOTE)),
        "parallel": scored_by(for_all(parallel)),
        "single": scored_by(for_all(np.ones_like(parallel))),
        "per_bin": scored_by(candidates.argmax(axis=1)),
    }
