"""What was promised of the plans of a batch, and what they brought: values by fifth, and budgets, both ways.

Plans are those that the planner makes for the whole batch. What is realised is the measured value and cost of
the planned course of each prompt; a prompt whose course the log cannot tell is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBudgetError
from planner.planner import Planner
from planner.planning.request import STRANGE, UnfamiliarPromptsWarning
from policies.cost.budget import Budget, check_unit
from training.evaluation.bed import TestBed
from training.evaluation.comparison import on
from training.frontier import interval

__all__ = ["Planned", "budget_rows", "plan_batch", "promise_rows"]

FloatArray: TypeAlias = NDArray[np.float64]

_N_FIFTHS: Final = 5
_ROUNDING: Final = 1 + 1e-9


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
    """

    budget: float
    column: NDArray[np.intp]
    told: FloatArray
    told_cost: FloatArray
    value: FloatArray
    cost: FloatArray
    n_strange: int = 0


def plan_batch(planner: Planner, bed: TestBed, budgets: Sequence[float], *, seed: int = 0) -> list[Planned]:
    """Plan all test prompts at each budget, or at the least that is expected to buy one course each."""
    with warnings.catch_warnings():
        # They are counted instead, once and in the report.
        warnings.simplefilter("ignore", UnfamiliarPromptsWarning)
        return _plan_batch(planner, bed, budgets, seed)


def _plan_batch(planner: Planner, bed: TestBed, budgets: Sequence[float], seed: int) -> list[Planned]:
    unit = check_unit(planner.bundle.unit)
    place = {course: column for column, course in enumerate(bed.subject.courses)}
    rows = np.arange(len(bed))
    batch = []
    for budget in budgets:
        try:
            plans = planner.plan(bed.prompts, budget=Budget(limit=budget, unit=unit), seed=seed)
        except InvalidBudgetError as error:
            if error.least is None:
                raise
            least = error.least * _ROUNDING / len(bed)
            plans = planner.plan(bed.prompts, budget=Budget(limit=least, unit=unit), seed=seed)
        column = np.array([place[plan.course] for plan in plans if plan.course is not None])
        batch.append(
            Planned(
                budget,
                column,
                np.array([plan.expected_accuracy for plan in plans]),
                np.array([plan.expected_cost for plan in plans]),
                bed.measured.value[rows, column],
                bed.measured.cost[rows, column],
                sum(plan.familiarity is not None and plan.familiarity < STRANGE for plan in plans),
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
                "realised_over_budget_interval": _interval(ratio[1:]),
                "expected_value": _number(plan.told.mean()),
                "realised_value": _number(plan.value[known].mean()),
                "mean_rounds": _number(rounds.mean()),
                "p95_rounds": _number(np.quantile(rounds, 0.95)),
            }
        )
    return table


def promise_rows(plans: Sequence[Planned], weights: FloatArray, *, span: float = 1.0) -> list[dict[str, Any]]:
    """Return what plans told and what they brought, by fifth of what they told, per budget.

    Returns
    -------
    list of dict
        Per budget: ``"told"`` and ``"realised"`` over all prompts; ``"fifths"``, from the lowest promises to
        the highest, each with told, realised, the interval of realised, cost told and realised, and whether
        the promise ``"held"``: within .05 of the `span` of values, or within the interval.
    """
    table = []
    for plan in plans:
        known = np.flatnonzero(~np.isnan(plan.value))
        if not len(known):
            continue
        order = known[np.argsort(plan.told[known], kind="stable")]
        fifths = []
        for rows in np.array_split(order, _N_FIFTHS):
            if len(rows):
                mask = np.zeros(len(plan.told), dtype=bool)
                mask[rows] = True
                realised = on(weights, mask) @ plan.value[mask]
                told, (low, high) = float(plan.told[mask].mean()), interval(realised[1:])
                near = abs(told - float(realised[0])) <= 0.05 * span
                fifths.append(
                    {
                        "n_prompts": len(rows),
                        "told": _number(told),
                        "realised": _number(realised[0]),
                        "interval": [_number(low), _number(high)],
                        "told_cost": _number(plan.told_cost[mask].mean()),
                        "realised_cost": _number(plan.cost[mask].mean()),
                        "held": bool(near or low <= told <= high),
                    }
                )
        table.append(
            {
                "budget": plan.budget,
                "told": _number(plan.told[known].mean()),
                "realised": _number(plan.value[known].mean()),
                "fifths": fifths,
            }
        )
    return table


def _number(value: float) -> float:
    return round(float(value), 9)


def _interval(replicates: FloatArray) -> list[float]:
    low, high = interval(replicates)
    return [_number(low), _number(high)]
