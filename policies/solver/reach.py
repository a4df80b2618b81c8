"""Reach a target at least cost: take the steepest steps of the batch until the mean value is high enough.

It assumes known values and costs. The last step is exchanged for the cheapest single upgrade that is enough.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from difficulty.errors import InvalidBudgetError
from policies.solver.feasible import Feasible
from policies.solver.leftover import cheapest_upgrade
from policies.solver.solution import ROUNDING, Solution
from policies.solver.steps import apply_steps, ordered_steps


def reach(menu: Feasible, target: float, *, seed: int) -> Solution:
    """Choose the least cost whose mean value reaches a target.

    Parameters
    ----------
    menu : Feasible
        Values and costs of P prompts × A allocations.
    target : float
        Mean value over the prompts.
    seed : int
        Decides between prompts that are equally worth lifting.

    Raises
    ------
    InvalidBudgetError
        When the best choice is below the target, or a prompt has no allocation left.

    Examples
    --------
    >>> reach(Feasible.of([[0.1, 0.6], [0.3, 0.5]], [1, 4]), 0.4, seed=0).choice.tolist()
    [1, 0]
    """
    wanted = target * menu.n_prompts
    slack = ROUNDING * abs(wanted)
    steps, bracket, rank = ordered_steps(menu, wanted, by_value=True, seed=seed)
    gained = bracket.base_value + np.cumsum(steps.gain)
    taken = int(np.searchsorted(gained, wanted - slack, side="left"))
    if bracket.base_value >= wanted - slack:
        taken = -1
    choice = apply_steps(bracket.start, steps, max(taken, 0))
    price = 0.0
    total_value, total_cost = menu.totals(choice)
    bound = total_value
    if taken >= 0:
        if taken >= steps.slope.size:
            _refuse_unreachable(target, total_value / menu.n_prompts, total_cost, menu.n_prompts)
        price = float(steps.slope[taken])
        need = wanted - slack - total_value
        prompt, allocation = cheapest_upgrade(menu, choice, need, rank)
        choice[prompt] = allocation
        cheaper = total_cost
        total_value, total_cost = menu.totals(choice)
        bound = max(total_value, bound + price * (total_cost - cheaper))
    return Solution(
        choice=choice,
        price=price,
        total_cost=total_cost,
        total_value=total_value,
        upper_bound=bound,
    )


def _refuse_unreachable(target: float, reachable: float, least: float, n_prompts: int) -> NoReturn:
    """Raise the error for a target above what the best allocations give, with what they give and cost."""
    from decimal import ROUND_FLOOR, Context

    # A figure that a message offers must be within reach when it is typed in.
    shown = Context(prec=6, rounding=ROUND_FLOOR).create_decimal_from_float(reachable)
    raise InvalidBudgetError(
        f"target {target:g} cannot be reached: the best allocations of these {n_prompts} prompts give "
        f"{shown:g} on average, at a cost of {least:g}; lower the target or add allocations",
        least=least,
        reachable=reachable,
    )
