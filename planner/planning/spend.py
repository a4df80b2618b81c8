"""Choose levels under a budget, with one estimate of cost to choose by and a sharper one to count by.

Levels are chosen by values and costs of one belief, so that gain and cost of a prompt are estimated alike;
the budget counts the costs of another belief, which predicts them better (`training.adaptive.cost_belief`).
Choosing by the second would give most to the prompts that cost least, whether they gain or not. Building the
menu is left to `planner.planning.levels`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.errors import InvalidBudgetError
from planner.planning.levels import Menu
from policies.solver.solution import ROUNDING, Solution
from policies.solver.solver import solve

__all__ = ["choose_levels"]

# Limits tried, and the share of the budget that need not be used.
_MOST_ROUNDS: Final = 5
_NEAR: Final = 0.01


def choose_levels(
    menu: Menu,
    *,
    budget: float | None,
    price: float | None,
    target: float | None,
    cap: float | None,
    seed: int,
) -> Solution:
    """Choose a level for each prompt.

    Parameters
    ----------
    menu : Menu
        What to choose from.
    budget : float, optional
        Total that the batch may be expected to cost, by `menu.charge`.
    price, target, cap, seed
        As in `policies.solver.solver.solve`.

    Raises
    ------
    InvalidBudgetError
        As in `solve`.

    Notes
    -----
    Under a budget, the limit on the costs that levels are chosen by (`menu.cost`) is moved until the costs
    that are counted (`menu.charge`) come to the budget. Where no limit brings them below it, levels are
    chosen by the counted costs themselves.
    """
    if budget is None or menu.charge is menu.cost:
        return solve(menu.value, menu.cost, budget=budget, price=price, target=target, cap=cap, seed=seed)
    rows = np.arange(len(menu.charge))
    best: Solution | None = None
    wanted = budget * (1 - _NEAR / 2)
    # Limits with what was charged under them: the largest below the budget, the smallest above.
    below, above = (0.0, 0.0), (np.inf, np.inf)
    limit = budget
    for _ in range(_MOST_ROUNDS):
        try:
            found = solve(menu.value, menu.cost, budget=limit, cap=cap, seed=seed)
        except InvalidBudgetError as error:
            if error.least is None or error.least >= above[0]:
                break
            limit = error.least
            continue
        charged = float(menu.charge[rows, found.choice].sum())
        if charged <= budget * (1 + ROUNDING):
            best, below = found, (limit, charged)
            if charged >= (1 - _NEAR) * budget or found.price == 0:
                break
        else:
            above = (limit, charged)
        if np.isinf(above[0]):
            limit *= wanted / charged if charged > 0 else 2.0
        else:
            share = (wanted - below[1]) / (above[1] - below[1])
            limit = below[0] + share * (above[0] - below[0])
    if best is None:  # refuses what cannot be met in terms of what is charged
        best = solve(menu.value, menu.charge, budget=budget, cap=cap, seed=seed)
    return best
