"""Choose under a budget: take the steepest steps of the batch until one does not fit.

It assumes known values and costs, or known means and variances of the costs. What is left of the budget after
the steps is spent by `policies.solver.leftover`.
"""

from __future__ import annotations

import math
from typing import Final, NoReturn

import numpy as np

from difficulty.errors import InvalidBudgetError
from policies.solver.bracket import whole_range
from policies.solver.exact_solver import solve_exact
from policies.solver.feasible import Feasible
from policies.solver.leftover import fill
from policies.solver.overrun import safety_margin
from policies.solver.solution import ROUNDING, Fractional, Solution
from policies.solver.steps import apply_steps, ordered_steps

__all__ = ["spend", "spend_safely"]

_ROUNDS: Final = 30


def spend(menu: Feasible, budget: float, *, seed: int, fill_leftover: bool, exact: bool) -> Solution:
    """Choose under a budget for the batch.

    Parameters
    ----------
    menu : Feasible
        Values and costs of P prompts × A allocations.
    budget : float
        Total that the batch may cost, at least 0; infinite for no limit.
    seed, fill_leftover, exact
        As in `policies.solver.solver.solve`.

    Raises
    ------
    InvalidBudgetError
        When the budget is below the cheapest choice, or a prompt has no allocation left.

    Examples
    --------
    >>> menu = Feasible.of([[0.1, 0.6], [0.3, 0.5]], [1, 4])
    >>> spend(menu, 6.0, seed=0, fill_leftover=True, exact=False).choice.tolist()
    [1, 0]
    """
    allowed = budget * (1 + ROUNDING)
    steps, bracket, order = ordered_steps(menu, budget, by_value=False, seed=seed)
    room = allowed - bracket.base_cost
    if room < 0:
        _refuse_poor(budget, bracket.base_cost, menu.n_prompts)
    spent = np.cumsum(steps.cost)
    taken = int(np.searchsorted(spent, room, side="right"))
    choice = apply_steps(bracket.start, steps, taken)
    worth, paid = menu.at(choice)
    total_value, total_cost = float(worth.sum()), float(paid.sum())
    bound, price, fractional = total_value, 0.0, None
    if taken < steps.slope.size:
        left = max(budget - total_cost, 0.0)
        price = float(steps.slope[taken])
        bound += price * left
        fractional = Fractional(
            int(steps.prompt[taken]),
            int(steps.lower[taken]),
            int(steps.upper[taken]),
            min(left / float(steps.cost[taken]), math.nextafter(1.0, 0.0)),
        )
        if exact:
            choice = solve_exact(menu, budget)
        elif fill_leftover:
            fill(menu, choice, allowed - total_cost, order)
        worth, paid = menu.at(choice)
        total_value, total_cost = float(worth.sum()), float(paid.sum())
    return Solution(
        choice=choice,
        price=price,
        total_cost=total_cost,
        total_value=total_value,
        upper_bound=max(bound, total_value),
        fractional=fractional,
        limit=budget,
    )


def spend_safely(
    menu: Feasible,
    budget: float,
    *,
    variance: Feasible,
    overrun: float,
    seed: int,
    fill_leftover: bool,
    exact: bool,
) -> Solution:
    """Choose under a budget that the actual total exceeds with a small chance only.

    Parameters
    ----------
    menu : Feasible
        Values and mean costs.
    budget : float
        Total that the actual cost may exceed with probability `overrun`.
    variance : Feasible
        The same values with the variances of the costs in the place of costs.
    overrun : float
        Above 0 and below 0.5.
    seed, fill_leftover, exact
        As in `policies.solver.solver.solve`.

    Raises
    ------
    InvalidBudgetError
        When not even the cheapest choice is safe enough, or a prompt has no allocation left.

    Examples
    --------
    >>> menu = Feasible.of([[0.1, 0.6]] * 50, [1, 4])
    >>> safe = spend_safely(
    ...     menu,
    ...     100.0,
    ...     variance=Feasible.of(menu.value, [1, 4]),
    ...     overrun=0.05,
    ...     seed=0,
    ...     fill_leftover=True,
    ...     exact=False,
    ... )
    >>> safe.total_cost
    83.0
    """
    cheapest = whole_range(menu)
    margin = safety_margin(float(variance.at(cheapest.start)[1].sum()), overrun=overrun)
    if cheapest.base_cost + margin > budget * (1 + ROUNDING):
        least = cheapest.base_cost + margin
        raise InvalidBudgetError(
            f"budget {budget:g} is below {least:g}, what the cheapest allocations need to keep the chance of "
            f"overrun at {overrun:g}; raise it or allow a greater chance of overrun",
            least=least,
        )
    limit = budget
    for last in (False,) * _ROUNDS + (True,):
        limit = cheapest.base_cost if last else limit
        solution = spend(menu, limit, seed=seed, fill_leftover=fill_leftover, exact=exact)
        margin = safety_margin(float(variance.at(solution.choice)[1].sum()), overrun=overrun)
        if solution.total_cost + margin <= budget * (1 + ROUNDING):
            break
        # Cheaper choices vary less as a rule, so this margin is enough; where not, halve the way down.
        limit = max(budget - margin, (limit + cheapest.base_cost) / 2)
    return solution


def _refuse_poor(budget: float, least: float, n_prompts: int) -> NoReturn:
    """Raise the error for a budget below the cheapest choice, with the least budget."""
    from decimal import ROUND_CEILING, Context

    # A figure that a message asks for must be enough when it is typed in.
    enough = Context(prec=6, rounding=ROUND_CEILING).create_decimal_from_float(least)
    raise InvalidBudgetError(
        f"budget {budget:g} is below {least:g}, the cost of the cheapest allocation of all {n_prompts} "
        "prompts "
        f"({least / n_prompts:g} per prompt); raise it to {enough:g} or add cheaper allocations to the menu",
        least=least,
    )
