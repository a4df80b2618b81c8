"""Plans of groups of rollouts with a least and a most number: those that a bundle's belief gives, as plans.

A prompt that promises too little is left out and has no plan. Beliefs and sizes are left to
`policies.groups`; what is done epoch by epoch is asked of `planner.planner.Planner.groups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.planner import Planner
from policies.cost.budget import Budget, check_unit
from policies.course.allocation import Allocation
from policies.groups.group_planner import GroupPlanner
from policies.groups.rate_belief import RATES
from policies.groups.values import GroupValue, values_at
from policies.plan.objective import GROUP_OBJECTIVES
from policies.plan.plan import AllocationPlan

__all__ = ["group_plans"]


_UNITS: Final = ("output_tokens", "samples")
_ENDS: Final = (0.025, 0.975)


def group_plans(
    planner: Planner,
    prompts: Sequence[Prompt],
    *,
    generator: str | None = None,
    budget: Budget | None = None,
    price: float | None = None,
    floor: int = 2,
    cap: int = 32,
    seed: int = 0,
) -> list[AllocationPlan]:
    """Return the plan of each prompt that has a group, in order.

    Parameters
    ----------
    planner : Planner
        Of a bundle that was trained for ``"contrast"`` or ``"variance"``.
    prompts : sequence of Prompt
        The P prompts.
    generator : str, optional
        Whose rollouts they are; needed where the bundle knows several.
    budget : Budget, optional
        In samples or output tokens.
    price : float, optional
        In place of a budget: value that a unit of the bundle must bring.
    floor, cap : int
        Least and most rollouts of a group.
    seed : int
        Decides between prompts that are equally worth one more rollout.

    Raises
    ------
    InvalidInputError
        When the bundle is for something else, the unit another one, or no prompt has a group.
    InvalidBudgetError, UnknownGeneratorError
        As `policies.groups.group_planner.GroupPlanner.plan` and `planner.planner.Planner.groups`.

    Examples
    --------
    >>> group_plans(Planner.untrained(), [Prompt(text="1 + 1?")], price=0.1)
    Traceback (most recent call last):
    ...
    difficulty.errors.InvalidInputError: groups of rollouts need a bundle that was trained for contrast or \
variance, and this one was for accuracy
    """
    bundle = planner.bundle
    if bundle.objective not in GROUP_OBJECTIVES:
        raise InvalidInputError(
            f"groups of rollouts need a bundle that was trained for {' or '.join(GROUP_OBJECTIVES)}, and "
            f"this one was for {bundle.objective}"
        )
    unit = check_unit(bundle.unit if budget is None else budget.unit)
    if unit not in _UNITS:
        raise InvalidInputError(f"groups of rollouts are planned in {' or '.join(_UNITS)}, not in {unit}")
    value: Literal["contrast", "variance"] = "variance" if bundle.objective == "variance" else "contrast"
    groups = planner.groups(prompts, generator=generator, floor=floor, cap=cap, value=value)
    if unit == "samples":
        groups = GroupPlanner.start(groups.belief, floor=floor, cap=cap, value=value)
    total = None if budget is None else budget.total(n_prompts=len(prompts))
    found = groups.plan(total, price=price, seed=seed)
    name = generator or next(iter(bundle.generators))
    rows = np.flatnonzero(found.n)
    if not len(rows):
        raise InvalidInputError("the budget buys no group of the least size for any prompt; raise it")
    low, high = _between(groups.belief.shares[rows], found.n[rows], groups.value)
    return [
        AllocationPlan(
            prompt_id=prompts[row].id,
            allocation=Allocation(generator=name, strategy="majority_vote", width=int(found.n[row])),
            expected_accuracy=float(found.value[row]),
            accuracy_interval=(float(lower), float(upper)),
            expected_cost=float(found.cost[row]),
            unit=unit,
            objective=value,
            price=found.price,
            reason=f"a group of {found.n[row]}, at least {floor} and at most {cap}; one rollout more would "
            f"gain less than {found.price:.3g} per unit of cost",
        )
        for row, lower, upper in zip(rows.tolist(), low, high, strict=True)
    ]


def _between(shares: FloatArray, n: NDArray[np.int64], value: GroupValue) -> tuple[FloatArray, FloatArray]:
    """Return between which ends each group's value lies, by the belief about its rate."""
    low, high = np.empty(len(n)), np.empty(len(n))
    for size in np.unique(n).tolist():
        rows = np.flatnonzero(n == size)
        worth = values_at(RATES, np.array([size]), value)[:, 0]
        order = np.argsort(worth, kind="stable")
        mass = np.cumsum(shares[rows][:, order], axis=1)
        mean = shares[rows] @ worth
        ends = [worth[order[np.minimum((mass < end).sum(axis=1), len(order) - 1)]] for end in _ENDS]
        low[rows], high[rows] = np.minimum(ends[0], mean), np.maximum(ends[1], mean)
    return low, high
