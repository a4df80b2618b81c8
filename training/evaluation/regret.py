"""Where an adaptive policy loses to hindsight: predictor, stopping, menu, and the rounding of budgets.

Each part is a difference in value at equal cost between two policies that differ in one thing only. What an
oracle knows comes from one half of a prompt's samples and everything is scored on the other half, so ladders
are cut to what a half can replay. What hindsight over the whole menu is worth is left to
`training.evaluation.baselines`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.standardised import standardised
from policies.adaptive.policy import AdaptivePolicy
from policies.ladder.ladder import Ladder, Wave
from policies.replay.pools import ReplayPool, half_of
from policies.solver.prices import choose_at_prices
from training.evaluation.adaptive import AdaptiveBed
from training.evaluation.baselines import Course
from training.frontier import Frontier, interval

__all__ = ["cut", "oracle_level", "regret_courses", "regret_split", "rounding_regret"]

FloatArray: TypeAlias = NDArray[np.float64]

# What is subtracted from what, part by part; parts without a predictor start at the policy itself.
_PARTS = {
    "predictor": ("oracle level", "adaptive"),
    "stopping": ("hindsight stopping", "oracle level"),
    "menu": ("hindsight bound", "hindsight stopping"),
    "all": ("hindsight bound", "adaptive"),
}


def regret_courses(bed: AdaptiveBed) -> dict[str, Course]:
    """Replay the policy on the odd half of each prompt's samples, as it is and with what an oracle knows.

    Parameters
    ----------
    bed : AdaptiveBed
        P test prompts.

    Returns
    -------
    dict of str to Course
        ``"adaptive"``; ``"oracle level"`` where the policy sees a predicted level: prompts trade theirs for
        one by the rank of their own success in the even half; ``"hindsight stopping"``: at each price every
        prompt stops after the wave, of any of the policy's ladders, that is best in the even half. Empty
        where samples have no order, or a half has none of some prompt.

    Notes
    -----
    Rules were fitted to a predictor that is often wrong and trust an oracle's level no more than that, so the
    predictor's part is a lower bound. Hindsight stopping knows the prompt and not the draw; a rule that sees
    the votes can beat it, and its part is then negative.
    """
    if "adaptive" not in bed.policies or any(item.pool.counts_only.any() for item in bed.pools.values()):
        return {}
    even, odd = ({name: half_of(item, half) for name, item in bed.pools.items()} for half in ("even", "odd"))
    least = {
        name: int(min((half[name].pool.correct >= 0).sum(axis=1).min() for half in (even, odd)))
        for name in bed.pools
    }
    policy = bed.policies["adaptive"]
    ladders = [cut(move.ladder, least) for move in policy.moves]
    if any(ladder is None for ladder in ladders):
        return {}
    halved = replace(
        policy,
        moves=tuple(
            replace(move, ladder=ladder)
            for move, ladder in zip(policy.moves, ladders, strict=True)
            if ladder is not None
        ),
    )
    courses = {"adaptive": bed.course(halved, pools=odd)[0]}
    level = oracle_level(bed, even)
    if level is not None:
        difficulty = np.column_stack([level, bed.difficulty[:, 1:]])
        courses["oracle level"] = bed.course(halved, difficulty=difficulty, pools=odd)[0]
    courses["hindsight stopping"] = _hindsight_stopping(bed, halved, even, odd)
    return courses


def regret_split(
    courses: Mapping[str, Course], bound: Course | None, weights: FloatArray, budgets: Sequence[float]
) -> list[dict[str, Any]]:
    """Return each part of the regret at each budget, with its paired interval.

    Parameters
    ----------
    courses : mapping of str to Course
        From `regret_courses`.
    bound : Course or None
        Hindsight over the whole menu, chosen on one half and scored on the other; None without halves.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    budgets : sequence of float
        Mean cost per prompt.

    Returns
    -------
    list of dict
        One row per budget: ``"budget"``, and per part ``"value"`` and ``"interval"``, or None where it cannot
        be computed. Predictor, stopping and menu add up to ``"all"``.
    """
    if not courses:
        return []
    known = dict(courses) | ({} if bound is None else {"hindsight bound": bound})
    frontiers = {name: Frontier.of(course.cost, course.value, weights) for name, course in known.items()}
    rows = []
    for budget in budgets:
        row: dict[str, Any] = {"budget": float(budget)}
        for part, (better, worse) in _PARTS.items():
            start = "adaptive" if part == "stopping" and worse not in frontiers else worse
            row[part] = (
                _difference(frontiers[better], frontiers[start], budget)
                if better in frontiers and start in frontiers
                else None
            )
        rows.append(row)
    return rows


def rounding_regret(
    course: Course, weights: FloatArray, budgets: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what the part of each budget that plans leave unspent would have been worth.

    Parameters
    ----------
    course : Course
        Of the policy that made the plans.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    budgets : sequence of mapping
        ``"budget"`` and ``"expected_cost"`` of the plans.
    """
    frontier = Frontier.of(course.cost, course.value, weights)
    rows = []
    for row in budgets:
        full, used = (
            frontier.value_at(np.maximum(row[key], frontier.cost[:, 0]))
            for key in ("budget", "expected_cost")
        )
        rows.append({"budget": row["budget"], **_with_interval(full - used)})
    return rows


def oracle_level(bed: AdaptiveBed, even: Mapping[str, ReplayPool]) -> FloatArray | None:
    """Return reference levels dealt by the rank of own success in the even half, shape (P,).

    None where the policy sees no predicted level.
    """
    from scipy.stats import rankdata

    references = bed.bundle.references.coordinates
    if not bed.difficulty.shape[1] or references[:, 0].std() <= 1e-9:
        return None
    right = np.sum([(item.pool.correct == 1).sum(axis=1) for item in even.values()], axis=0)
    known = np.sum([(item.pool.correct >= 0).sum(axis=1) for item in even.values()], axis=0)
    rank = (rankdata(right / np.maximum(known, 1)) - 0.5) / len(known)
    return np.asarray(np.quantile(standardised(references, references)[:, 0], rank))


def cut(ladder: Ladder, least: Mapping[str, int]) -> Ladder | None:
    """Return the beginning of a ladder that needs at most `least` samples of each generator; None if empty.

    Examples
    --------
    >>> print(cut(Ladder(waves=(Wave(generator="a", n=2), Wave(generator="b", n=4))), {"a": 3, "b": 1}))
    a x2, b x1
    """
    left, waves = dict(least), list[Wave]()
    for wave in ladder.waves:
        fits = min(wave.n, left[wave.generator])
        if fits:
            waves.append(Wave(generator=wave.generator, n=fits))
        if fits < wave.n:
            break
        left[wave.generator] -= fits
    return replace(ladder, waves=tuple(waves)) if waves else None


def _hindsight_stopping(
    bed: AdaptiveBed,
    policy: AdaptivePolicy,
    even: Mapping[str, ReplayPool],
    odd: Mapping[str, ReplayPool],
) -> Course:
    """Choose the best wave of any ladder on the even half at each price; score it on the odd half."""
    (even_value, even_cost), (odd_value, odd_cost) = (
        bed.prefixes(policy, pools=pools) for pools in (even, odd)
    )
    choice = choose_at_prices(even_value, even_cost, policy.prices)
    rows = np.arange(len(odd_value))[:, None]
    return Course(odd_cost[rows, choice], odd_value[rows, choice])


def _difference(better: Frontier, worse: Frontier, budget: float) -> dict[str, Any]:
    high, low = (frontier.value_at(np.maximum(budget, frontier.cost[:, 0])) for frontier in (better, worse))
    return _with_interval(high - low)


def _with_interval(replicates: FloatArray) -> dict[str, Any]:
    low, high = interval(replicates[1:])
    return {"value": round(float(replicates[0]), 5), "interval": [round(low, 5), round(high, 5)]}
