"""The answer of a solver: one allocation per prompt, what it costs, what it is worth, and how good it could
be.

Indices refer to the rows and columns of the arrays that were solved. How the answer is found is left to
`policies.solver.solver`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from policies.solver.feasible import IntArray

# Sums of a million costs differ in their last digits by the order of adding; a limit is kept up to this share
# of it.
ROUNDING: Final = 1e-12


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
        No choice is worth more at the budget, or at `total_cost` where there is none (the value of the linear
        relaxation).
    """

    choice: IntArray
    price: float
    total_cost: float
    total_value: float
    upper_bound: float
