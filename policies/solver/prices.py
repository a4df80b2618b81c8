"""One price prices everything: which prices to look at.

At a price each prompt takes its best value − price × cost, whatever the other prompts do; a falling price
therefore traces the frontier of a whole batch. Meeting a budget exactly is left to `policies.solver.solver`.
"""

from __future__ import annotations

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from policies.solver.hull import hull_of_one


def price_grid(value: FloatArray, cost: FloatArray, *, n_prices: int) -> FloatArray:
    """Return falling prices, shape (L,), that cover all that a menu with these mean curves can be worth.

    Parameters
    ----------
    value, cost : ndarray of float64, shape (A,)
        Mean value and cost of each allocation.
    n_prices : int
        Points, log-spaced; the first price buys only the cheapest allocation, the last is (almost) nothing.
        Prices between neighbouring slopes of the mean hull are added, so that no allocation of the static
        mix is skipped.
    """
    span = max(float(np.nanmax(value) - np.nanmin(value)), 1e-6)
    cheapest, dearest = float(np.nanmin(cost)), float(np.nanmax(cost))
    steps = np.diff(np.unique(cost[~np.isnan(cost)]))
    smallest = float(steps.min()) if steps.size else max(cheapest, 1e-12)
    top = 1e3 * span / max(smallest, 1e-12 * max(cheapest, 1e-300))
    bottom = 1e-4 * span / max(dearest, 1e-300)
    inner = np.geomspace(2 * span / max(smallest, 1e-3 * cheapest), bottom, n_prices - 1)
    hull = hull_of_one(value, cost)
    slopes = np.diff(value[hull]) / np.diff(cost[hull])
    between = np.sqrt(slopes[:-1] * slopes[1:]) if len(slopes) > 1 else slopes[:0]
    beyond = slopes[-1:] / 2
    return np.unique(np.concatenate([[max(top, inner[0])], inner, between, beyond]))[::-1]
