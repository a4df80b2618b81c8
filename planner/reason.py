"""Say in words why a prompt got its allocation.

One sentence names the predicted difficulty among the training prompts, one what the allocation gains over the cheapest and at
what price more would have been bought. It explains the decision as made; it adds nothing to it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.bundle import PolicyBundle
from policies.curves import CurveTable

__all__ = ["Reasons"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reasons:
    """Writes reasons for the plans of one bundle; make it with `of`.

    Parameters
    ----------
    ground : {"nothing", "static", "learned"}
        What plans rest on.
    levels : tuple of float
        Levels of the reference prompts, ascending.
    names : tuple of str
        Names of the A allocations.
    base : int
        Column of the allocation with the fewest samples.
    """

    ground: Literal["nothing", "static", "learned"]
    levels: tuple[float, ...]
    names: tuple[str, ...]
    base: int

    @classmethod
    def of(cls, bundle: PolicyBundle, curves: CurveTable) -> Reasons:
        """Prepare reasons for plans that choose from `curves`."""
        learned = "static" if bundle.policy.family == "static" else "learned"
        return cls(
            ground=learned if bundle.training else "nothing",  # type: ignore[arg-type]
            levels=tuple(np.sort(bundle.references.coordinates[:, 0]).tolist()),
            names=tuple(str(allocation) for allocation in curves.allocations),
            base=int(np.argmin(curves.samples[0])),
        )

    def write(self, level: float, choice: int, value: NDArray[np.float64], *, price: float, unit: str) -> str:
        """Return the reason for one prompt.

        Parameters
        ----------
        level : float
            Predicted level (log-odds of success).
        choice : int
            Chosen column.
        value : ndarray of float64, shape (A,)
            Expected value of each allocation for this prompt.
        price : float
            Value per unit of cost at which the batch was solved.
        unit : str
            Unit of cost.
        """
        if self.ground == "nothing":
            first = "nothing was recorded yet: a broad prior"
        elif self.ground == "static":
            first = "telling prompts apart was not shown to pay: the best static mix"
        else:
            share = bisect_left(self.levels, level) / len(self.levels)
            first = f"looks easier than {100 * share:.0f} % of the training prompts"
        second = ""
        if choice != self.base:
            gain = float(value[choice] - value[self.base])
            second = f"; {self.names[choice]} adds {gain:+.3f} over {self.names[self.base]}"
        if price > 0:
            return f"{first}{second}; more would gain less than {price:.3g} per {unit.rstrip('s')}"
        return f"{first}{second}; the budget leaves nothing that would add more"
