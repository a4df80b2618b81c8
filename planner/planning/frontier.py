"""The expected frontier of a batch: accuracy against cost, before anything is spent.

It is the hull of what whole batches take at each price; between two points some prompts take the dearer
level. What a batch takes is left to `planner.planning.menu`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.planning.menu import Menu
from policies.choice.course_policy import CoursePolicy
from policies.solver.hull import hull_of_one


class FrontierPoint(NamedTuple):
    """A point of the expected frontier.

    Attributes
    ----------
    expected_cost : float
        Mean cost per prompt, in the unit asked for.
    expected_accuracy : float
        Mean expected accuracy (or coverage).
    price : float
        Value per unit of cost at which the point is reached.
    interval : tuple of float
        95 % interval that holds the mean accuracy of repeated runs: training prompts were a sample, and these
        prompts are one.
    """

    expected_cost: float
    expected_accuracy: float
    price: float
    interval: tuple[float, float]


def frontier_of(menu: Menu, policy: CoursePolicy, *, n_points: int) -> list[FrontierPoint]:
    """Return at most `n_points` points, cheapest first, of a menu at all prices of a policy."""
    telling = policy.telling
    cost, value = menu.cost.mean(axis=0), menu.told.mean(axis=0) + telling.origin
    points: list[FrontierPoint] = []
    for at in hull_of_one(value, cost):
        price = float(policy.prices[at])
        if not points or price < points[-1].price:
            low, high = telling.mean_interval(menu.told[:, at], menu.familiarity)
            ends = low + telling.origin, high + telling.origin
            points.append(FrontierPoint(float(cost[at]), float(value[at]), price, ends))
    kept = np.unique(np.linspace(0, len(points) - 1, min(n_points, len(points))).round().astype(int))
    return [points[at] for at in kept]
