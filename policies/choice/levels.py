"""Meet a budget, a price or a target with one price for all: which level each prompt gets.

A level is what everybody takes at one price. Levels that cost more and bring no more are left out, whole
batches move along the rest, and between two of them some prompts get the dearer. What is left over buys
single upgrades.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBudgetError
from policies.solver.hull import upper_hull

__all__ = ["Levelled", "reach", "spend"]

FloatArray: TypeAlias = NDArray[np.float64]

_ROUNDING: Final = 1 + 1e-9


class Levelled(NamedTuple):
    """A level for each of N prompts.

    Attributes
    ----------
    level : ndarray of intp, shape (N,)
        Column of what each prompt gets.
    price : float
        Value per unit of cost of the last upgrade; 0 where the budget does not bind.
    """

    level: NDArray[np.intp]
    price: float


def spend(
    value: FloatArray, cost: FloatArray, *, budget: float, prices: FloatArray, seed: int = 0
) -> Levelled:
    """Spend a budget over N prompts.

    Parameters
    ----------
    value, cost : ndarray of float64, shape (N, L)
        Told value and expected cost of what each prompt takes at each level, from dear prices to cheap ones.
    budget : float
        The most that all prompts together are expected to cost.
    prices : ndarray of float64, shape (L,)
        Falling.
    seed : int
        Decides between equal upgrades.

    Raises
    ------
    InvalidBudgetError
        When not even the cheapest level can be paid; `least` says what it costs.
    """
    hull, total, worth = _hull(value, cost)
    if total[hull[0]] > budget * _ROUNDING:
        least = float(cost.min(axis=1).sum())
        if least > budget * _ROUNDING:
            raise InvalidBudgetError(
                f"the cheapest plans of these {len(value)} prompts are expected to cost {least:.6g} in all, "
                f"and the budget is {budget:.6g}; raise it to {least / len(value):.6g} per prompt, or plan "
                "fewer prompts",
                least=least,
            )
        level = cost.argmin(axis=1)
        return _upgraded(level, hull[0], value, cost, budget, float(prices[hull[0]]), seed)
    below = hull[int(np.flatnonzero(total[hull] <= budget * _ROUNDING).max())]
    level = np.full(len(value), below)
    after = int(np.flatnonzero(hull == below)[0]) + 1
    if after == len(hull):
        return Levelled(level, 0.0)
    above = hull[after]
    price = (worth[above] - worth[below]) / (total[above] - total[below])
    return _upgraded(level, above, value, cost, budget, float(price), seed)


def reach(
    value: FloatArray, cost: FloatArray, *, target: float, prices: FloatArray, seed: int = 0
) -> Levelled:
    """Reach a mean value at least cost.

    Parameters
    ----------
    value, cost, prices, seed
        As in `spend`.
    target : float
        Mean told value that is wanted.

    Raises
    ------
    InvalidBudgetError
        When no level reaches it; the message says what the best one does.
    """
    hull, total, worth = _hull(value, cost)
    wanted = target * len(value)
    if worth[hull[-1]] < wanted - 1e-9:
        raise InvalidBudgetError(
            f"a mean of {target:.4g} is not expected to be reached at any cost; the best plans are expected "
            f"to reach {worth[hull[-1]] / len(value):.4g} at {total[hull[-1]] / len(value):.6g} per prompt"
        )
    at = int(np.flatnonzero(worth[hull] >= wanted - 1e-9).min())
    above = hull[at]
    if not at:
        return Levelled(np.full(len(value), above), float(prices[above]))
    below = hull[at - 1]
    price = float((worth[above] - worth[below]) / (total[above] - total[below]))
    level = np.full(len(value), below)
    gain, extra = value[:, above] - value[:, below], cost[:, above] - cost[:, below]
    order = _order(gain, extra, seed)
    missing = wanted - worth[below]
    enough = int(np.searchsorted(np.cumsum(gain[order]), missing - 1e-9)) + 1
    level[order[:enough]] = above
    return Levelled(level, price)


def _hull(value: FloatArray, cost: FloatArray) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Return the levels on the hull of whole batches, cheapest first, and the totals of all."""
    total, worth = cost.sum(axis=0), value.sum(axis=0)
    hull = np.flatnonzero(upper_hull(worth[None], total[None])[0])
    return hull[np.argsort(total[hull], kind="stable")], total, worth


def _order(gain: FloatArray, extra: FloatArray, seed: int) -> NDArray[np.intp]:
    """Return prompts in the order of upgrading: those that save first, then by gain per cost."""
    slope = np.where(extra > 0, gain / np.where(extra > 0, extra, 1.0), np.inf)
    return np.lexsort((np.random.default_rng(seed).permutation(len(gain)), -slope.round(12)))


def _upgraded(
    level: NDArray[np.intp],
    above: np.intp,
    value: FloatArray,
    cost: FloatArray,
    budget: float,
    price: float,
    seed: int,
) -> Levelled:
    """Move prompts to the next level while the budget lasts, then spend what is left on single upgrades."""
    rows = np.arange(len(level))
    now = cost[rows, level]
    gain, extra = value[:, above] - value[rows, level], cost[:, above] - now
    order = _order(gain, extra, seed)
    order = order[(gain[order] > 0) | (extra[order] < 0)]
    left = budget * _ROUNDING - float(now.sum())
    fits = np.cumsum(extra[order]) <= left
    n = int(fits.argmin()) if not fits.all() else len(order)
    level = level.copy()
    level[order[:n]] = above
    left -= float(extra[order[:n]].sum())
    # What no whole move fits into buys the best single upgrades, while some fit.
    for _ in range(_SINGLE_UPGRADES):
        now, held = cost[rows, level], value[rows, level]
        more, dearer = value - held[:, None], cost - now[:, None]
        worth = np.where((dearer > 0) & (dearer <= left) & (more > 0), more, 0.0)
        place = int(worth.argmax())
        if worth.flat[place] <= 0:
            break
        row, column = divmod(place, cost.shape[1])
        left -= float(dearer[row, column])
        level[row] = column
    return Levelled(level, price)


# Each looks at all prompts, so a large batch gets few: what they could add is little there.
_SINGLE_UPGRADES: Final = 16
