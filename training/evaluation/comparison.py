"""Compare frontiers: accuracy at equal cost, cost at equal accuracy, share of the oracle gap, each with its
interval.

All frontiers are replicated with the same bootstrap weights, so differences and multiples are paired over
prompts. Budgets and targets are read off the best static mix, the reference of every comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.baselines import Course
from training.frontier import Frontier, interval

__all__ = ["QUANTILES", "Comparison", "compare", "compare_with_rivals", "gap_closed"]

FloatArray: TypeAlias = NDArray[np.float64]

QUANTILES: Final = (0.25, 0.50, 0.75, 0.90)
_N_BUDGETS: Final = 5


class Comparison(NamedTuple):
    """Tables of a comparison, as JSON values.

    Attributes
    ----------
    budgets : list of float
        Mean cost per prompt, log-spaced from the cheapest static allocation to the static plateau.
    at_equal_cost : dict
        Per policy, per budget: value with interval, difference to static with interval.
    cost_multiples : dict
        Per policy, per quantile of the way to the static plateau: static cost over the policy's, with
        interval; 0 where the policy never gets there.
    frontiers : dict
        Per policy: points (cost, value, lower, upper) for figures.
    plateau : dict
        The static frontier's ends: cost and value of its cheapest and best point.
    """

    budgets: list[float]
    at_equal_cost: dict[str, Any]
    cost_multiples: dict[str, Any]
    frontiers: dict[str, Any]
    plateau: dict[str, float]


def compare(courses: Mapping[str, Course], weights: FloatArray, *, reference: str) -> Comparison:
    """Compare every course with the reference.

    Parameters
    ----------
    courses : mapping of str to Course
        Policies by name.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    reference : str
        Name of the best static mix among `courses`.
    """
    frontiers = {name: Frontier.of(course.cost, course.value, weights) for name, course in courses.items()}
    static = frontiers[reference]
    first, top = static.value[:, 0], static.value.max(axis=1)
    plateau_cost = float(static.cost[0, static.value[0].argmax()])
    start = float(static.cost[0, 0])
    budgets = (
        np.geomspace(start, plateau_cost, _N_BUDGETS) if plateau_cost > start * 1.001 else np.array([start])
    )
    targets = _targets(static)
    equal_cost, multiples = {}, {}
    for name, frontier in frontiers.items():
        equal_cost[name] = [_at_budget(frontier, static, float(budget)) for budget in budgets]
        multiples[name] = [
            {"way_to_plateau": q, **_multiple(frontier, static, target)} for q, target in targets.items()
        ]
    return Comparison(
        budgets=[float(budget) for budget in budgets],
        at_equal_cost=equal_cost,
        cost_multiples=multiples,
        frontiers={name: _points(frontier) for name, frontier in frontiers.items()},
        plateau={
            "cheapest_cost": start,
            "cheapest_value": float(first[0]),
            "plateau_cost": plateau_cost,
            "plateau_value": float(top[0]),
        },
    )


def compare_with_rivals(
    courses: Mapping[str, Course],
    weights: FloatArray,
    *,
    ours: str,
    rivals: Sequence[str],
    others: Sequence[str],
    reference: str,
    budgets: Sequence[float],
) -> dict[str, Any]:
    """Compare one policy with rivals head to head, by paired bootstrap.

    Parameters
    ----------
    courses : mapping of str to Course
        Policies by name.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    ours : str
        The policy that differences and multiples are taken from the view of.
    rivals, others : sequence of str
        Names among `courses`. The cheapest of the rivals is a row of its own: it is chosen anew, target by
        target, in each replicate, which favours the rivals.
    reference : str
        The course whose plateau sets the targets.
    budgets : sequence of float
        Mean cost per prompt.

    Returns
    -------
    dict
        ``"at_equal_cost"``: value of ours minus the rival's at each budget, None where one of them cannot be
        bought; ``"cost_multiples"``: the rival's cost over ours at each target, 0 where only the rival gets
        there, infinite (None) where only ours does, and ``"both_fail"`` where neither does.
    """
    names = [*rivals, *others]
    frontiers = {
        name: Frontier.of(courses[name].cost, courses[name].value, weights)
        for name in {ours, *names, reference}
    }
    mine, targets = frontiers[ours], _targets(frontiers[reference])
    spent = {name: {q: frontiers[name].cost_of(target) for q, target in targets.items()} for name in names}
    if rivals:
        best = {q: np.min([spent[name][q] for name in rivals], axis=0) for q in targets}
        spent = {"best of the tuned rules": best} | spent
    multiples = {
        name: [
            {"way_to_plateau": q, **_ratio(cost, mine.cost_of(targets[q]))} for q, cost in by_target.items()
        ]
        for name, by_target in spent.items()
    }
    equal = {name: [_head_to_head(mine, frontiers[name], float(b)) for b in budgets] for name in names}
    return {"at_equal_cost": equal, "cost_multiples": multiples}


def gap_closed(
    ours: Course, static: Course, oracle: Course, weights: FloatArray, budgets: list[float]
) -> list[dict[str, Any]]:
    """Return the share of the gap between static and oracle that a policy closes at each budget, with
    interval.
    """
    a, s, o = (Frontier.of(course.cost, course.value, weights) for course in (ours, static, oracle))
    rows = []
    for budget in budgets:
        gap = o.value_at(np.maximum(budget, o.cost[:, 0])) - s.value_at(np.maximum(budget, s.cost[:, 0]))
        gain = a.value_at(np.maximum(budget, a.cost[:, 0])) - s.value_at(np.maximum(budget, s.cost[:, 0]))
        share = np.divide(gain, gap, out=np.full(gap.shape, np.nan), where=gap > 0.002)
        # Without a gap there is nothing to share, even where some replicates have one.
        known = share[1:] if np.isfinite(share[0]) else share[:0]
        rows.append({"budget": budget, "share": _number(share[0]), "interval": _interval(known)})
    return rows


def _at_budget(frontier: Frontier, static: Frontier, budget: float) -> dict[str, Any]:
    # The cheapest point may cost a little more or less in a replicate than in the sample: it is then what
    # is bought.
    affordable = frontier.cost[0, 0] <= budget * (1 + 1e-9)
    if not affordable:
        return {"budget": budget, "value": None}
    value = frontier.value_at(np.maximum(budget, frontier.cost[:, 0]))
    difference = value - static.value_at(np.maximum(budget, static.cost[:, 0]))
    return {
        "budget": budget,
        "value": _number(value[0]),
        "interval": _interval(value[1:]),
        "difference": _number(difference[0]),
        "difference_interval": _interval(difference[1:]),
    }


def _targets(static: Frontier) -> dict[float, FloatArray]:
    """Return the values at `QUANTILES` of the way from cheapest point to plateau, each of shape (R,)."""
    first, top = static.value[:, 0], static.value.max(axis=1)
    return {q: first + q * (top - first) for q in QUANTILES}


def _ratio(theirs: FloatArray, ours: FloatArray) -> dict[str, Any]:
    """Return the multiple theirs / ours; replicates in which neither gets there tell nothing."""
    neither = np.isinf(theirs) & np.isinf(ours)
    ratio = np.where(np.isinf(ours), 0.0, theirs / np.where(np.isinf(ours), 1.0, ours))
    ratio[neither] = np.nan
    return {
        "multiple": _number(ratio[0]),
        "interval": _interval(ratio[1:]),
        "both_fail": bool(neither[0]),
    }


def _head_to_head(ours: Frontier, theirs: Frontier, budget: float) -> dict[str, Any]:
    if max(ours.cost[0, 0], theirs.cost[0, 0]) > budget * (1 + 1e-9):
        return {"budget": budget, "difference": None, "interval": [None, None]}
    first, second = (item.value_at(np.maximum(budget, item.cost[:, 0])) for item in (ours, theirs))
    difference = first - second
    return {
        "budget": budget,
        "difference": _number(difference[0]),
        "interval": _interval(difference[1:]),
    }


def _multiple(frontier: Frontier, static: Frontier, target: FloatArray) -> dict[str, Any]:
    reference, ours = static.cost_of(target), frontier.cost_of(target)
    ratio = np.where(np.isinf(ours), 0.0, reference / ours)
    return {"multiple": _number(ratio[0]), "interval": _interval(ratio[1:])}


def _points(frontier: Frontier) -> list[dict[str, float]]:
    """Return at most the distinct points of the frontier, with a band of its value at each cost."""
    points: list[dict[str, float]] = []
    for column in range(frontier.cost.shape[1]):
        cost = float(frontier.cost[0, column])
        if points and cost <= points[-1]["cost"] * (1 + 1e-6):
            continue
        replicates = frontier.value_at(np.maximum(cost, frontier.cost[:, 0]))[1:]
        low, high = interval(replicates)
        points.append({"cost": cost, "value": float(frontier.value[0, column]), "lower": low, "upper": high})
    return points


def _number(value: float) -> float | None:
    return None if not np.isfinite(value) else round(float(value), 6)


def _interval(replicates: FloatArray) -> list[float | None]:
    low, high = interval(replicates)
    return [_number(low), _number(high)]
