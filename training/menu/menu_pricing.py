"""Price the menu of a log: what was recorded has its cost, what was not is left out.

It assumes curves measured on the log that is trained on. What each allocation costs is left to
`training.menu.pricing`, which prompts are trained on to `training.train`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import UnknownUnitError
from policies.menu.curves import CurveTable
from training.menu.pricing import Pricing

__all__ = ["PricedMenu", "price_menu"]

FloatArray: TypeAlias = NDArray[np.float64]


class PricedMenu(NamedTuple):
    """The A allocations that could be priced on P prompts, and how many could not.

    Parameters
    ----------
    curves : CurveTable
        Their value and usage, as measured.
    cost : ndarray of float64, shape (P, A)
        In the unit of the pricing; NaN where the value is not known.
    n_dropped : int
        Allocations left out because their usage was not recorded.
    """

    curves: CurveTable
    cost: FloatArray
    n_dropped: int


def price_menu(curves: CurveTable, pricing: Pricing) -> PricedMenu:
    """Keep the allocations whose usage was recorded, and price them.

    Parameters
    ----------
    curves : CurveTable
        All allocations; NaN where the log cannot tell.
    pricing : Pricing
        Unit and prices.

    Raises
    ------
    UnknownUnitError
        When none can be priced; the reason of the first is given.
    """
    columns, costs, reason = [], [], None
    # Of a search alone nobody knows how long the question is, which the estimate of its reading needs.
    whole = replace(curves, verifier_tokens=pricing.reading(curves))
    for column in range(len(curves.allocations)):
        one = whole.columns(np.array([column]))
        known = np.flatnonzero(~np.isnan(one.value[:, 0]))
        try:
            cost = np.full(len(one.value), np.nan)
            cost[known] = pricing.recorded(one.take(known))[:, 0]
        except UnknownUnitError as error:
            reason = reason or error
            continue
        columns.append(column)
        costs.append(cost)
    if not columns:
        raise reason or UnknownUnitError("nothing can be priced")
    kept = curves.columns(np.array(columns))
    return PricedMenu(kept, np.stack(costs, axis=1), len(curves.allocations) - len(columns))
