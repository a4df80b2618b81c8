"""Replay a bundle's adaptive policy and its rivals on test prompts, beside the one-shot baselines.

Every price of a policy is one point of its frontier. Samples are drawn from the recorded pools in random orders; a prompt that lacks
the samples that some ladder needs is none of the test prompts then, which `replayable` tells beforehand. Intervals are drawn by
`training.comparison`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.sample_log import SampleLog
from planner.bundle import PolicyBundle
from policies.adaptive_policy import AdaptivePolicy
from policies.cost import CostModel
from policies.objective import check_objective
from training.baselines import Course
from training.stopping import replay_course, replay_pools, standardised

__all__ = ["adaptive_courses", "replayable", "round_table"]

FloatArray: TypeAlias = NDArray[np.float64]

_N_ORDERS: Final = 24


def replayable(bundle: PolicyBundle, log: SampleLog) -> NDArray[np.bool_]:
    """Return which prompts have all samples that the bundle's ladders may draw, shape (P,); all without ladders."""
    mask = np.ones(len(log.prompts), dtype=bool)
    for policy in _policies(bundle).values():
        for move in policy.moves:
            for name in move.ladder.generators:
                labelled = (log.pool(name).correct >= 0).sum(axis=1)
                mask &= labelled >= move.ladder.needs(name)
    return mask


def adaptive_courses(
    bundle: PolicyBundle, log: SampleLog, model: CostModel, *, coordinates: FloatArray, seed: int
) -> tuple[dict[str, Course], FloatArray]:
    """Replay every adaptive policy of a bundle.

    Parameters
    ----------
    bundle : PolicyBundle
        Trained on other prompts.
    log : SampleLog
        P test prompts, all of them `replayable`.
    model : CostModel
        Prices samples.
    coordinates : ndarray of float64, shape (P, 1 + D)
        Predicted coordinates.
    seed : int
        Seed of the random orders and of the placebo.

    Returns
    -------
    tuple
        Courses by name (empty without an adaptive policy), and the rounds of the adaptive policy per prompt and price,
        shape (P, L).
    """
    policies = _policies(bundle)
    if not policies:
        return {}, np.zeros((len(log.prompts), 0))
    pools = replay_pools(log, model)
    difficulty = standardised(coordinates, bundle.references.coordinates)
    order = np.random.default_rng(seed).permutation(len(difficulty))
    runs = {name: (policy, difficulty) for name, policy in policies.items()}
    if difficulty.shape[1]:
        runs["adaptive, shuffled predictor"] = (policies["adaptive"], difficulty[order])
    courses, rounds = {}, np.zeros((len(log.prompts), 0))
    for name, (policy, coordinates_used) in runs.items():
        _, value, cost, drawn = replay_course(
            policy,
            pools,
            difficulty=coordinates_used,
            objective=check_objective(bundle.objective),
            n_orders=_N_ORDERS,
            seed=seed,
        )
        courses[name] = Course(cost, value)
        if name == "adaptive":
            rounds = drawn
    return courses, rounds


def round_table(course: Course, rounds: FloatArray, budgets: list[float]) -> list[dict[str, Any]]:
    """Return, for each budget, the rounds of the dearest price level that it buys: mean and 95th percentile over prompts."""
    cost = course.cost.mean(axis=0)
    table = []
    for budget in budgets:
        affordable = np.flatnonzero(cost <= budget * (1 + 1e-9))
        level = int(affordable[cost[affordable].argmax()]) if len(affordable) else int(cost.argmin())
        table.append(
            {
                "budget": budget,
                "cost": round(float(cost[level]), 4),
                "mean_rounds": round(float(rounds[:, level].mean()), 3),
                "p95_rounds": round(float(np.quantile(rounds[:, level], 0.95)), 3),
            }
        )
    return table


def _policies(bundle: PolicyBundle) -> dict[str, AdaptivePolicy]:
    if bundle.adaptive is None:
        return {}
    return {"adaptive": bundle.adaptive.policy, **bundle.rivals}
