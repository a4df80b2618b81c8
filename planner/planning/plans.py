"""Write plans: for each prompt its course, what is told of it, and why, in words.

One sentence says how hard the prompt looks, one what the course is and at what price more would have been
bought. It explains the decision as made and adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.prompt import Prompt
from planner.planning.menu import Menu
from planner.planning.request import STRANGE
from policies.choice.telling import Telling
from policies.cost.budget import UNIT_TRAITS, Unit
from policies.course.allocate import summary_of
from policies.course.course import Course
from policies.plan.objective import Objective
from policies.plan.plan import AllocationPlan

__all__ = ["Ground", "Writer"]

FloatArray: TypeAlias = NDArray[np.float64]
Ground: TypeAlias = Literal["nothing", "everybody", "text"]

_Z: Final = 1.96


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Writer:
    """Writes the plans of one bundle.

    Parameters
    ----------
    courses : sequence of Course
        The C columns.
    telling : Telling
        Noise around what is told.
    ground : {"nothing", "everybody", "text"}
        What plans rest on: a broad prior, what suits everybody, or what suits prompts like this.
    objective : str
        One of `policies.plan.objective.OBJECTIVES`.
    unit : str
        Of costs.
    """

    courses: Sequence[Course]
    telling: Telling
    ground: Ground
    objective: Objective
    unit: Unit

    def write(
        self,
        prompts: Sequence[Prompt],
        menu: Menu,
        level: NDArray[np.intp],
        *,
        price: float,
        levels: NDArray[np.intp],
    ) -> list[AllocationPlan]:
        """Return one plan per prompt, in order.

        Parameters
        ----------
        prompts : sequence of Prompt
            N prompts.
        menu : Menu
            What each would take.
        level : ndarray of intp, shape (N,)
            Column of the menu that each gets.
        price : float
            Value per unit of cost at which the choice was made.
        levels : ndarray of intp
            Levels of the policy that the menu's columns are.
        """
        rows = np.arange(len(prompts))
        value, cost = menu.value[rows, level], menu.cost[rows, level]
        scale = self.telling.scale
        share = scale.share(value)
        noise = self.telling.noise[levels[level]] * np.sqrt(share * (1 - share))
        low, high = scale.clip(value - _Z * noise), scale.clip(value + _Z * noise)
        familiar = [None] * len(prompts) if menu.familiarity is None else menu.familiarity.tolist()
        return [
            AllocationPlan(
                prompt_id=prompt.id,
                allocation=summary_of(self.courses[course]),
                course=self.courses[course],
                expected_accuracy=accuracy,
                accuracy_interval=(min(lower, accuracy), max(upper, accuracy)),
                expected_cost=spent,
                unit=self.unit,
                objective=self.objective,
                price=price,
                familiarity=like,
                reason=self._reason(ease, like, self.courses[course], price),
            )
            for prompt, course, accuracy, lower, upper, spent, like, ease in zip(
                prompts,
                menu.course[rows, level].tolist(),
                value.tolist(),
                low.tolist(),
                high.tolist(),
                cost.tolist(),
                familiar,
                menu.ease.tolist(),
                strict=True,
            )
        ]

    def _reason(self, ease: float, familiarity: float | None, course: Course, price: float) -> str:
        if self.ground == "nothing":
            first = "nothing was recorded yet: a broad prior"
        elif familiarity is not None and familiarity < STRANGE:
            first = "unlike the training prompts, so little is known of it"
        elif self.ground == "everybody":
            first = "the same for everybody: telling prompts apart was not shown to pay"
        else:
            first = f"looks easier than {100 * ease:.0f} % of the training prompts"
        more = (
            f"more would gain less than {price:.3g} per {UNIT_TRAITS[self.unit].one}"
            if price > 0
            else "the budget leaves nothing that would add more"
        )
        return f"{first}; {course}; {more}"
