"""Say in words why a prompt got its allocation.

One sentence names the predicted difficulty among the training prompts, one what the allocation gains over the cheapest and at
what price more would have been bought. It explains the decision as made; it adds nothing to it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.bundle import PolicyBundle
from policies.curves import CurveTable

__all__ = ["Reasons"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reasons:
    """Writes reasons for the plans of one batch.

    Parameters
    ----------
    bundle : PolicyBundle
        What the plans rest on.
    curves : CurveTable
        The menu that the plans chose from.
    unit : str
        Unit of cost.
    price : float
        Value per unit of cost at which the batch was solved.
    """

    bundle: PolicyBundle
    curves: CurveTable
    unit: str
    price: float
    _levels: list[float] = field(init=False, repr=False)
    _names: list[str] = field(init=False, repr=False)
    _base: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bundle = self.bundle
        object.__setattr__(self, "_levels", np.sort(bundle.references.coordinates[:, 0]).tolist())
        object.__setattr__(self, "_names", [str(allocation) for allocation in self.curves.allocations])
        object.__setattr__(self, "_base", int(np.argmin(self.curves.samples[0])))

    def of(self, level: float, choice: int, value: NDArray[np.float64]) -> str:
        """Return the reason for one prompt.

        Parameters
        ----------
        level : float
            Predicted level (log-odds of success).
        choice : int
            Chosen column of the menu.
        value : ndarray of float64, shape (A,)
            Expected value of each allocation for this prompt.
        """
        policy = self.bundle.policy
        if not self.bundle.training:
            first = "nothing was recorded yet: a broad prior"
        elif policy.family == "static":
            first = "telling prompts apart was not shown to pay: the best static mix"
        else:
            share = bisect_left(self._levels, level) / len(self._levels)
            first = f"looks easier than {100 * share:.0f} % of the training prompts"
        gain = float(value[choice] - value[self._base])
        second = "" if choice == self._base else f"; {self._names[choice]} adds {gain:+.3f} over {self._names[self._base]}"
        if self.price > 0:
            return f"{first}{second}; more would gain less than {self.price:.3g} per {self.unit.rstrip('s')}"
        return f"{first}{second}; the budget leaves nothing that would add more"
