"""Meet a budget or a target with one price for all: which level each prompt gets.

A level is what everybody takes at one price. Levels that cost more and bring no more are left out, whole
batches move along the rest, and between two of them some prompts get the dearer. What is left over buys
single upgrades (`policies.solver.leftover`).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBudgetError
from policies.solver.feasible import Feasible
from policies.solver.hull import hull_of_one
from policies.solver.leftover import fill

_ROUNDING: Final = 1 + 1e-9
# Batches of more prompts have next to nothing to gain by trying every level as the start.
_SMALL: Final = 64


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
    value: FloatArray,
    cost: FloatArray,
    *,
    budget: float,
    prices: FloatArray,
    seed: int = 0,
    per_prompt: bool = False,
) -> Levelled:
    """Spend a budget over N prompts.

    Parameters
    ----------
    value, cost : ndarray of float64, shape (N, L + K)
        Told value and expected cost of what each prompt takes at each level, from dear prices to cheap ones,
        and then of K steps between its levels, which only what is left over may buy.
    budget : float
        The most that all prompts together are expected to cost.
    prices : ndarray of float64, shape (L,)
        Falling.
    seed : int
        Decides between equal upgrades.
    per_prompt : bool
        Whether the budget was given as a mean per prompt, as an error then says it.

    Raises
    ------
    InvalidBudgetError
        When not even the cheapest level can be paid; `least` says what it costs.
    """
    most = budget * _ROUNDING
    least = float(cost.min(axis=1).sum())
    if least > most:
        raise InvalidBudgetError(_too_little(len(value), least, budget, per_prompt=per_prompt), least=least)
    if len(value) == 1:
        return _of_one(value[0], cost[0], most)
    n_levels = min(len(prices), value.shape[1])
    steps = np.arange(n_levels, value.shape[1])
    hull, total, worth = _hull(value[:, :n_levels], cost[:, :n_levels])
    last = int(np.count_nonzero(total[hull] <= most)) - 1
    if last < 0:
        price = float(prices[hull[0]])
    elif last + 1 == len(hull):
        price = 0.0
    else:
        below, above = hull[last], hull[last + 1]
        price = float((worth[above] - worth[below]) / (total[above] - total[below]))
    # From each start that can be paid, more money never buys less; so it does for the best of them.
    starts = range(-1, last + 1) if len(value) <= _SMALL else (last,)
    rows, found = np.arange(len(value)), []
    for at in starts:
        if at + 1 == len(hull):
            found.append(np.full(len(value), hull[at]))
            continue
        near = np.flatnonzero(total <= total[hull[at + 1]]) if at >= 0 else np.arange(n_levels)
        # With small steps first, too little may be left for a level: both ways are tried.
        for columns in [near, np.append(near, steps)] if len(steps) else [near]:
            some, paid = value[:, columns], cost[:, columns]
            if at < 0:
                level = cost[:, :n_levels].argmin(axis=1)
            else:
                level = np.full(len(value), int(np.searchsorted(near, hull[at])))
                if len(value) > _SMALL:
                    _move(level, int(np.searchsorted(near, hull[at + 1])), some, paid, most, seed)
            _fill(level, some, paid, most, seed)
            found.append(columns[level])
    return Levelled(max(found, key=lambda level: float(value[rows, level].sum())), price)


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
        When no level reaches it; `reachable` says what the best one does.
    """
    hull, total, worth = _hull(value, cost)
    wanted = target * len(value)
    if worth[hull[-1]] < wanted - 1e-9:
        raise InvalidBudgetError(
            f"a mean of {target:.4g} is not expected to be reached at any cost; the best plans are expected "
            f"to reach {worth[hull[-1]] / len(value):.4g} at {total[hull[-1]] / len(value):.6g} per prompt",
            reachable=float(worth[hull[-1]] / len(value)),
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
    # Whoever loses by it and saves nothing for it comes last, where it is not needed.
    missing = wanted - worth[below]
    enough = int(np.flatnonzero(np.cumsum(gain[order]) >= missing - 1e-9).min()) + 1
    level[order[:enough]] = above
    return Levelled(level, price)


def _of_one(value: FloatArray, cost: FloatArray, most: float) -> Levelled:
    """Return the best that one prompt can pay, and what the most worthwhile of all dearer ones gains."""
    best = int(np.where(cost <= most, value, -np.inf).argmax())
    dearer = (cost > cost[best]) & (value > value[best])
    slopes = (value[dearer] - value[best]) / (cost[dearer] - cost[best])
    return Levelled(np.array([best]), float(slopes.max(initial=0.0)))


def _too_little(n: int, least: float, budget: float, *, per_prompt: bool) -> str:
    """Say in the scope of the budget what would be enough when it is typed in."""
    share = n if per_prompt else 1
    enough = Context(prec=6, rounding=ROUND_CEILING).create_decimal_from_float(least / share)
    if n == 1:
        return (
            f"the cheapest plan of this prompt is expected to cost {enough:g}, and the budget is "
            f"{budget:.6g}; raise it to {enough:g}"
        )
    whole = f"the cheapest plans of these {n} prompts are expected to cost {enough:g}"
    if per_prompt:
        return (
            f"{whole} per prompt on average, and the budget is {budget / share:.6g}; raise it to {enough:g}"
        )
    return f"{whole} in all, and the budget is {budget:.6g}; raise it to {enough:g}, or plan fewer prompts"


def _hull(value: FloatArray, cost: FloatArray) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Return the levels on the hull of whole batches, cheapest first, and the totals of all."""
    total, worth = cost.sum(axis=0), value.sum(axis=0)
    return hull_of_one(worth, total), total, worth


def _order(gain: FloatArray, extra: FloatArray, seed: int) -> NDArray[np.intp]:
    """Return prompts in the order of upgrading: those that gain and save first, then by gain per cost."""
    slope = np.where(extra > 0, gain / np.where(extra > 0, extra, 1.0), np.where(gain >= 0, np.inf, -np.inf))
    return np.lexsort((np.random.default_rng(seed).permutation(len(gain)), -slope.round(12)))


def _move(
    level: NDArray[np.intp], above: int, value: FloatArray, cost: FloatArray, most: float, seed: int
) -> None:
    """Move prompts that gain from their common level to the next while the budget lasts, in place."""
    below = int(level[0])
    gain, extra = value[:, above] - value[:, below], cost[:, above] - cost[:, below]
    order = _order(gain, extra, seed)
    order = order[(gain[order] > 0) | ((gain[order] == 0) & (extra[order] < 0))]
    fits = np.cumsum(extra[order]) <= most - float(cost[:, below].sum())
    level[order[: int(fits.argmin()) if not fits.all() else len(order)]] = above


def _fill(level: NDArray[np.intp], value: FloatArray, cost: FloatArray, most: float, seed: int) -> None:
    """Spend what is left on single upgrades, the steepest first, in place."""
    order = np.random.default_rng(seed).permutation(len(level))
    left = most - float(cost[np.arange(len(level)), level].sum())
    fill(Feasible.of(value, cost), level, left, order)
