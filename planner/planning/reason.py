"""Say in words why a prompt got its allocation.

One sentence names the predicted difficulty among the training prompts, one what the allocation gains over the
smallest and at what price more would have been bought. It explains the decision as made and adds nothing to
it; making the decision is left to `planner.planner`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.bundle.policy_bundle import PolicyBundle
from policies.cost.budget import UNIT_TRAITS
from policies.menu.curves import CurveTable

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

    Examples
    --------
    >>> reasons = Reasons(ground="static", levels=(0.0,), names=("one", "five"), base=0)
    >>> reasons.write(0.0, 1, np.array([0.4, 0.5]), price=0.01, unit="samples").partition("; ")[2]
    'five adds +0.100 over one; more would gain less than 0.01 per sample'
    """

    ground: Literal["nothing", "static", "learned"]
    levels: tuple[float, ...]
    names: tuple[str, ...]
    base: int

    @classmethod
    def of(cls, bundle: PolicyBundle, curves: CurveTable) -> Reasons:
        """Prepare reasons for plans that choose from `curves`."""
        ground: Literal["nothing", "static", "learned"] = "learned"
        if not bundle.training:
            ground = "nothing"
        elif bundle.policy.family == "static":
            ground = "static"
        return cls(
            ground=ground,
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
            Unit of cost, one of `policies.cost.budget.UNITS`.
        """
        first = self.standing(level)
        if self.ground == "static":
            first += ": the best static mix"
        second = ""
        if choice != self.base:
            gain = float(value[choice] - value[self.base])
            second = f"; {self.names[choice]} adds {gain:+.3f} over {self.names[self.base]}"
        if price > 0:
            return f"{first}{second}; more would gain less than {price:.3g} per {UNIT_TRAITS[unit].one}"
        return f"{first}{second}; the budget leaves nothing that would add more"

    def standing(self, level: float) -> str:
        """Say where a prompt of this predicted level (log-odds of success) stands, or why that is not
        known.
        """
        if self.ground == "nothing":
            return "nothing was recorded yet: a broad prior"
        if self.ground == "static":
            return "telling prompts apart was not shown to pay"
        share = bisect_left(self.levels, level) / len(self.levels)
        return f"looks easier than {100 * share:.0f} % of the training prompts"
