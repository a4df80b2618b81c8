"""Spend a budget over many prompts, or buy at a price, or reach a target at least cost.

It assumes one value and one cost per prompt and allocation, exact or expected, and treats them as known. One
price prices everything: at a price each prompt takes its best value − price × cost, and the price is the one
at which the budget is used up; where the values come from is left to the curves, and what they cost to
`policies.cost`.

The method is the classical one for the multiple-choice knapsack. The hull of each prompt (`policies.hull`)
gives steps of falling slope; taking all steps of all prompts in the order of slope is the optimum of the
linear relaxation, with one prompt left between two allocations. That prompt stays at the cheaper one, and
what is left of the budget goes to the steepest upgrades that still fit (`policies.leftover`). Prompts that
are alike share a slope and are lifted one by one, so that a mix comes out where all beliefs are equal. Large
batches bracket the price first (`policies.bracket`).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidBudgetError
from policies.bracket import Bracket, bracket_price, whole_range
from policies.exact_solver import solve_exact
from policies.feasible import Feasible, IntArray
from policies.hull import Increments, hull_increments
from policies.leftover import cheapest_upgrade, fill
from policies.overrun import safety_margin
from policies.solution import Fractional, Solution

__all__ = ["solve"]

# Above this many values the price is bracketed on a sample of prompts first; below, one pass over all is
# quicker.
_LARGE: Final = 1 << 19
# Sums of a million costs differ in their last digits by the order of adding; a budget is kept up to this
# share of it.
_ROUNDING: Final = 1e-12
_OVERRUN_ROUNDS: Final = 30


def solve(
    value: ArrayLike,
    cost: ArrayLike,
    *,
    budget: float | None = None,
    price: float | None = None,
    target: float | None = None,
    cap: ArrayLike | None = None,
    floor: ArrayLike | None = None,
    floor_cost: ArrayLike | None = None,
    overrun: float | None = None,
    cost_variance: ArrayLike | None = None,
    fill_leftover: bool = True,
    exact: bool = False,
    seed: int = 0,
) -> Solution:
    """Choose one allocation per prompt.

    Parameters
    ----------
    value : (P, A) array_like
        Value of each allocation for each prompt, e.g. expected accuracy; NaN where it is not available.
        float32 and float64 are used as they are.
    cost : (P, A) or (A,) array_like
        Its cost, finite and at least 0.
    budget : float, optional
        Total that the batch may cost, in the unit of `cost`.
    price : float, optional
        Value that a unit of cost must bring, at least 0.
    target : float, optional
        Mean value over the prompts that is to be reached at least cost. Exactly one of these three is given.
    cap : float or (P,) array_like, optional
        Hard cap on the cost of each prompt.
    floor : float or (P,) array_like, optional
        Least value of each prompt; allocations below it are not considered.
    floor_cost : float or (P,) array_like, optional
        Least cost of each prompt; allocations below it are not considered.
    overrun : float, optional
        With a budget and `cost_variance`: the chance, above 0 and below 0.5, that the actual total exceeds
        the budget.
    cost_variance : (P, A) or (A,) array_like, optional
        Variance of the actual cost of each allocation, at least 0; `cost` is then its mean.
    fill_leftover : bool
        Spend what the relaxation leaves on the steepest upgrades that fit.
    exact : bool
        With a budget and a small batch: the true optimum by dynamic programming.
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
    ----- Equal inputs and seed give equal bytes. Reordering prompts reorders the choice, except among prompts
    with equal slopes. With `overrun`, the limit is the budget minus z times the standard deviation of the
    total cost, costs of different prompts being independent and their sum normal; that is crude for a handful
    of prompts with heavy tails.

    References
    ---------- Sinha and Zoltners 1979, doi:10.1287/opre.27.3.503 (multiple-choice knapsack and its
    relaxation); Everett 1963, doi:10.1287/opre.11.3.399 (prices). We add the seeded order among equals and
    the leftover rule.

    Examples
    --------
    Three equal prompts and money for two of them:

    >>> solution = solve([[0.4, 0.7]] * 3, [1, 4], budget=9)
    >>> sorted(solution.choice.tolist()), solution.total_cost
    ([0, 1, 1], 9.0)
    """
    menu = Feasible.of(value, cost, cap=cap, floor=floor, floor_cost=floor_cost)
    _refuse_contradictions(budget, price, target, overrun, cost_variance, exact)
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
        return _reach(menu, target, seed)
    assert budget is not None  # _refuse_contradictions has seen to it
    if overrun is None:
        return _spend(menu, budget, seed=seed, fill_leftover=fill_leftover, exact=exact)
    assert cost_variance is not None
    return _spend_safely(
        menu,
        budget,
        variance=Feasible.of(menu.value, cost_variance),
        overrun=overrun,
        seed=seed,
        fill_leftover=fill_leftover,
        exact=exact,
    )


def _refuse_contradictions(
    budget: float | None,
    price: float | None,
    target: float | None,
    overrun: float | None,
    cost_variance: ArrayLike | None,
    exact: bool,
) -> None:
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
    if budget is None and (overrun is not None or exact):
        raise InvalidBudgetError("overrun and exact need a budget; a price or a target has no limit to keep")
    if (overrun is None) != (cost_variance is None):
        raise InvalidBudgetError("overrun and cost_variance go together; give both or none")
    if overrun is not None and not 0 < overrun < 0.5:
        raise InvalidBudgetError(f"overrun must be above 0 and below 0.5, got {overrun!r}")


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
    worth, spent = menu.at(choice)
    total = float(worth.sum())
    return Solution(
        choice=choice, price=float(price), total_cost=float(spent.sum()), total_value=total, upper_bound=total
    )


def _spend(menu: Feasible, budget: float, *, seed: int, fill_leftover: bool, exact: bool) -> Solution:
    """Choose under a budget for the batch."""
    allowed = budget * (1 + _ROUNDING)
    steps, bracket, order = _ordered_steps(menu, budget, by_value=False, seed=seed)
    room = allowed - bracket.base_cost
    if room < 0:
        least = bracket.base_cost
        raise InvalidBudgetError(
            f"budget {budget:g} is below {least:g}, the cost of the cheapest allocation of all "
            f"{menu.n_prompts} prompts "
            f"({least / menu.n_prompts:g} per prompt); raise it to {least:g} or add cheaper allocations to "
            "the menu",
            least=least,
        )
    spent = np.cumsum(steps.cost)
    taken = int(np.searchsorted(spent, room, side="right"))
    choice = _apply(bracket.start, steps, taken)
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


def _spend_safely(
    menu: Feasible,
    budget: float,
    *,
    variance: Feasible,
    overrun: float,
    seed: int,
    fill_leftover: bool,
    exact: bool,
) -> Solution:
    """Choose under a budget that the actual total exceeds with a small chance only."""
    cheapest = whole_range(menu)
    margin = safety_margin(float(variance.at(cheapest.start)[1].sum()), overrun=overrun)
    if cheapest.base_cost + margin > budget * (1 + _ROUNDING):
        least = cheapest.base_cost + margin
        raise InvalidBudgetError(
            f"budget {budget:g} is below {least:g}, what the cheapest allocations need to keep the chance of "
            "overrun at "
            f"{overrun:g}; raise it or allow a greater chance of overrun",
            least=least,
        )
    limit = budget
    for last in (False,) * _OVERRUN_ROUNDS + (True,):
        limit = cheapest.base_cost if last else limit
        solution = _spend(menu, limit, seed=seed, fill_leftover=fill_leftover, exact=exact)
        margin = safety_margin(float(variance.at(solution.choice)[1].sum()), overrun=overrun)
        if solution.total_cost + margin <= budget * (1 + _ROUNDING):
            break
        # Cheaper choices vary less as a rule, so the margin of this one is enough; where not, halve the way
        # down.
        limit = max(budget - margin, (limit + cheapest.base_cost) / 2)
    return solution


def _reach(menu: Feasible, target: float, seed: int) -> Solution:
    """Choose the least cost whose mean value reaches a target."""
    wanted = target * menu.n_prompts
    slack = _ROUNDING * abs(wanted)
    steps, bracket, order = _ordered_steps(menu, wanted, by_value=True, seed=seed)
    gained = bracket.base_value + np.cumsum(steps.gain)
    taken = int(np.searchsorted(gained, wanted - slack, side="left"))
    if bracket.base_value >= wanted - slack:
        taken = -1
    choice = _apply(bracket.start, steps, max(taken, 0))
    price, fractional = 0.0, None
    worth, paid = menu.at(choice)
    total_value, total_cost = float(worth.sum()), float(paid.sum())
    bound = total_value
    if taken >= 0:
        if taken >= steps.slope.size:
            reachable, least = total_value / menu.n_prompts, total_cost
            raise InvalidBudgetError(
                f"target {target:g} cannot be reached: the best allocations of these {menu.n_prompts} "
                "prompts give "
                f"{reachable:g} on average, at a cost of {least:g}; lower the target, raise the cap or add "
                "allocations",
                least=least,
                reachable=reachable,
            )
        price = float(steps.slope[taken])
        need = wanted - slack - total_value
        fractional = Fractional(
            int(steps.prompt[taken]),
            int(steps.lower[taken]),
            int(steps.upper[taken]),
            min(max(need / float(steps.gain[taken]), 0.0), math.nextafter(1.0, 0.0)),
        )
        prompt, allocation = cheapest_upgrade(menu, choice, need, order)
        choice[prompt] = allocation
        cheaper = total_cost
        worth, paid = menu.at(choice)
        total_value, total_cost = float(worth.sum()), float(paid.sum())
        bound = max(total_value, bound + price * (total_cost - cheaper))
    return Solution(
        choice=choice,
        price=price,
        total_cost=total_cost,
        total_value=total_value,
        upper_bound=bound,
        fractional=fractional,
    )


def _ordered_steps(
    menu: Feasible, wanted: float, *, by_value: bool, seed: int
) -> tuple[Increments, Bracket, NDArray[np.intp]]:
    """Return the steps that may matter, steepest first, the bracket that they start from, and the order among
    equals."""
    order = np.random.default_rng(seed).permutation(menu.n_prompts)
    if menu.value.size <= _LARGE:
        bracket = whole_range(menu)
    else:
        bracket = bracket_price(menu, wanted, by_value=by_value, order=order)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    active = bracket.active[np.argsort(rank[bracket.active], kind="stable")]
    rows = max(1, _LARGE // menu.n_allocations)
    parts = []
    for begin in range(0, active.size, rows):
        index = active[begin : begin + rows]
        value, cost = menu.rows(index)
        steps = hull_increments(value, cost, start=bracket.start[index], last=bracket.last[index])
        parts.append(steps._replace(prompt=index[steps.prompt]))
    steps = Increments.concatenate(parts)
    return steps.take(np.argsort(-steps.slope, kind="stable")), bracket, order


def _apply(start: IntArray, steps: Increments, taken: int) -> IntArray:
    """Return the choice after the first `taken` steps."""
    choice = start.copy()
    # Later steps of a prompt come later in the order, and the last assignment to an index is the one that
    # stays.
    choice[steps.prompt[:taken]] = steps.upper[:taken]
    return choice
