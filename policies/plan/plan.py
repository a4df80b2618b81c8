"""A plan: which course a prompt gets, what it is expected to cost and to be worth, and why.

It assumes that whoever made it has priced the course in the plan's unit. How it is written to a file is
left to `policies.plan.wire`, and how it is carried out to `planner`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from difficulty.errors import InvalidInputError
from difficulty.printable import html_facts, printable
from policies.cost.budget import Unit, check_unit
from policies.course.allocate import course_of, summary_of
from policies.course.allocation import Allocation
from policies.course.course import Course
from policies.plan.objective import Objective, check_objective


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class AllocationPlan:
    """A course for a prompt, with what is expected of it.

    Parameters
    ----------
    prompt_id : str
        Identity of the prompt.
    allocation : Allocation
        What it gets, where it asks nothing between steps; of any other course the summary
        (`policies.course.allocate.summary_of`).
    expected_accuracy : float
        Expected value under `objective`: in [0, 1], or in the scale of rewards.
    accuracy_interval : tuple of float
        Lower and upper end around the expectation.
    expected_cost : float
        At least 0, in `unit`.
    cost_interval : tuple of float, optional
        Lower and upper end of what the expected cost may be, in `unit`; None where only the mean is known.
    unit : str
        One of `policies.cost.budget.UNITS`.
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
        Whether the selected answer is to be right, or any of the samples, or to earn reward, or a group of
        samples is to teach.
    price : float, optional
        Value per unit of cost at which the choice was made; None where no price was used.
    familiarity : float, optional
        In [0, 1]: how much the prompt is like those that the plan was learned from; None where nobody looked.
    reason : str
        Why, in words for people.
    course : Course, optional
        What it gets, in full; by default the course that the allocation is. None only where the allocation
        has parameters that nothing here knows: such a plan can be read and shown, and is never carried out.
    draws : bool
        Whether it is carried out at all; not where errors have a price and no answer is worth it. The course
        is then the least that it would have been.

    Raises
    ------
    InvalidInputError
        When a number is not as described, or the allocation neither is nor sums up the course.
    UnknownUnitError
        When the unit does not exist.

    Examples
    --------
    >>> plan = AllocationPlan(
    ...     prompt_id="gsm8k-17",
    ...     allocation=Allocation(generator="small", strategy="majority_vote", width=8),
    ...     expected_accuracy=0.81,
    ...     accuracy_interval=(0.7, 0.9),
    ...     expected_cost=1144.0,
    ...     unit="output_tokens",
    ... )
    >>> plan.allocation.n
    8
    """

    prompt_id: str
    allocation: Allocation
    expected_accuracy: float
    accuracy_interval: tuple[float, float]
    expected_cost: float
    unit: Unit
    objective: Objective = "accuracy"
    cost_interval: tuple[float, float] | None = None
    price: float | None = None
    familiarity: float | None = None
    reason: str = ""
    course: Course | None = None
    draws: bool = True

    def __post_init__(self) -> None:
        if self.course is None:
            object.__setattr__(self, "course", _course_or_none(self.allocation))
        elif self.allocation != summary_of(self.course) and _course_or_none(self.allocation) != self.course:
            raise self._wrong(
                f"the allocation {self.allocation} does not sum up its course {self.course}; take "
                "summary_of(course)"
            )
        check_unit(self.unit)
        check_objective(self.objective)
        # Plain floats, so that equal plans are written as equal bytes whatever array they came from.
        for name in ("expected_accuracy", "expected_cost", "familiarity", "price"):
            number = getattr(self, name)
            if number is not None:
                object.__setattr__(self, name, float(number))
        for name in ("accuracy_interval", "cost_interval"):
            ends = getattr(self, name)
            if ends is not None and len(ends) != 2:
                raise self._wrong(f"{name} must be (lower, upper), got {ends!r}")
            if ends is not None:
                object.__setattr__(self, name, (float(ends[0]), float(ends[1])))
        self._check_numbers()

    def _check_numbers(self) -> None:
        lower, upper = self.accuracy_interval
        least, most = (-math.inf, math.inf) if self.objective == "reward" else (0.0, 1.0)
        ordered = least <= lower <= self.expected_accuracy <= upper <= most
        if not (ordered and math.isfinite(lower) and math.isfinite(upper)):
            raise self._wrong(
                "need 0 <= lower <= expected_accuracy <= upper <= 1 (for rewards, finite numbers in this "
                f"order), got {self.expected_accuracy!r} in {self.accuracy_interval!r}"
            )
        if not 0 <= self.expected_cost < math.inf:
            raise self._wrong(f"expected_cost must be finite and >= 0, got {self.expected_cost!r}")
        low, high = (0.0, 0.0) if self.cost_interval is None else self.cost_interval
        if not 0 <= low <= high < math.inf:
            raise self._wrong(f"need 0 <= lower <= upper < inf in cost_interval, got {self.cost_interval!r}")
        if self.familiarity is not None and not 0 <= self.familiarity <= 1:
            raise self._wrong(f"familiarity must lie in [0, 1], or be None, got {self.familiarity!r}")
        if self.price is not None and not 0 <= self.price < math.inf:
            raise self._wrong(f"price must be finite and >= 0, or None, got {self.price!r}")

    def _wrong(self, what: str) -> InvalidInputError:
        return InvalidInputError(f"plan of {self.prompt_id!r}: {what}")

    def undrawn(self, reason: str) -> AllocationPlan:
        """Return the plan to draw nothing, and to give no answer."""
        return replace(
            self,
            expected_accuracy=0.0,
            accuracy_interval=(0.0, 0.0),
            expected_cost=0.0,
            cost_interval=(0.0, 0.0),
            reason=reason,
            draws=False,
        )

    def __repr__(self) -> str:
        """Say in one line what is planned and expected; `policies.plan.wire` writes all of it."""
        return printable(
            f"AllocationPlan({self.prompt_id!r}: {self._what()}; expected {self.objective} "
            f"{self._value()}, cost {self._cost()})"
        )

    def _repr_html_(self) -> str:
        """Return the plan for a notebook."""
        facts = [
            ("course", self._what()),
            (f"expected {self.objective}", self._value()),
            ("expected cost", self._cost()),
            ("why", self.reason),
        ]
        return html_facts(f"Plan for {self.prompt_id}", [(name, told) for name, told in facts if told])

    def _what(self) -> str:
        return str(self.course or self.allocation) if self.draws else "nothing"

    def _value(self) -> str:
        low, high = self.accuracy_interval
        return f"{self.expected_accuracy:.3f} [{low:.3f}, {high:.3f}]"

    def _cost(self) -> str:
        return f"{self.expected_cost:,.4g} {self.unit.replace('_', ' ')}"


def _course_or_none(allocation: Allocation) -> Course | None:
    try:
        return course_of(allocation)
    except InvalidInputError:
        return None
