"""Choose for a single prompt, where a server cannot wait for the machinery of a batch.

It assumes one row of values and costs, and gives what `policies.solver.spend` and `policies.solver.reach`
give for one prompt. Menus of some fifty allocations take a few dozen microseconds, because plain Python beats
array calls at this size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.solver.feasible import Feasible
from policies.solver.reach import refuse_unreachable
from policies.solver.solution import ROUNDING, Fractional, Solution
from policies.solver.spend import refuse_poor

__all__ = ["reach_one", "spend_one"]


class _Point(NamedTuple):
    """An allocation of the prompt."""

    cost: float
    value: float
    allocation: int


def spend_one(menu: Feasible, budget: float, *, fill_leftover: bool = True) -> Solution:
    """Choose the best allocation of one prompt within a budget.

    Parameters
    ----------
    menu : Feasible
        Values and costs of 1 prompt × A allocations.
    budget : float
        What it may cost, at least 0.
    fill_leftover : bool
        Take the best allocation that fits; False: the best one on the hull.

    Raises
    ------
    InvalidBudgetError
        When nothing is available or fits.

    Examples
    --------
    >>> spend_one(Feasible.of([[0.2, 0.3, 0.9]], [1, 4, 9]), 8.0).choice.tolist()
    [1]
    """
    allowed = budget * (1 + ROUNDING)
    points = _points(menu)
    if points[0].cost > allowed:
        refuse_poor(budget, points[0].cost, 1)
    hull = _hull(points)
    below = max(index for index, point in enumerate(hull) if point.cost <= allowed)
    chosen = hull[below]
    bound, price, fractional = chosen.value, 0.0, None
    if below + 1 < len(hull):
        lower, upper = hull[below], hull[below + 1]
        left, extra = max(budget - lower.cost, 0.0), upper.cost - lower.cost
        price = (upper.value - lower.value) / extra
        bound += price * left
        fractional = _fractional(lower, upper, left / extra)
        if fill_leftover:
            affordable = [point for point in points if point.cost <= allowed]
            # max keeps the first of equals, which is the cheapest.
            chosen = max(affordable, key=lambda point: point.value)
    return _solution(chosen, price=price, bound=bound, fractional=fractional, limit=budget)


def reach_one(menu: Feasible, target: float) -> Solution:
    """Choose the cheapest allocation of one prompt whose value reaches a target.

    Parameters
    ----------
    menu : Feasible
        Values and costs of 1 prompt × A allocations.
    target : float
        Value wanted.

    Raises
    ------
    InvalidBudgetError
        When nothing is available or good enough.

    Examples
    --------
    >>> reach_one(Feasible.of([[0.2, 0.3, 0.9]], [1, 4, 9]), 0.25).choice.tolist()
    [1]
    """
    enough = target - ROUNDING * abs(target)
    points = _points(menu)
    hull = _hull(points)
    if hull[-1].value < enough:
        refuse_unreachable(target, hull[-1].value, hull[-1].cost, 1)
    above = min(index for index, point in enumerate(hull) if point.value >= enough)
    if above == 0:
        return _solution(hull[0], price=0.0, bound=hull[0].value, fractional=None, limit=math.inf)
    lower, upper = hull[above - 1], hull[above]
    gain = upper.value - lower.value
    price = gain / (upper.cost - lower.cost)
    chosen = next(point for point in points if point.value >= enough)
    return _solution(
        chosen,
        price=price,
        bound=max(chosen.value, lower.value + price * (chosen.cost - lower.cost)),
        fractional=_fractional(lower, upper, (enough - lower.value) / gain),
        limit=math.inf,
    )


def _points(menu: Feasible) -> list[_Point]:
    """Return the available allocations from cheap to dear, among equally dear ones the best first."""
    value, cost = menu.rows(slice(0, 1))
    pairs = zip(cost[0].tolist(), value[0].tolist(), range(menu.n_allocations), strict=True)
    points = [_Point(*pair) for pair in pairs if pair[1] > -math.inf]
    if not points:
        menu.refuse_empty(0)
    points.sort(key=lambda point: (point.cost, -point.value))
    return points


def _hull(points: list[_Point]) -> list[_Point]:
    """Return the upper hull of sorted points; points on a straight line stay."""
    hull = points[:1]
    for point in points[1:]:
        if point.value <= hull[-1].value:
            continue
        # Compared as products: the last corner falls when it lies below the line from its predecessor to this
        # point.
        while len(hull) > 1:
            before, last = hull[-2], hull[-1]
            rise = (last.value - before.value) * (point.cost - last.cost)
            if rise >= (point.value - last.value) * (last.cost - before.cost) * (1 - ROUNDING):
                break
            hull.pop()
        hull.append(point)
    return hull


def _fractional(lower: _Point, upper: _Point, probability: float) -> Fractional:
    """Return the split of the prompt between two corners."""
    return Fractional(
        0, lower.allocation, upper.allocation, min(max(probability, 0.0), math.nextafter(1.0, 0.0))
    )


def _solution(
    chosen: _Point, *, price: float, bound: float, fractional: Fractional | None, limit: float
) -> Solution:
    """Return the solution for one prompt."""
    return Solution(
        choice=np.array([chosen.allocation], dtype=np.intp),
        price=price,
        total_cost=chosen.cost,
        total_value=chosen.value,
        upper_bound=max(bound, chosen.value),
        fractional=fractional,
        limit=limit,
    )
