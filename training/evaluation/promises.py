"""What was promised of the plans of a batch, and what they brought: values by fifth, and budgets, both ways.

Plans are those that the planner makes for the whole batch. What is realised is the measured value and cost of
the planned course of each prompt; a prompt whose course the log cannot tell is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBudgetError
from planner.planner import Planner
from planner.planning.request import STRANGE, UnfamiliarPromptsWarning
from policies.choice.telling import Telling
from policies.cost.budget import Budget, check_unit
from training.evaluation.bed import TestBed
from training.evaluation.comparison import on
from training.frontier import ends, interval, number

_N_FIFTHS: Final = 5
# Share of the scale within which a promise holds, however small its error is.
_NEAR: Final = 0.05
_ROUNDING: Final = 1 + 1e-9
_number: Final = partial(number, digits=9)


class Planned(NamedTuple):
    """Plans of P prompts at one budget.

    Attributes
    ----------
    budget : float
        Mean cost per prompt that was asked for.
    column : ndarray of intp, shape (P,)
        Course of each.
    told, told_cost : ndarray of float64, shape (P,)
        What plans say.
    value, cost : ndarray of float64, shape (P,)
        What was measured; NaN where the log cannot tell.
    n_strange : int
        Prompts that are unlike the training prompts, so that what is told is near the average of those.
    familiarity : ndarray of float64, shape (P,), or None
        How far each is like them, in [0, 1]; None where nobody can tell.
    """

    budget: float
    column: NDArray[np.intp]
    told: FloatArray
    told_cost: FloatArray
    value: FloatArray
    cost: FloatArray
    n_strange: int = 0
    familiarity: FloatArray | None = None


def plan_batch(planner: Planner, bed: TestBed, budgets: Sequence[float], *, seed: int = 0) -> list[Planned]:
    """Plan all test prompts at each budget, or at the least that is expected to buy one course each."""
    unit = check_unit(planner.bundle.unit)
    place = {course: column for column, course in enumerate(bed.subject.courses)}
    rows = np.arange(len(bed))
    batch = []
    with warnings.catch_warnings():
        # They are counted instead, once and in the report.
        warnings.simplefilter("ignore", UnfamiliarPromptsWarning)
        for budget in budgets:
            try:
                plans = planner.plan(bed.prompts, budget=Budget(limit=budget, unit=unit), seed=seed)
            except InvalidBudgetError as error:
                if error.least is None:
                    raise
                least = error.least * _ROUNDING / len(bed)
                plans = planner.plan(bed.prompts, budget=Budget(limit=least, unit=unit), seed=seed)
            column = np.array([place[plan.course] for plan in plans if plan.course is not None])
            like = np.array([plan.familiarity for plan in plans if plan.familiarity is not None])
            batch.append(
                Planned(
                    budget,
                    column,
                    np.array([plan.expected_accuracy for plan in plans]),
                    np.array([plan.expected_cost for plan in plans]),
                    bed.measured.value[rows, column],
                    bed.measured.cost[rows, column] + bed.reading,
                    int((like < STRANGE).sum()),
                    like if len(like) else None,
                )
            )
    return batch


def budget_rows(plans: Sequence[Planned], bed: TestBed, weights: FloatArray) -> list[dict[str, Any]]:
    """Return expected and realised cost and value, and the rounds that were waited for, per budget.

    Realised over budget is above 1 where more was spent than asked for, below where money was left.
    """
    table = []
    for plan in plans:
        known = ~np.isnan(plan.value)
        if not known.any():
            continue
        by = on(weights, known)
        ratio = by @ plan.cost[known] / plan.budget
        rounds = bed.measured.rounds[known, plan.column[known]]
        table.append(
            {
                "budget": plan.budget,
                "n_prompts": int(known.sum()),
                "expected_cost": _number(plan.told_cost.mean()),
                "realised_cost": _number(plan.cost[known].mean()),
                "realised_over_budget": _number(ratio[0]),
                "realised_over_budget_interval": ends(ratio[1:], digits=9),
                "expected_value": _number(plan.told.mean()),
                "realised_value": _number(plan.value[known].mean()),
                "mean_rounds": _number(rounds.mean()),
                "p95_rounds": _number(np.quantile(rounds, 0.95)),
            }
        )
    return table


def promise_rows(plans: Sequence[Planned], weights: FloatArray, telling: Telling) -> list[dict[str, Any]]:
    """Return what plans told and what they brought, by fifth of what they told, per budget.

    Parameters
    ----------
    plans : sequence of Planned
        Of the same P prompts.
    weights : ndarray of float64, shape (1 + B, P)
        Bootstrap replicates after the sample itself.
    telling : Telling
        By which plans were told.

    Returns
    -------
    list of dict
        Per budget: ``"told"``, with the ``"told_interval"`` of the mean, and ``"realised"`` over all prompts;
        ``"fifths"``, from the lowest promises to the highest, each with the same, the interval of realised,
        and cost told and realised. A promise ``"held"`` where realised is within .05 of the scale, or its
        interval holds what was told; ``"chance"`` is how often that is so if promises are right but for their
        stated error. ``"held_as_told"``: within .05, or within the interval that was told.
    """
    table = []
    for plan in plans:
        known = np.flatnonzero(~np.isnan(plan.value))
        if len(known):
            order = known[np.argsort(plan.told[known], kind="stable")]
            whole = _promise(plan, known, weights, telling)
            table.append(
                {
                    "budget": plan.budget,
                    **{name: whole[name] for name in ("told", "told_interval", "realised")},
                    "fifths": [
                        _promise(plan, rows, weights, telling)
                        for rows in np.array_split(order, _N_FIFTHS)
                        if len(rows)
                    ],
                }
            )
    return table


def _promise(plan: Planned, rows: NDArray[np.intp], weights: FloatArray, telling: Telling) -> dict[str, Any]:
    """Return what was told of some prompts and what came."""
    mask = np.zeros(len(plan.told), dtype=bool)
    mask[rows] = True
    weighed, came = on(weights, mask), plan.value[mask]
    found = weighed @ came
    realised, (low, high) = float(found[0]), interval(found[1:])
    promised, near = plan.told[mask], _NEAR * telling.scale.span
    familiarity = None if plan.familiarity is None else plan.familiarity[mask]
    told, (lower, upper) = float(promised.mean()), telling.mean_interval(promised, familiarity)
    shared, _ = telling.mean_errors(promised, familiarity)
    # What right promises would be off by in each replicate; its interval is as wide as its values lie apart.
    apart = np.sqrt(np.maximum(weighed @ came**2 - found**2, 0.0))
    wide = apart[1:] / apart[0] if apart[0] > 0 else np.ones(len(found) - 1)
    off = realised - found[1:] + shared * np.random.default_rng(0).standard_normal(len(wide))
    chance = (np.abs(off) <= near) | ((low - realised) * wide <= off) & (off <= (high - realised) * wide)
    return {
        "n_prompts": len(rows),
        "told": _number(told),
        "told_interval": [_number(lower), _number(upper)],
        "realised": _number(realised),
        "interval": [_number(low), _number(high)],
        "told_cost": _number(plan.told_cost[mask].mean()),
        "realised_cost": _number(plan.cost[mask].mean()),
        "held": bool(abs(told - realised) <= near or low <= told <= high),
        "held_as_told": bool(abs(told - realised) <= near or lower <= realised <= upper),
        "chance": _number(chance.mean()),
    }
