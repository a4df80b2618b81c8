"""Reduce each prompt's menu to its upper hull: the allocations that some price would buy.

It assumes finite costs and values, with NaN or ``-inf`` for allocations that are not available. Walking a
hull from cheap to dear gives increments of falling slope, which is all that `policies.solver.solver` needs to
spend a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policies.solver.feasible import Feasible, FloatArray, IntArray

# Slopes that differ by less are one slope: points on a straight line then all stay, which makes finer steps.
_SAME_SLOPE: Final = 1 - 1e-12


class Increments(NamedTuple):
    """Steps along the hulls of several prompts, first steps first.

    Attributes
    ----------
    prompt : (I,) int
        Row of the prompt that the step belongs to.
    lower, upper : (I,) int
        Allocation before and after the step.
    gain, cost : (I,) float64
        Value and cost that the step adds, both above 0.
    slope : (I,) float64
        Gain per cost; never rises from one step of a prompt to its next.
    """

    prompt: IntArray
    lower: IntArray
    upper: IntArray
    gain: NDArray[np.float64]
    cost: NDArray[np.float64]
    slope: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: Sequence[Increments]) -> Increments:
        """Join several lists of steps in their order; none gives an empty one."""
        if not parts:
            empty, none = np.zeros(0, dtype=np.intp), np.zeros(0)
            return cls(empty, empty, empty, none, none, none)
        return cls._make(map(np.concatenate, zip(*parts, strict=True)))

    def take(self, order: IntArray) -> Increments:
        """Return the steps at these places."""
        return Increments._make(column[order] for column in self)


def cheapest(value: FloatArray, cost: FloatArray) -> IntArray:
    """Return the cheapest available allocation of each prompt; among equally cheap ones the best.

    Parameters
    ----------
    value : (R, A) float
        ``-inf`` where an allocation is not available.
    cost : (R, A) or (1, A) float

    Returns
    -------
    (R,) int
        The first allocation where none is available.
    """
    available = np.where(value > -np.inf, cost, np.inf)
    least = available.min(axis=1, keepdims=True)
    choice: IntArray = np.where(available == least, value, -np.inf).argmax(axis=1)
    return choice


def hull_increments(
    value: FloatArray, cost: FloatArray, *, start: IntArray | None = None, last: FloatArray | None = None
) -> Increments:
    """Walk the upper hull of each prompt from its cheapest allocation upwards.

    Parameters
    ----------
    value : (R, A) float
        ``-inf`` where an allocation is not available.
    cost : (R, A) or (1, A) float
        Cost of each allocation.
    start : (R,) int, optional
        Where to begin; by default at the cheapest allocation.
    last : (R,) float, optional
        No allocation that costs more than this is visited.

    Returns
    -------
    Increments
        The first step of every prompt in the order of prompts, then the second steps, and so on.

    Notes
    -----
    Gift wrapping: from the present point go to the one with the steepest slope, the nearest of them on
    a straight line. That is A operations per step and prompt for all prompts at once, in float64.

    References
    ----------
    Kellerer, Pferschy, Pisinger 2004, *Knapsack Problems*, chapter 11 (dominance and LP dominance of the
    multiple-choice knapsack).

    Examples
    --------
    >>> steps = hull_increments(np.array([[0.2, 0.3, 0.6]]), np.array([[1.0, 2.0, 3.0]]))
    >>> steps.lower, steps.upper, steps.slope
    (array([0]), array([2]), array([0.2]))
    """
    current = cheapest(value, cost) if start is None else start
    values = value.astype(np.float64)
    costs = cost.astype(np.float64)
    if last is not None:
        values = np.where(costs > last[:, None], -np.inf, values)
    shared = costs.shape[0] == 1
    steps: list[Increments] = []
    prompts, here = np.arange(current.size), np.arange(current.size)
    previous = np.full(current.shape, np.inf)
    while prompts.size:
        gain = values - values[here, current][:, None]
        extra = costs - (costs[0, current] if shared else costs[here, current])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = gain / extra
        slope[extra <= 0] = -np.inf
        best = slope.max(axis=1)
        nearest = np.where(slope >= (best * _SAME_SLOPE)[:, None], extra, np.inf).argmin(axis=1)
        going = np.flatnonzero(best > 0)
        step = nearest[going]
        previous[going] = np.minimum(previous[going], slope[going, step])
        steps.append(
            Increments(
                prompts[going], current[going], step, gain[going, step], extra[going, step], previous[going]
            )
        )
        current = current.copy()
        current[going] = step
        if going.size < 0.7 * prompts.size:
            # Finished prompts stay finished; copying the others away pays once enough of them are.
            prompts, current, previous = prompts[going], current[going], previous[going]
            values, costs = values[going], costs if shared else costs[going]
            here = here[: going.size]
        elif going.size == 0:
            break
    return Increments.concatenate(steps)


def upper_hull(value: ArrayLike, cost: ArrayLike) -> NDArray[np.bool_]:
    """Mark the allocations of each prompt that lie on the upper hull of value against cost.

    Parameters
    ----------
    value : (P, A) array_like
        NaN where an allocation is not available.
    cost : (P, A) or (A,) array_like
        Finite, at least 0.

    Returns
    -------
    (P, A) bool
        False for what is dominated (as dear and no better), LP-dominated (below the line between two others)
        or not available. Points on the line between two others stay.

    Raises
    ------
    InvalidInputError
        When shapes do not fit or a number is not as described.

    Examples
    --------
    >>> upper_hull([[0.2, 0.3, 0.6, 0.5]], [1, 2, 3, 4])
    array([[ True, False,  True, False]])
    """
    menu = Feasible.of(value, cost)
    mask = np.zeros(menu.value.shape, dtype=bool)
    for chunk in menu.chunks():
        values, costs = menu.rows(chunk)
        steps = hull_increments(values, costs)
        part = mask[chunk]
        first = cheapest(values, costs)
        prompts = np.arange(part.shape[0])
        part[prompts, first] = values[prompts, first] > -np.inf
        part[steps.prompt, steps.upper] = True
    return mask


def hull_of_one(value: NDArray[np.floating], cost: NDArray[np.floating]) -> IntArray:
    """Return the places on the upper hull of one prompt, or of the means of many, cheapest first.

    Parameters
    ----------
    value, cost : (A,) float

    Examples
    --------
    >>> hull_of_one(np.array([0.6, 0.3, 0.2]), np.array([3.0, 2.0, 1.0])).tolist()
    [2, 0]
    """
    kept = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    return kept[np.argsort(cost[kept], kind="stable")]
