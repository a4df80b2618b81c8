"""Compare frontiers: accuracy at equal cost and cost at equal accuracy, each with its interval.

All frontiers are replicated with the same bootstrap weights, so differences and multiples are paired over
groups of prompts. Budgets and targets are read off the best static mix, the reference of every comparison; a
policy that some prompts cannot tell is compared on the others alone, with the reference on the same prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_shares
from training.evaluation.bed import Played
from training.frontier import Frontier, ends, estimate, interval, number

QUANTILES: Final = (0.25, 0.50, 0.75, 0.90)
# Multiples at these are averaged; at a quarter of the way, all that differs is often the first sample.
_AVERAGED: Final = (0.50, 0.75, 0.90)
_N_BUDGETS: Final = 5


class Comparison(NamedTuple):
    """Tables of a comparison, as JSON values.

    Attributes
    ----------
    budgets : list of float
        Mean cost per prompt, log-spaced from the cheapest static course to the static plateau.
    at_equal_cost : dict
        Per policy, per budget: value with interval, difference to static with interval; value None where the
        policy cannot be bought.
    cost_multiples : dict
        Per policy, per share of the way to the static plateau: static cost over the policy's, with interval,
        0 where the policy never gets there; ``"reached"``, the share of replicates in which it does; and
        ``"missing"``, by how much value it falls short of that target at best.
    mean_multiples : dict
        Per policy: the geometric mean of its multiples at 50, 75 and 90 % of the way, with interval; None
        where one of them is never reached.
    at_most : dict
        Per policy: cost and value where it is not asked to save, and the difference to the static plateau,
        with interval.
    n_prompts : dict
        Per policy: prompts that it is compared on.
    frontiers : dict
        Per policy: points (cost, value, lower, upper) for figures.
    plateau : dict
        The static frontier's ends: cost and value of its cheapest and best point.
    """

    budgets: list[float]
    at_equal_cost: dict[str, Any]
    cost_multiples: dict[str, Any]
    mean_multiples: dict[str, Any]
    at_most: dict[str, Any]
    n_prompts: dict[str, int]
    frontiers: dict[str, Any]
    plateau: dict[str, float]


def on(weights: FloatArray, rows: NDArray[np.bool_] | NDArray[np.intp]) -> FloatArray:
    """Return bootstrap weights of some prompts, shape (R, rows); a replicate without any weighs all alike."""
    return row_shares(weights[:, rows])


def compare(played: Mapping[str, Played], weights: FloatArray, *, reference: str) -> Comparison:
    """Compare every policy with the reference.

    Parameters
    ----------
    played : mapping of str to Played
        Policies by name, on the same P prompts; the reference is known on all. What is known on none is left
        out.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    reference : str
        Name of the best static mix among them.
    """
    static = _frontier(played[reference], weights)
    first, top = static.value[:, 0], static.value.max(axis=1)
    plateau_cost = float(static.cost[0, static.value[0].argmax()])
    start = float(static.cost[0, 0])
    budgets = (
        np.geomspace(start, plateau_cost, _N_BUDGETS) if plateau_cost > start * 1.001 else np.array([start])
    )
    equal_cost, multiples, means, most, n_prompts, points = {}, {}, {}, {}, {}, {}
    for name, item in played.items():
        known = item.known
        if not known.any():
            continue
        n_prompts[name] = int(known.sum())
        ours = _frontier(item, weights)
        theirs = static if known.all() else _frontier(played[reference], weights, known)
        targets = _targets(theirs)
        ratios = {q: _ratio(theirs.cost_of(target), ours.cost_of(target)) for q, target in targets.items()}
        equal_cost[name] = [_at_budget(ours, theirs, float(budget)) for budget in budgets]
        multiples[name] = [
            {
                "way_to_plateau": q,
                **estimate("multiple", ratios[q], under="interval"),
                **_shortfall(ours, target),
            }
            for q, target in targets.items()
        ]
        means[name] = _mean_multiple(np.stack([ratios[q] for q in _AVERAGED]))
        most[name] = _at_most(ours, theirs)
        points[name] = _points(ours)
    return Comparison(
        budgets=[float(budget) for budget in budgets],
        at_equal_cost=equal_cost,
        cost_multiples=multiples,
        mean_multiples=means,
        at_most=most,
        n_prompts=n_prompts,
        frontiers=points,
        plateau={
            "cheapest_cost": start,
            "cheapest_value": float(first[0]),
            "plateau_cost": plateau_cost,
            "plateau_value": float(top[0]),
        },
    )


def head_to_head(
    ours: Played,
    others: Mapping[str, Played],
    weights: FloatArray,
    *,
    reference: Played,
    budgets: Sequence[float],
) -> dict[str, Any]:
    """Compare one policy with others, by paired bootstrap.

    Parameters
    ----------
    ours : Played
        The policy that differences and multiples are taken from the view of.
    others : mapping of str to Played
        By name.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.
    reference : Played
        The policy whose plateau sets the targets.
    budgets : sequence of float
        Mean cost per prompt.

    Returns
    -------
    dict
        By name, of those known on any prompt: ``"at_equal_cost"``, value of ours minus the other's at each
        budget, None where one of them cannot be bought; ``"mean_difference"``, the mean of these beyond the
        cheapest budget; ``"cost_multiples"``, the other's cost over ours at each target, 0 where only the
        other gets there, None where only ours does, and ``"both_fail"`` where neither does;
        ``"mean_multiple"``, the geometric mean of those at 50, 75 and 90 % of the way, with interval, None
        where one of them is not reached by both.
    """
    found = {}
    for name, other in others.items():
        known = other.known
        if not known.any():
            continue
        mine, theirs, static = (_frontier(item, weights, known) for item in (ours, other, reference))
        costs = {q: (theirs.cost_of(t), mine.cost_of(t)) for q, t in _targets(static).items()}
        found[name] = {
            "at_equal_cost": [_difference(mine, theirs, float(budget)) for budget in budgets],
            "mean_difference": _mean_difference(mine, theirs, budgets),
            "cost_multiples": [{"way_to_plateau": q, **_either(*pair)} for q, pair in costs.items()],
            "mean_multiple": _mean_multiple(np.stack([_ratio(*costs[q]) for q in _AVERAGED])),
        }
    return found


def gap_closed(
    ours: Played,
    static: Played,
    oracle: Played,
    weights: FloatArray,
    budgets: Sequence[float],
    *,
    span: float = 1.0,
) -> list[dict[str, Any]]:
    """Return the share of the gap between static and oracle that a policy closes at each budget, with
    interval; gaps below .002 of the `span` of values are none.
    """
    a, s, o = (_frontier(item, weights, oracle.known) for item in (ours, static, oracle))
    rows = []
    for budget in budgets:
        gap, gain = o.bought_at(budget) - s.bought_at(budget), a.bought_at(budget) - s.bought_at(budget)
        share = np.divide(gain, gap, out=np.full(gap.shape, np.nan), where=gap > 0.002 * span)
        # Without a gap there is nothing to share, even where some replicates have one.
        known = share[1:] if np.isfinite(share[0]) else share[:0]
        rows.append({"budget": budget, "share": number(share[0]), "interval": ends(known)})
    return rows


def _frontier(played: Played, weights: FloatArray, rows: NDArray[np.bool_] | None = None) -> Frontier:
    """Return the frontier on the prompts where a policy is known, or on some of them."""
    at = played.known if rows is None else rows
    return Frontier.of(played.cost[at], played.value[at], weights if at.all() else on(weights, at))


def _affordable(frontier: Frontier, budget: float) -> bool:
    return bool(frontier.cost[0, 0] <= budget * (1 + 1e-9))


def _at_budget(frontier: Frontier, static: Frontier, budget: float) -> dict[str, Any]:
    if not _affordable(frontier, budget):
        return {"budget": budget, "value": None}
    value = frontier.bought_at(budget)
    difference = value - static.bought_at(budget)
    return {
        "budget": budget,
        **estimate("value", value, under="interval"),
        **estimate("difference", difference),
    }


def _at_most(frontier: Frontier, static: Frontier) -> dict[str, Any]:
    """Return a policy's dearest point, and what it is worth beyond the static plateau."""
    value = frontier.value[:, -1]
    return {
        "cost": number(frontier.cost[0, -1], digits=9),
        "value": number(value[0]),
        **estimate("difference", value - static.value.max(axis=1), under="interval"),
    }


def _targets(static: Frontier) -> dict[float, FloatArray]:
    """Return the values at `QUANTILES` of the way from cheapest point to plateau, each of shape (R,)."""
    first, top = static.value[:, 0], static.value.max(axis=1)
    return {q: first + q * (top - first) for q in QUANTILES}


def _ratio(theirs: FloatArray, ours: FloatArray) -> FloatArray:
    """Return the multiple theirs / ours, 0 where ours never gets there."""
    return np.where(np.isinf(ours), 0.0, theirs / np.where(np.isinf(ours), 1.0, ours))


def _shortfall(frontier: Frontier, target: FloatArray) -> dict[str, Any]:
    """Return in how many replicates a target is reached, and what is missing at best in the sample."""
    best = frontier.value.max(axis=1)
    missing = max(float(target[0] - best[0]), 0.0)
    return {
        "reached": round(float((best[1:] >= target[1:] - 1e-12).mean()), 4),
        "missing": 0.0 if missing < 1e-9 else round(missing, 6),
    }


def _mean_multiple(ratios: FloatArray) -> dict[str, Any]:
    """Return the geometric mean of multiples, shape (Q, R), with its interval: saving half and paying double
    cancel.
    """
    reached = np.asarray((ratios > 0).all(axis=0))
    mean = np.where(reached, np.exp(np.log(np.where(ratios > 0, ratios, 1.0)).mean(axis=0)), 0.0)
    # Where only one of both gets there the mean is 0 or infinite, which is an end of an interval and no mean.
    return {"multiple": number(mean[0]) if reached[0] else None, "interval": ends(mean[1:])}


def _either(theirs: FloatArray, ours: FloatArray) -> dict[str, Any]:
    """Return the multiple theirs / ours; replicates in which neither gets there tell nothing."""
    neither = np.isinf(theirs) & np.isinf(ours)
    ratio = _ratio(theirs, ours)
    ratio[neither] = np.nan
    return {**estimate("multiple", ratio, under="interval"), "both_fail": bool(neither[0])}


def _difference(ours: Frontier, theirs: Frontier, budget: float) -> dict[str, Any]:
    if not (_affordable(ours, budget) and _affordable(theirs, budget)):
        return {"budget": budget, "difference": None, "interval": [None, None]}
    difference = ours.bought_at(budget) - theirs.bought_at(budget)
    return {"budget": budget, **estimate("difference", difference, under="interval")}


def _mean_difference(ours: Frontier, theirs: Frontier, budgets: Sequence[float]) -> dict[str, Any]:
    """Return the mean difference in value over the budgets beyond the cheapest that both can be bought at."""
    shared = [b for b in budgets[1:] or budgets if _affordable(ours, b) and _affordable(theirs, b)]
    if not shared:
        return {"difference": None, "interval": [None, None]}
    mean = np.mean([ours.bought_at(b) - theirs.bought_at(b) for b in shared], axis=0)
    return estimate("difference", mean, under="interval")


def _points(frontier: Frontier) -> list[dict[str, float]]:
    """Return the distinct points of the frontier, with a band of its value at each cost."""
    points: list[dict[str, float]] = []
    for column in range(frontier.cost.shape[1]):
        cost = float(frontier.cost[0, column])
        if points and cost <= points[-1]["cost"] * (1 + 1e-6):
            continue
        low, high = interval(frontier.bought_at(cost)[1:])
        points.append({"cost": cost, "value": float(frontier.value[0, column]), "lower": low, "upper": high})
    return points
