"""Find between which two prices a budget is used up, and which prompts decide differently at them.

It assumes that a random sample of prompts spends about as much per prompt as the batch, and checks it on the
batch. Only the prompts whose choice differs between the two prices need sorting afterwards, which
`policies.solver` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.feasible import Feasible, FloatArray, IntArray
from policies.hull import cheapest, hull_increments

__all__ = ["Bracket", "bracket_price", "whole_range"]

# Values looked at to guess the price; 8,192 prompts of 32 allocations put the mean cost within some per cent.
_SAMPLE_VALUES: Final = 1 << 18
_LEAST_SAMPLE: Final = 512
# Standard errors of the sample's mean between the guess and each end; wider when the batch disagrees with the
# sample.
_WIDTHS: Final = (4.0, 16.0, math.inf)
# Ends move apart by this share, so that rounding of float32 values cannot put a step on the wrong side.
_APART: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bracket:
    """Where to start, how far to go, and for whom.

    Parameters
    ----------
    start : (P,) int
        Choice at the upper price: the cheaper end.
    last : (P,) float64
        Cost of the choice at the lower price: the dearer end.
    active : (Q,) int
        Prompts whose choices differ.
    base_cost, base_value : float
        Totals at `start`.
    """

    start: IntArray
    last: NDArray[np.float64]
    active: IntArray
    base_cost: float
    base_value: float


def whole_range(menu: Feasible) -> Bracket:
    """Return the bracket from the cheapest allocations to the dearest, with all prompts active.

    Raises
    ------
    InvalidBudgetError
        When a prompt has no allocation left.
    """
    start = _choose(menu, math.inf)
    worth, spent = menu.at(start)
    return Bracket(
        start=start,
        last=np.full(menu.n_prompts, np.inf),
        active=np.arange(menu.n_prompts),
        base_cost=float(spent.sum()),
        base_value=float(worth.sum()),
    )


def bracket_price(menu: Feasible, wanted: float, *, by_value: bool, order: IntArray) -> Bracket:
    """Bracket the price at which the total cost (or value) of the batch passes `wanted`.

    Parameters
    ----------
    menu : Feasible
        Values and costs.
    wanted : float
        Total cost, or total value where `by_value`.
    by_value : bool
        What `wanted` counts.
    order : (P,) int
        A random order of the prompts; its head is the sample.

    Raises
    ------
    InvalidBudgetError
        When a prompt has no allocation left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> menu = Feasible.of(1 - rng.random((2000, 1)) ** np.array([1, 2, 4, 8]), [1, 2, 4, 8])
    >>> bracket = bracket_price(menu, 6000.0, by_value=False, order=rng.permutation(2000))
    >>> bracket.base_cost <= 6000.0, bracket.active.size < 2000
    (True, True)
    """
    n_sample = min(menu.n_prompts, max(_LEAST_SAMPLE, _SAMPLE_VALUES // menu.n_allocations))
    sample = np.sort(order[:n_sample])
    value, cost = menu.rows(sample)
    first = cheapest(value, cost)
    _refuse_empty(menu, value, first, sample)
    steps = hull_increments(value, cost, start=first)
    by_slope = np.argsort(-steps.slope, kind="stable")
    slope = steps.slope[by_slope]
    here = np.arange(n_sample)
    base = (value[here, first] if by_value else np.broadcast_to(cost, value.shape)[here, first]).astype(
        np.float64
    )
    amount = (steps.gain if by_value else steps.cost)[by_slope]
    reached = base.mean() + np.cumsum(amount) / n_sample
    mean = wanted / menu.n_prompts
    n_taken = int(np.searchsorted(reached, mean))
    spread = base + np.bincount(
        steps.prompt[by_slope[:n_taken]], weights=amount[:n_taken], minlength=n_sample
    )
    error = float(spread.std()) / math.sqrt(n_sample)
    for width in _WIDTHS:
        margin = width * error if math.isfinite(width) else math.inf
        upper, lower = math.inf, 0.0
        if mean - margin > base.mean() and slope.size:
            upper = float(slope[min(int(np.searchsorted(reached, mean - margin)), slope.size - 1)]) * (
                1 + _APART
            )
        if slope.size and mean + margin < reached[-1]:
            lower = float(slope[int(np.searchsorted(reached, mean + margin))]) * (1 - _APART)
        start, last = _choose(menu, upper), _choose(menu, lower)
        totals = [float(menu.at(choice)[0 if by_value else 1].sum()) for choice in (start, last)]
        if (math.isinf(upper) or totals[0] < wanted) and (lower == 0.0 or totals[1] > wanted):
            break
    start_cost, last_cost = menu.at(start)[1], menu.at(last)[1]
    # Rounding may turn the ends round for a prompt that is indifferent between them.
    start = np.where(start_cost <= last_cost, start, last)
    worth, spent = menu.at(start)
    return Bracket(
        start=start,
        last=np.maximum(start_cost, last_cost),
        active=np.flatnonzero(start_cost != last_cost),
        base_cost=float(spent.sum()),
        base_value=float(worth.sum()),
    )


def _choose(menu: Feasible, price: float) -> IntArray:
    """Return the best choice of each prompt at a price; any of equals, except at an infinite price."""
    choice = np.empty(menu.n_prompts, dtype=np.intp)
    for chunk in menu.chunks():
        value, cost = menu.rows(chunk)
        if math.isinf(price):
            choice[chunk] = cheapest(value, cost)
        elif price == 0:
            choice[chunk] = value.argmax(axis=1)
        else:
            # In the type of the values: float32 stays float32, which is half the memory traffic.
            choice[chunk] = (value - (price * cost).astype(value.dtype)).argmax(axis=1)
        _refuse_empty(menu, value, choice[chunk], np.arange(chunk.start, chunk.stop))
    return choice


def _refuse_empty(menu: Feasible, value: FloatArray, choice: IntArray, prompts: IntArray) -> None:
    """Raise where the choice of a prompt is not available, so that none is."""
    if not menu.masked:
        return
    empty = value[np.arange(choice.size), choice] == -np.inf
    if empty.any():
        menu.refuse_empty(int(prompts[empty.argmax()]))
