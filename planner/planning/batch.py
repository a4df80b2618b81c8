"""A batch that is ready to be planned, and to be planned again with what is left of a budget.

What each prompt would take at every price is worked out once; budgets, prices and targets then only pick a
level of it. Restrictions and units are settled before, by `planner.planner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weighing import ReferenceColumns
from difficulty.errors import InvalidBudgetError
from difficulty.prompt import Prompt
from planner.planning.cold_start import ColdStart
from planner.planning.menu import Chooser, Likeness, Menu, menu_of
from planner.planning.plans import Writer
from planner.planning.request import Request
from planner.planning.steps import Stepped
from planner.planning.until_right import UntilRight, until_right
from planner.ports.outcome import Outcome
from policies.choice.levels import Levelled, reach, spend
from policies.plan.plan import AllocationPlan

# Kept for the last resort of a course that leaves nothing when it is cut, in costs of the least answer.
LAST_RESORT: Final = 1.5
# Batches of so few prompts do not even out what their searches cost beyond what was expected.
_FEW: Final = 8
# Share of the budget that everybody may be given before it is known who needs more.
_AT_ONCE: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """N prompts with what each would take; implements `planner.running.parts.Replan` and
    `planner.running.parts.Learner`.

    Parameters
    ----------
    prompts : sequence of Prompt
        N at least 1.
    chooser : Chooser
        What made the menu.
    menu : Menu
        At all L prices of the policy, or at one.
    writer : Writer
        Writes plans.
    price : float, optional
        The one price of the menu; all of the policy's by default.
    seed : int
        Decides between prompts that are equally worth more compute.
    start : ColdStart, optional
        What plans without a log are made from, which the answers of the batch tell anew.
    stepped : Stepped, optional
        The menu with steps between its levels, for a budget of one prompt.
    """

    prompts: Sequence[Prompt]
    chooser: Chooser
    menu: Menu
    writer: Writer
    price: float | None = None
    seed: int = 0
    start: ColdStart | None = None
    stepped: Stepped | None = None

    def plans(self, asked: Request) -> list[AllocationPlan]:
        """Return plans for what was asked: a budget, a target, or else the price.

        Raises
        ------
        InvalidBudgetError
            When it cannot be met.
        """
        if asked.budget is not None:
            budget = asked.budget
            return self.spend(budget.total(n_prompts=len(self.prompts)), per_prompt=budget.scope == "prompt")
        if asked.target_accuracy is None:
            return self.at_price()
        return self.reach(asked.target_accuracy - self.writer.telling.origin)

    def at_price(self) -> list[AllocationPlan]:
        """Return the plans at the one price of the menu."""
        assert self.price is not None
        return self.at_levels(Levelled(np.zeros(len(self.prompts), dtype=np.intp), self.price))

    def spend(self, budget: float, *, per_prompt: bool = False) -> list[AllocationPlan]:
        """Return the plans that an expected total buys; errors say it as it was given, per prompt or in all.

        Raises
        ------
        InvalidBudgetError
            When not even the cheapest plans can be paid.
        """
        return self.at_levels(self._spent(slice(None), budget, per_prompt=per_prompt))

    def reach(self, target: float) -> list[AllocationPlan]:
        """Return the cheapest plans that are expected to reach a mean value.

        Raises
        ------
        InvalidBudgetError
            When no plans are.
        """
        found = reach(
            self.menu.told,
            self.menu.cost,
            target=target,
            prices=self.chooser.policy.prices,
            seed=self.seed,
        )
        return self.at_levels(found)

    def at_levels(self, found: Levelled) -> list[AllocationPlan]:
        """Return the plans at given levels."""
        return self._written(np.arange(len(self.prompts)), found)

    def __call__(self, rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        """Return plans of some prompts for a budget of their own; the cheapest where it does not reach."""
        at = np.asarray(rows, dtype=np.intp)
        try:
            found = self._spent(at, budget)
        except InvalidBudgetError:
            cheapest = self.menu.cost[at].argmin(axis=1)
            found = Levelled(cheapest, float(self.chooser.policy.prices[0]))
        return self._written(at, found)

    @property
    def learns(self) -> bool:
        """Whether answers of some prompts say anything about plans of the others: where there is no log."""
        return self.start is not None and self.price is None

    def learn(self, plans: Sequence[AllocationPlan], outcomes: Sequence[Outcome]) -> Batch:
        """Return the batch as it is planned after some of its prompts were answered."""
        if self.start is None:
            return self
        weights = self.start.weights(plans, outcomes)
        expectation = self.chooser.expectation
        told = ReferenceColumns((weights @ expectation.measured.values)[None])
        policy = self.start.policy(weights).columns(self.chooser.place)
        chooser = replace(
            self.chooser,
            policy=policy,
            expectation=replace(expectation, measured=told),
            by_text=policy.by_text,
        )
        menu = menu_of(chooser, self.prompts, Likeness.unknown)
        return replace(self, chooser=chooser, menu=menu, writer=replace(self.writer, telling=policy.telling))

    def expected(self, rows: Sequence[int], plans: Sequence[AllocationPlan]) -> list[float]:
        """Return what plans of some prompts are expected to cost, by what is known now."""
        expectation = self.chooser.expectation
        prompts = [self.prompts[row] for row in rows]
        _, cost = expectation.expect_alike(expectation.tokens(prompts))
        column = {course: at for at, course in enumerate(expectation.courses)}
        return [
            float(cost[at, column[plan.course]]) if plan.course in column else plan.expected_cost
            for at, plan in enumerate(plans)
        ]

    def least(self) -> list[tuple[str, float]] | None:
        """Return generator and cost of each prompt's least costly single sample; None where none is known."""
        found = self.chooser.single_samples(self.prompts)
        if found is None:
            return None
        generators, cost = found
        best = cost.argmin(axis=1)
        return [(generators[column], float(cost[row, column])) for row, column in enumerate(best)]

    def levels(self, budget: float, *, cap: float | None = None) -> UntilRight | None:
        """Return what each prompt takes at prices from which on one generator draws until a checker accepts.

        No prompt goes on beyond the `cap`. None where that is so at no price that everybody can be given for
        half of the budget.
        """
        if self.price is not None:
            return None
        columns = [[self.writer.courses[at] for at in np.unique(column)] for column in self.menu.course.T]
        last = {name for course in columns[-1] for name in course.generators}
        start = len(columns)
        while start and all(
            course.selection.checker is not None
            and set(course.generators) == last
            and all(step.kind == "sample" for step in course.steps)
            for course in columns[start - 1]
        ):
            start -= 1
        if len(last) > 1 or start == len(columns):
            return None
        if start and float(self.menu.cost[:, start].sum()) > _AT_ONCE * budget:
            return None
        names, costs = self.chooser.single_samples(self.prompts) or ([], self.menu.cost)
        (name,) = last
        return until_right(
            self.menu,
            self.writer.courses,
            self.written_at,
            start=start,
            each=costs[:, names.index(name)] if name in names else None,
            cap=cap,
        )

    @property
    def _whole(self) -> Stepped:
        """The menu, with steps where there are any, and the policy's level of each of its columns."""
        policy = self.chooser.policy
        levels = range(len(policy.prices)) if self.price is None else [policy.level_of(self.price)]
        return self.stepped or Stepped(self.menu, np.tile(levels, (len(self.prompts), 1)))

    def _spent(self, rows: NDArray[np.intp] | slice, budget: float, *, per_prompt: bool = False) -> Levelled:
        menu = self._whole.menu
        return spend(
            menu.value[rows],
            self._needed(menu, rows),
            budget=budget,
            prices=self.chooser.policy.prices,
            seed=self.seed,
            per_prompt=per_prompt,
        )

    def _needed(self, menu: Menu, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """Return what levels need of a budget: beside the cost of a search, in a small batch, an answer where
        the search is cut. The cheapest level needs what it costs."""
        course, cost = menu.course[rows], menu.cost[rows]
        ends_empty = np.array([one.steps[-1].kind == "search" for one in self.writer.courses])[course]
        least = self.least() if len(course) <= _FEW and ends_empty.any() else None
        if least is None:
            return cost
        answer = LAST_RESORT * np.array([one for _, one in least])[rows]
        spared = cost == cost.min(axis=1, keepdims=True)
        return cost + np.where(ends_empty & ~spared, answer[:, None], 0.0)

    def written_at(self, rows: NDArray[np.intp], level: NDArray[np.intp]) -> list[AllocationPlan]:
        """Return the plans of some prompts at levels of their own, at the price of the deepest."""
        deepest = int(level.max()) if len(level) else 0
        return self._written(rows, Levelled(level, float(self.chooser.policy.prices[deepest])))

    def _written(self, rows: NDArray[np.intp], found: Levelled) -> list[AllocationPlan]:
        menu, levels = self._whole
        everybody = len(rows) == len(self.prompts)
        prompts = self.prompts if everybody else [self.prompts[row] for row in rows]
        menu = menu if everybody else menu.take(rows)
        told_by = levels[rows, found.level]
        return self.writer.write(prompts, menu, found.level, price=found.price, told_by=told_by)
