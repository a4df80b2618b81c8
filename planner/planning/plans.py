"""Write plans: for each prompt its course, what is told of it, and why, in words.

One sentence says how hard the prompt looks, one what the course is and at what price more would have been
bought. It explains the decision as made and adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.prompt import Prompt
from planner.planning.expectation import least_samples
from planner.planning.menu import Menu
from planner.planning.request import STRANGE
from policies.choice.telling import Telling
from policies.cost.budget import UNIT_TRAITS, Unit
from policies.course.allocate import summary_of
from policies.course.course import Course
from policies.plan.objective import Objective
from policies.plan.plan import AllocationPlan

Ground: TypeAlias = Literal["nothing", "everybody", "text"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Writer:
    """Writes the plans of one bundle.

    Parameters
    ----------
    courses : sequence of Course
        The C columns.
    telling : Telling
        How far the truth lies from what is told.
    learned_unit : str
        Unit of the costs that this was learned of; in others nobody knows how far off they are.
    ground : {"nothing", "everybody", "text"}
        What plans rest on: a broad prior, what suits everybody, or what suits prompts like this.
    objective : str
        One of `policies.plan.objective.OBJECTIVES`.
    unit : str
        Of costs.
    """

    courses: Sequence[Course]
    telling: Telling
    learned_unit: Unit
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
        told_by: NDArray[np.intp],
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
        told_by : ndarray of intp, shape (N,)
            Level of the policy by which each is told.
        """
        rows = np.arange(len(prompts))
        value, cost = menu.told[rows, level], menu.cost[rows, level]
        low, high = self.telling.interval(value, told_by, menu.familiarity)
        value, low, high = (numbers + self.telling.origin for numbers in (value, low, high))
        columns = menu.course[rows, level]
        costs = self._cost_intervals(columns, cost, told_by, menu.familiarity)
        taken = {at: self.courses[at] for at in set(columns.tolist())}
        summary = {at: summary_of(course) for at, course in taken.items()}
        words = {at: str(course) for at, course in taken.items()}
        familiar = [None] * len(prompts) if menu.familiarity is None else menu.familiarity.tolist()
        return [
            AllocationPlan(
                prompt_id=prompt.id,
                allocation=summary[at],
                course=taken[at],
                expected_accuracy=accuracy,
                accuracy_interval=(lower, upper),
                expected_cost=spent,
                cost_interval=between,
                unit=self.unit,
                objective=self.objective,
                price=price,
                familiarity=like,
                reason=self._reason(ease, like, words[at], price),
            )
            for prompt, at, accuracy, lower, upper, spent, between, like, ease in zip(
                prompts,
                columns.tolist(),
                value.tolist(),
                low.tolist(),
                high.tolist(),
                cost.tolist(),
                costs,
                familiar,
                menu.ease.tolist(),
                strict=True,
            )
        ]

    def _cost_intervals(
        self,
        course: NDArray[np.int32],
        cost: FloatArray,
        level: NDArray[np.intp],
        familiarity: FloatArray | None,
    ) -> list[tuple[float, float] | None]:
        """Return where the expected cost of each plan lies; None where only the mean is known."""
        low, high = self.telling.cost_interval(level, familiarity)
        known, lower, upper = ~np.isnan(low) & (self.unit == self.learned_unit), cost * low, cost * high
        if self.unit == "samples":
            taken = [self.courses[at] for at in course.tolist()]
            exact = np.array([one.one_shot for one in taken])
            lower = np.maximum(lower, [least_samples(one) for one in taken])
            known, lower, upper = known | exact, np.where(exact, cost, lower), np.where(exact, cost, upper)
        ends = zip(lower.tolist(), upper.tolist(), known.tolist(), strict=True)
        return [(a, b) if told else None for a, b, told in ends]

    def _reason(self, ease: float, familiarity: float | None, course: str, price: float) -> str:
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
