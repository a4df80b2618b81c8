"""Spend a budget over many prompts, or buy at a price, or reach a target at least cost.

It assumes one value and one cost per prompt and allocation, exact or expected, and treats them as known. One
price prices everything: at a price each prompt takes its best value − price × cost, and the price is the one
at which the budget is used up; where the values come from is left to the curves, and what they cost to
`policies.cost.cost_model`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arguments import check_whole
from difficulty.errors import InvalidBudgetError
from policies.solver.feasible import Feasible
from policies.solver.reach import reach
from policies.solver.solution import Solution
from policies.solver.spend import spend


def solve(
    value: ArrayLike,
    cost: ArrayLike,
    *,
    budget: float | None = None,
    price: float | None = None,
    target: float | None = None,
    seed: int = 0,
) -> Solution:
    """Choose one allocation per prompt.

    Parameters
    ----------
    value : (P, A) array_like
        Value of each allocation for each prompt, e.g. expected accuracy; NaN where it is not to be had, be it
        that nothing was recorded or that it costs too much. float32 and float64 are used as they are.
    cost : (P, A) or (A,) array_like
        Its cost, finite and at least 0.
    budget : float, optional
        Total that the batch may cost, in the unit of `cost`.
    price : float, optional
        Value that a unit of cost must bring, at least 0.
    target : float, optional
        Mean value over the prompts that is to be reached at least cost. Exactly one of these three is given.
    seed : int
        Decides between prompts that are equally worth lifting.

    Returns
    -------
    Solution
        The total cost exceeds the limit by no more than rounding (1e-12 of it); the total value is within the
        gain of one step of the optimum, and never falls when the budget grows.

    Raises
    ------
    InvalidBudgetError
        When not exactly one of budget, price and target is given, when a number cannot be meant, or when a
        limit cannot be met; then `least` or `reachable` says what could be.
    InvalidInputError
        When an array is not as described.

    Notes
    -----
    The hull of each prompt gives steps of falling slope; taking the steps of all prompts in the order of
    slope is the optimum of the linear relaxation, with one prompt left between two allocations. That prompt
    stays at the cheaper one, and what is left of the budget goes to the steepest upgrades that still fit.
    Prompts that are alike share a slope and are lifted one by one, so that a mix comes out where all beliefs
    are equal. Large batches bracket the price on a sample first, and sort only the prompts whose choice
    differs within the bracket.

    Equal inputs and seed give equal bytes. Reordering prompts reorders the choice, except among prompts
    with equal slopes.

    References
    ----------
    Sinha and Zoltners 1979, doi:10.1287/opre.27.3.503 (multiple-choice knapsack and its
    relaxation); Everett 1963, doi:10.1287/opre.11.3.399 (prices). We add the seeded order among equals and
    the leftover rule.

    Examples
    --------
    Three equal prompts and money for two of them:

    >>> solution = solve([[0.4, 0.7]] * 3, [1, 4], budget=9)
    >>> sorted(solution.choice.tolist()), solution.total_cost
    ([0, 1, 1], 9.0)
    """
    menu = Feasible.of(value, cost)
    _refuse_contradictions(budget, price, target)
    check_whole("seed", seed)
    if menu.n_prompts == 0:
        return Solution(
            choice=np.zeros(0, dtype=np.intp),
            price=price or 0.0,
            total_cost=0.0,
            total_value=0.0,
            upper_bound=0.0,
        )
    if price is not None:
        return _buy(menu, price)
    if target is not None:
        return reach(menu, target, seed=seed)
    assert budget is not None  # _refuse_contradictions has seen to it
    return spend(menu, budget, seed=seed)


def _refuse_contradictions(budget: float | None, price: float | None, target: float | None) -> None:
    """Raise `InvalidBudgetError` where the arguments of `solve` do not go together."""
    given = {"budget": budget, "price": price, "target": target}
    named = {name: number for name, number in given.items() if number is not None}
    if len(named) != 1:
        raise InvalidBudgetError(
            "give exactly one of budget, price and target; got "
            f"{', '.join(named) if named else 'none of them'}"
        )
    (name, number), *_ = named.items()
    if math.isnan(number) or (name != "target" and number < 0) or (math.isinf(number) and name != "budget"):
        raise InvalidBudgetError(
            f"{name} must be a finite number{' >= 0' * (name != 'target')}, got {number!r}"
        )


def _buy(menu: Feasible, price: float) -> Solution:
    """Choose at a price: best value − price × cost, the cheaper of equals."""
    choice = np.empty(menu.n_prompts, dtype=np.intp)
    for chunk in menu.chunks():
        value, cost = menu.rows(chunk)
        net = value - price * cost
        best = net.max(axis=1, keepdims=True)
        empty = best[:, 0] == -np.inf
        if empty.any():
            menu.refuse_empty(chunk.start + int(empty.argmax()))
        choice[chunk] = np.where(net == best, cost, np.inf).argmin(axis=1)
    worth, spent = menu.totals(choice)
    return Solution(choice=choice, price=float(price), total_cost=spent, total_value=worth, upper_bound=worth)
