"""From a bundle and prompts to a batch that is ready to be planned.

What does not depend on prompts is worked out once and kept: prices of the table by unit, and what may be
taken under which restrictions. What a batch then buys is left to `planner.planning.batch`, the user's door
to `planner.planner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import Belief
from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.at_risk import Panels, plan_at_risk
from planner.planning.batch import Batch
from planner.planning.cold_start import ColdStart
from planner.planning.expectation import Expectation, Lengths
from planner.planning.likeness import Likenesses
from planner.planning.menu import CHUNK, Chooser, Menu, menu_of
from planner.planning.plans import Ground, Writer
from planner.planning.priced_answers import plan_at_price_of_errors
from planner.planning.reading import Reading
from planner.planning.request import Request, warn_of_strangers
from planner.planning.retelling import measured_beside, retold
from planner.planning.steps import FEW, Stepped, may_step, with_steps
from policies.answering.answering import Answering
from policies.cost.budget import Unit, check_unit
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.course import Course, of_one_generator
from policies.plan.objective import check_objective
from policies.plan.plan import AllocationPlan
from policies.table.table import CourseTable

if TYPE_CHECKING:
    from difficulty.features.own_features import PromptReader

# Courses that plans were cut to, whose expectations are kept.
_KEPT: Final = 256


class Planned(NamedTuple):
    """Plans, and from which confidence on their answers are given, in [0, 1]."""

    plans: list[AllocationPlan]
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preparer:
    """Prepares batches; parameters as in `planner.planner.Planner`."""

    bundle: PolicyBundle
    cost_model: CostModel | None = None
    decode: DecodeModel | None = None
    hidden_states: PromptReader | None = None
    _start: ColdStart | None = field(init=False, repr=False)
    _likeness: Likenesses = field(init=False, repr=False)
    _choosers: dict[tuple[Unit, bool], Chooser] = field(init=False, repr=False, default_factory=dict)
    _within: dict[tuple[bool, int | None, bool], NDArray[np.bool_]] = field(
        init=False, repr=False, default_factory=dict
    )

    _cut: dict[tuple[Course, Unit], tuple[CourseTable, Expectation]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_likeness", Likenesses.of(self.bundle))
        object.__setattr__(self, "_start", ColdStart.of(self.bundle))

    def batch(self, prompts: Sequence[Prompt], asked: Request) -> Batch | None:
        """Work out what prompts would take within what was asked and checked; None where there are none.

        Raises
        ------
        InvalidBudgetError, InvalidInputError, UnknownUnitError
            As in `planner.planner.Planner.plan`.
        """
        if not prompts:
            return None
        unit = asked.unit(self.bundle.unit)
        chooser = self.chooser(asked, unit)
        # Under a price of errors any level may be worth most, or none.
        price = asked.price if asked.answer_price is None else None
        if len(prompts) <= FEW and asked.budget is not None and not asked.withholds and self._start is None:
            menu, stepped = self._few(prompts, chooser, self.chooser(asked, unit, steps=True))
        else:
            menu, stepped = self.menu(chooser, prompts, price), None
        warn_of_strangers(menu.familiarity)
        return Batch(
            prompts=prompts,
            chooser=chooser,
            menu=menu,
            writer=Writer(
                courses=self.bundle.table.courses,
                telling=self.bundle.policy.telling,
                learned_unit=check_unit(self.bundle.unit),
                ground=self._ground(),
                objective=check_objective(self.bundle.objective),
                unit=unit,
            ),
            price=price,
            seed=asked.seed,
            start=self._start,
            stepped=stepped,
        )

    def reading(self, prompts: Sequence[Prompt], unit: Unit) -> Reading:
        """Return what a language model reads of prompts before they are planned, and what that costs."""
        reader = self.hidden_states if self.bundle.policy.reads_text else None
        return Reading.of(prompts, reader, None if reader is None else self.cost_model_in(unit))

    def read(self, prompts: Sequence[Prompt], asked: Request) -> tuple[Reading, Request]:
        """Return what reading prompts costs, and what is asked for of the rest.

        Raises
        ------
        InvalidBudgetError, InvalidInputError, UnknownUnitError
            As in `planner.planner.Planner.plan`.
        """
        asked.check(self.bundle.policy.telling.own_scale)
        reading = self.reading(prompts, asked.unit(self.bundle.unit))
        return reading, reading.left_of(asked)

    def plans(self, ready: Batch, asked: Request) -> Planned:
        """Return plans for what was asked.

        Raises
        ------
        InvalidBudgetError
            When it cannot be met.
        InvalidInputError
            When a risk is asked for, and the bundle does not know how sure its answers are.
        """
        price = asked.answer_price
        if price is not None:
            known = self.answering()
            if asked.target_accuracy is not None:
                return Planned(ready.plans(asked), price.threshold)
            return Planned(plan_at_price_of_errors(ready, known, price, asked), price.threshold)
        if asked.target_risk is None:
            return Planned(ready.plans(asked), 0.0)
        known = self.answering()
        columns = known.columns[known.columns >= 0]
        size = len(ready.prompts)
        panels = Panels(np.empty((size, 0)), np.empty((size, 0)))
        if len(columns):
            priced = self._priced_columns(columns, ready.writer.unit)
            panels = Panels(*priced.expect_alike(priced.tokens(ready.prompts)))
        plans, threshold = plan_at_risk(
            ready,
            known,
            panels,
            target_risk=asked.target_risk,
            budget=None if asked.budget is None else asked.budget.total(n_prompts=size),
            cap=np.inf if asked.cap is None else asked.cap,
        )
        return Planned(plans, threshold.confidence)

    def cut(self, plan: AllocationPlan, prompt: Prompt, course: Course, reason: str) -> AllocationPlan:
        """Return the plan of a prompt cut to a course, with what is expected of that; see `retold`."""
        known = self._cut.get((course, plan.unit))
        if known is None:
            table = measured_beside(self.bundle, course)
            known = table, self._priced_table(table, plan.unit)
            if len(self._cut) >= _KEPT:
                self._cut.clear()
            self._cut[course, plan.unit] = known
        table, priced = known
        tokens = priced.tokens([prompt])
        read = self._likeness.read([prompt], self.hidden_states)
        found = priced.expect_alike(tokens) if read is None else priced.expect(read, tokens)
        value, cost = (numbers[0].tolist() for numbers in found)
        telling = self.bundle.policy.telling
        scale = telling.own_scale
        return retold(
            plan,
            course,
            table=table,
            value=[one + telling.origin for one in value],
            cost=cost,
            scale=(scale.lower, scale.upper),
            reason=reason,
        )

    def answering(self) -> Answering:
        """Return what the bundle knows of being right.

        Raises
        ------
        InvalidInputError
            When it knows nothing.
        """
        if self.bundle.answering is None:
            raise InvalidInputError(
                "this bundle does not know how sure its answers are: it was trained for another objective, "
                "on too few prompts with marked answers, or before there were targets of risk; train it anew"
            )
        return self.bundle.answering

    def rates(self, prompts: Sequence[Prompt], names: Sequence[str]) -> NDArray[np.float64]:
        """Return the success rates of one sample that text promises of generators, shape (P, G)."""
        references = self.bundle.references
        success = references.success()[:, [references.generators.index(name) for name in names]]
        starts = range(0, len(prompts), CHUNK)
        return np.concatenate([self.belief(prompts[at : at + CHUNK]).expect(success) for at in starts])

    def belief(self, prompts: Sequence[Prompt]) -> Belief:
        """Return what is believed about prompts."""
        return self._likeness.belief(prompts, self.hidden_states)

    @on_one_thread
    def menu(self, chooser: Chooser, prompts: Sequence[Prompt], price: float | None = None) -> Menu:
        """Return what prompts would take at each price, or at one."""
        return menu_of(
            chooser, prompts, lambda part: self._likeness.of_prompts(part, self.hidden_states), price
        )

    @on_one_thread
    def _few(self, prompts: Sequence[Prompt], chooser: Chooser, wider: Chooser) -> tuple[Menu, Stepped]:
        """Return the menu of few prompts, and the same with steps between their levels."""
        like = self._likeness.of_prompts(prompts, self.hidden_states)
        menu = menu_of(chooser, prompts, lambda _: like)
        return menu, with_steps(menu, wider, prompts, like)

    def chooser(self, asked: Request, unit: Unit, *, steps: bool = False) -> Chooser:
        """Return what takes courses, or steps, in a unit, under the restrictions that were asked for.

        Raises
        ------
        InvalidInputError
            When nothing may be planned within them.
        UnknownUnitError
            When the unit cannot be priced.
        """
        if (unit, steps) not in self._choosers:
            policy, used, courses = self.bundle.policy, self.bundle.deployed, self.bundle.table.courses
            kept = may_step(courses, used) if steps else np.flatnonzero(used)
            self._choosers[unit, steps] = Chooser(
                policy=policy.columns(kept),
                expectation=self._priced_columns(kept, unit),
                allowed=np.ones(len(kept), dtype=bool),
                place=kept,
                by_text=policy.by_text,
                of_one=of_one_generator([courses[at] for at in kept]),
            )
        chooser = self._choosers[unit, steps]
        allowed = self._allowed(asked)[chooser.place]
        if not allowed.any():
            raise InvalidInputError(
                "no course of this bundle may be planned within one_shot, max_rounds and the generators that "
                "are given; lift one of them"
            )
        return replace(chooser, allowed=allowed, cap=np.inf if asked.cap is None else asked.cap)

    def cost_model_in(self, unit: Unit) -> CostModel:
        """Return the prices that are planned by, in a unit."""
        model = self.cost_model or CostModel(unit=unit, generators=self.bundle.generators)
        return replace(model, unit=unit)

    def _allowed(self, asked: Request) -> NDArray[np.bool_]:
        """Say of every course whether it keeps to restrictions; shape (C,)."""
        one_shot, max_rounds, sampled = asked.one_shot, asked.max_rounds, asked.withholds
        key = (one_shot, max_rounds, sampled)
        if key not in self._within:
            self._within[key] = np.array(
                [
                    (not one_shot or course.one_shot)
                    and (max_rounds is None or course.rounds <= max_rounds)
                    and (not sampled or all(step.kind == "sample" for step in course.steps))
                    for course in self.bundle.table.courses
                ]
            )
        return self._within[key]

    def _priced_columns(self, columns: NDArray[np.intp], unit: Unit) -> Expectation:
        """Return what some courses bring and cost in a unit."""
        return self._priced_table(self.bundle.table.columns(columns), unit)

    def _priced_table(self, table: CourseTable, unit: Unit) -> Expectation:
        """Return what the courses of a table of the reference prompts bring and cost in a unit."""
        bundle = self.bundle
        lengths = Lengths(
            reference={name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)},
            fit=bundle.prompt_token_fit,
        )
        return Expectation.of(table, self.cost_model_in(unit), lengths, decode=self.decode)

    def _ground(self) -> Ground:
        if not self.bundle.training:
            return "nothing"
        return "text" if bool(self.bundle.policy.by_text.any()) else "everybody"
