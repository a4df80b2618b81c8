"""The expected frontier of a batch: accuracy against cost, before anything is spent.

It is the hull of what whole batches take at each price; between two points some prompts take the dearer
level. What a batch takes is left to `planner.planning.menu`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.planning.menu import Menu
from policies.solver.hull import upper_hull

__all__ = ["FrontierPoint", "frontier_of"]


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
    """

    expected_cost: float
    expected_accuracy: float
    price: float


def frontier_of(
    menu: Menu, prices: NDArray[np.float64], *, origin: float = 0.0, n_points: int
) -> list[FrontierPoint]:
    """Return at most `n_points` points, cheapest first, of a menu at all of a policy's prices; values are
    counted from the `origin`.
    """
    cost, value = menu.cost.mean(axis=0), menu.told.mean(axis=0) + origin
    hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    points: list[FrontierPoint] = []
    for at in hull[np.argsort(cost[hull], kind="stable")]:
        point = FrontierPoint(float(cost[at]), float(value[at]), float(prices[at]))
        if not points or point.price < points[-1].price:
            points.append(point)
    kept = np.unique(np.linspace(0, len(points) - 1, n_points).round().astype(int))
    return [points[at] for at in kept]
