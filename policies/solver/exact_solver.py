"""Find the true optimum of a small batch, to check the fast solver and to serve batches of a few dozen
prompts.

It assumes that few partial solutions survive, those that are not dominated and that the bound of the
relaxation does not rule out; so it is for a few dozen prompts and menus of some ten allocations. Large
batches are left to `policies.solver.solver`, which is within one step.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.solver.feasible import Feasible, IntArray
from policies.solver.hull import cheapest, hull_increments
from policies.solver.solution import ROUNDING

__all__ = ["solve_exact"]

_MOST_STATES: Final = 2_000_000
_MOST_PROMPTS: Final = 500


def solve_exact(menu: Feasible, budget: float) -> IntArray:
    """Return the choice of highest total value within a budget; among equals the cheapest.

    Parameters
    ----------
    menu : Feasible
        Values and costs of P prompts × A allocations.
    budget : float
        Total that the batch may cost, kept up to rounding (1e-12 of it).

    Returns
    -------
    (P,) int
        Index of the allocation of each prompt.

    Raises
    ------
    InvalidBudgetError
        When the budget is below the cheapest choice, or a prompt has no allocation.
    InvalidInputError
        When there are more than 500 prompts, or more than two million part-solutions would have to be kept.

    Notes
    -----
    Dynamic programming over prompts on lists of undominated (cost, value) pairs, cut by the linear
    relaxation of the prompts still to come: a pair that cannot beat the best known choice even so is dropped.

    References
    ----------
    Nemhauser and Ullmann 1969, doi:10.1287/mnsc.15.9.494 (lists); Dyer, Kayal, Walker 1984,
    doi:10.1016/S0377-2217(84)80012-3 (bounds in the multiple-choice knapsack).

    Examples
    --------
    >>> menu = Feasible.of([[0.0, 0.6, 0.9], [0.0, 0.5, 0.7]], [0, 2, 3])
    >>> solve_exact(menu, 4.0).tolist()
    [1, 1]
    """
    if menu.n_prompts > _MOST_PROMPTS:
        raise InvalidInputError(
            f"the exact optimum is for at most {_MOST_PROMPTS} prompts, got {menu.n_prompts}; use "
            "exact=False, "
            "whose loss is at most the gain of one step"
        )
    value, cost = (array.astype(np.float64) for array in menu.rows(slice(None)))
    cost = np.broadcast_to(cost, value.shape)
    first = cheapest(value, cost)
    prompts = np.arange(menu.n_prompts)
    empty = value[prompts, first] == -np.inf
    if empty.any():
        menu.refuse_empty(int(empty.argmax()))
    allowed = budget * (1 + ROUNDING)
    least_after = np.append(np.cumsum(cost[prompts, first][::-1])[::-1], 0.0)
    if least_after[0] > allowed:
        raise InvalidBudgetError(
            f"budget {budget:g} is below {least_after[0]:g}, the cost of the cheapest choice",
            least=float(least_after[0]),
        )
    bounds = [_relaxation(value[row:], cost[row:], first[row:]) for row in range(menu.n_prompts)]
    spent, gained = np.zeros(1), np.zeros(1)
    trail: list[tuple[IntArray, IntArray]] = []
    known = -np.inf
    for row in range(menu.n_prompts):
        options = np.flatnonzero(value[row] > -np.inf)
        new_spent = (spent[:, None] + cost[row, options]).ravel()
        new_gained = (gained[:, None] + value[row, options]).ravel()
        keep = np.flatnonzero(new_spent + least_after[row + 1] <= allowed)
        keep = keep[np.lexsort((-new_gained[keep], new_spent[keep]))]
        # Sorted by cost, a pair is undominated where its value is above all before it.
        running = np.maximum.accumulate(new_gained[keep])
        keep = keep[np.append(True, running[1:] > running[:-1])]
        spent, gained = new_spent[keep], new_gained[keep]
        if row + 1 < menu.n_prompts:
            at_cost, worth = bounds[row + 1]
            room = allowed - spent
            # Rounding down to a corner of the relaxation is a choice that can be made: it lower-bounds the
            # optimum.
            corner = np.searchsorted(at_cost, room, side="right") - 1
            known = max(
                known, float((gained + worth[np.maximum(corner, 0)])[corner >= 0].max(initial=-np.inf))
            )
            hope = gained + np.interp(room, at_cost, worth)
            promising = np.flatnonzero(hope >= known - 1e-9 * abs(known))
            spent, gained, keep = spent[promising], gained[promising], keep[promising]
        if spent.size > _MOST_STATES:
            raise InvalidInputError(
                f"the exact optimum of {menu.n_prompts} prompts × {menu.n_allocations} allocations needs "
                "more than "
                f"{_MOST_STATES:,} part-solutions; use exact=False, whose loss is at most the gain of one "
                "step"
            )
        trail.append((keep // options.size, options[keep % options.size]))
    choice = np.empty(menu.n_prompts, dtype=np.intp)
    state = int(gained.argmax())
    for row in range(menu.n_prompts - 1, -1, -1):
        parents, allocations = trail[row]
        choice[row] = allocations[state]
        state = int(parents[state])
    return choice


def _relaxation(
    value: NDArray[np.float64], cost: NDArray[np.float64], first: IntArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners (cost, value) of the concave function that bounds what some prompts can be worth."""
    rows = np.arange(value.shape[0])
    steps = hull_increments(value, cost, start=first)
    by_slope = np.argsort(-steps.slope, kind="stable")
    corners_cost = np.cumsum(np.append(cost[rows, first].sum(), steps.cost[by_slope]))
    corners_value = np.cumsum(np.append(value[rows, first].sum(), steps.gain[by_slope]))
    return corners_cost, corners_value
