"""The answer of a solver: one allocation per prompt, what it costs, what it is worth, and how good it could
be.

Indices refer to the rows and columns of the arrays that were solved. How the answer is found is left to
`policies.solver.solver`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from policies.solver.feasible import IntArray

__all__ = ["ROUNDING", "Fractional", "Solution"]

# Sums of a million costs differ in their last digits by the order of adding; a limit is kept up to this share
# of it.
ROUNDING: Final = 1e-12


class Fractional(NamedTuple):
    """The prompt that the linear relaxation leaves between two allocations.

    Attributes
    ----------
    prompt : int
        Row of the prompt.
    lower, upper : int
        The allocation that it keeps, and the one that it could not quite afford.
    probability : float
        In [0, 1): share of `upper` that uses the budget up exactly. Drawing `upper` with it, from a solution
        without ``fill``, spends the budget in expectation and is worth the upper bound.
    """

    prompt: int
    lower: int
    upper: int
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solution:
    """One allocation per prompt.

    Parameters
    ----------
    choice : (P,) int
        Index of the allocation of each prompt.
    price : float
        Value per unit of cost at which the choice was made; 0 where the budget did not bind.
    total_cost, total_value : float
        Sums over the prompts.
    upper_bound : float
        No choice within the same caps and floors is worth more at the budget, or at `total_cost` where there
        is none (the value of the linear relaxation).
    fractional : Fractional, optional
        The prompt that the relaxation splits, where there is one.
    limit : float
        What could be spent: the budget, less the margin against overrun; infinite without a budget.
    """

    choice: IntArray
    price: float
    total_cost: float
    total_value: float
    upper_bound: float
    fractional: Fractional | None = None
    limit: float = math.inf
