"""Choose under a budget: take the steepest steps of the batch until one does not fit.

It assumes known values and costs. What is left of the budget after the steps is spent by
`policies.solver.leftover`.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from difficulty.errors import InvalidBudgetError
from policies.solver.feasible import Feasible
from policies.solver.leftover import fill
from policies.solver.solution import ROUNDING, Solution
from policies.solver.steps import apply_steps, ordered_steps


def spend(menu: Feasible, budget: float, *, seed: int) -> Solution:
    """Choose under a budget for the batch.

    Parameters
    ----------
    menu : Feasible
        Values and costs of P prompts × A allocations.
    budget : float
        Total that the batch may cost, at least 0; infinite for no limit.
    seed : int
        Decides between prompts that are equally worth lifting.

    Raises
    ------
    InvalidBudgetError
        When the budget is below the cheapest choice, or a prompt has no allocation left.

    Examples
    --------
    >>> menu = Feasible.of([[0.1, 0.6], [0.3, 0.5]], [1, 4])
    >>> spend(menu, 6.0, seed=0).choice.tolist()
    [1, 0]
    """
    allowed = budget * (1 + ROUNDING)
    steps, bracket, rank = ordered_steps(menu, budget, by_value=False, seed=seed)
    room = allowed - bracket.base_cost
    if room < 0:
        _refuse_poor(budget, bracket.base_cost, menu.n_prompts)
    spent = np.cumsum(steps.cost)
    taken = int(np.searchsorted(spent, room, side="right"))
    choice = apply_steps(bracket.start, steps, taken)
    total_value, total_cost = menu.totals(choice)
    bound, price = total_value, 0.0
    if taken < steps.slope.size:
        price = float(steps.slope[taken])
        bound += price * max(budget - total_cost, 0.0)
        fill(menu, choice, allowed - total_cost, rank)
        total_value, total_cost = menu.totals(choice)
    return Solution(
        choice=choice,
        price=price,
        total_cost=total_cost,
        total_value=total_value,
        upper_bound=max(bound, total_value),
    )


def _refuse_poor(budget: float, least: float, n_prompts: int) -> NoReturn:
    """Raise the error for a budget below the cheapest choice, with the least budget."""
    from decimal import ROUND_CEILING, Context

    # A figure that a message asks for must be enough when it is typed in.
    enough = Context(prec=6, rounding=ROUND_CEILING).create_decimal_from_float(least)
    raise InvalidBudgetError(
        f"budget {budget:g} is below {least:g}, the cost of the cheapest allocation of all {n_prompts} "
        f"prompts ({least / n_prompts:g} per prompt); raise it to {enough:g} or add cheaper allocations to "
        "the menu",
        least=least,
    )
