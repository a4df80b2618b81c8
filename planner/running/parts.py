"""Spend one budget over a batch in parts: run some prompts, then plan the others with what is really left.

A few prompts are run first, then half of the rest, and so on: what one part saves or overspends, and by how
much plans misjudge costs, is made good on the next; in the end, what a small batch has left buys more
samples. It assumes a planner that can plan some prompts of the batch for any amount; that no amount is ever
exceeded is the drivers' affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from difficulty.logger import logger_of
from planner.drivers.turns import Part, Standing, Turn
from planner.planning.batch import LAST_RESORT
from planner.ports.outcome import Outcome
from planner.strategies.task import Task
from policies.plan.plan import AllocationPlan

_LOG: Final = logger_of(__name__)

# What the last part may leave unspent: its spread, about that of one prompt times the root of their number.
_UNSPENT: Final = 0.005
# Plans that expect to cost less than this share of the budget are not bound by it.
_UNBOUND: Final = 0.5
# Prompts at the expected cost that the ratio of actual to expected costs starts from, and how far it may go.
_PRIOR: Final = 5
_RATIOS: Final = (0.2, 5.0)
# Set aside at most for each prompt that has drawn nothing yet, in costs of its least costly answer.
_RESERVE: Final = 4.0
# Batches of more prompts have next to nothing left in the end; how often a smaller one spends its leftover.
_SMALL: Final = 64
_EXTENSIONS: Final = 8
# Budgets that are tried for it.
_HALVINGS: Final = 6


class LeastAnswer(NamedTuple):
    """The least costly way to answer a prompt at all: one sample.

    Attributes
    ----------
    generator : str
        Whose sample.
    cost : float
        What it is expected to cost, in the unit of the plans.
    """

    generator: str
    cost: float


class Replan(Protocol):
    """Plans some prompts of a batch anew."""

    def __call__(self, rows: Sequence[int], budget: float) -> Sequence[AllocationPlan]:
        """Return one plan per row, in the order of `rows`.

        Parameters
        ----------
        rows : sequence of int
            Places of the prompts in the batch that was planned, rising.
        budget : float
            What all of them together are expected to cost at most, in the unit of the plans, at least 0.
            Where that does not reach, the least costly plans.
        """
        ...


class Learned(Replan, Protocol):
    """Plans some prompts of a batch anew, by what the outcomes of others tell."""

    def expected(self, rows: Sequence[int], plans: Sequence[AllocationPlan]) -> Sequence[float]:
        """Return what plans of some prompts are expected to cost, by what is known now."""
        ...


class Learner(Protocol):
    """Learns from the outcomes of some prompts how to plan the others."""

    def learn(self, plans: Sequence[AllocationPlan], outcomes: Sequence[Outcome]) -> Learned:
        """Return the planner of the others; `plans` and `outcomes` are of the same prompts, in order."""
        ...


class Parts:
    """The turns of a batch under one budget; implements `planner.drivers.turns.Turns`.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        Of P prompts, for the whole budget.
    limit : float
        The budget, above 0, in the unit of the plans.
    task_of : callable
        Makes the task of a prompt, by its number and plan.
    replan : Replan, optional
        Plans what has not been opened yet; without it all prompts are opened at once, as planned.
    learner : Learner, optional
        Plans in place of `replan` from the second part on.
    least : sequence of LeastAnswer
        The least costly way to answer each prompt; empty to set nothing aside.
    seed : int
        Decides which prompts are in which part.
    """

    def __init__(
        self,
        plans: Sequence[AllocationPlan],
        *,
        limit: float,
        task_of: Callable[[int, AllocationPlan], Task],
        replan: Replan | None,
        least: Sequence[LeastAnswer],
        seed: int,
        learner: Learner | None = None,
    ) -> None:
        self._plans = list(plans)
        self._limit, self._replan, self._task_of = limit, replan, task_of
        self._least = [one.cost for one in least] or [0.0] * len(plans)
        self._rest: list[int] = np.random.default_rng([seed, len(plans)]).permutation(len(plans)).tolist()
        self._opened: list[int] = []
        self._learner, self._expected = learner, {n: plan.expected_cost for n, plan in enumerate(plans)}
        self._bound = replan is not None and sum(p.expected_cost for p in plans) > _UNBOUND * limit
        self._n_extensions = _EXTENSIONS if self.comes_back else 0

    @property
    def comes_back(self) -> bool:
        """Whether the leftover of a small batch may buy more samples of prompts that are done."""
        return self._replan is not None and len(self._plans) <= _SMALL

    def next(self, standing: Standing) -> Part:
        """Return the next part, planned with what is left."""
        if not self._rest:
            return Part(self._extend(standing))
        ratio, left = 1.0, self._limit
        if self._opened and self._replan is not None:
            self._learn(standing)
            actual, ratio = self._judged(standing, prior=_PRIOR)
            left = max(self._limit - sum(actual) - standing.lost, 0.0)
            rows = sorted(self._rest)
            for number, plan in zip(rows, self._replan(rows, left / ratio), strict=True):
                self._take(number, plan)
        factor = self._reserve(left, ratio)
        size = len(self._rest)
        if self._bound:
            size = part_size(size, len(self._plans), learns=self._learner is not None)
        part, self._rest = sorted(self._rest[:size]), self._rest[size:]
        self._opened += part
        _LOG.info(
            "%d prompts are opened, %d wait, %.6g of the budget is left; costs are %.2f times the expected",
            len(part), len(self._rest), left, ratio,
        )  # fmt: skip
        kept = LAST_RESORT * ratio
        tasks = [(number, self._task_of(number, self._plans[number])) for number in part]
        turns = [
            Turn(number, task, (min(factor, kept) if task.may_end_empty else factor) * self._least[number])
            for number, task in tasks
        ]
        return Part(turns, factor * sum(self._least[number] for number in self._rest))

    def _take(self, number: int, plan: AllocationPlan) -> None:
        self._plans[number], self._expected[number] = plan, plan.expected_cost

    def _learn(self, standing: Standing) -> None:
        """Plan on by what the prompts that are done tell, and judge their costs by it."""
        done = [number for number in self._opened if number in standing.outcomes]
        if self._learner is None or not done:
            return
        plans = [self._plans[number] for number in done]
        learned = self._learner.learn(plans, [standing.outcomes[number] for number in done])
        opened = [self._plans[number] for number in self._opened]
        self._expected.update(zip(self._opened, learned.expected(self._opened, opened), strict=True))
        self._replan = learned

    def _reserve(self, left: float, ratio: float) -> float:
        """Return what is set aside for each prompt, in least costs: half of what is left may be in it.

        Where what is left does not do for all, an even share would buy each a sample that is cut off. Whoever
        comes first is answered then.
        """
        total = ratio * sum(self._least[number] for number in self._rest)
        if not 0 < total <= left:
            return 0.0
        slack = left / total
        return float(ratio * min(_RESERVE, (1 + slack) / 2))

    def _judged(self, standing: Standing, *, prior: float) -> tuple[list[float], float]:
        """Return the costs of the opened prompts, and by how much plans misjudge costs.

        A prompt in progress is taken to cost at least what was planned for it, as far as the others did.
        """
        planned = {number: self._expected[number] for number in self._opened}
        start = prior * sum(planned.values()) / len(planned)
        done = [number for number in self._opened if number not in standing.open]
        spent = start + sum(standing.closed[number] for number in done)
        ratio = spent / max(start + sum(planned[number] for number in done), 1e-300)
        ratio = min(max(ratio, _RATIOS[0]), _RATIOS[1])
        actual = [
            max(standing.open[number], ratio * planned[number])
            if number in standing.open
            else standing.closed[number]
            for number in self._opened
        ]
        return actual, ratio

    def _extend(self, standing: Standing) -> list[Turn]:
        """Let prompts that are done go on with what a small batch has left, where a wider plan says so."""
        if standing.open or not self._n_extensions or self._replan is None:
            return []
        self._n_extensions -= 1
        rows = self._opened = sorted(self._opened)
        self._learn(standing)
        actual, ratio = self._judged(standing, prior=0.0)
        left = self._limit - sum(actual) - standing.lost
        if left < 2 * _UNSPENT * self._limit:
            return []
        # Prompts that overspent give nothing back: plans are made for the most that what is left can pay.
        low, high = 0.0, self._limit / ratio
        wider = self._wider(rows, high, actual, ratio)
        if wider.cost > left:
            wider = _Wider({}, 0.0)
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                found = self._wider(rows, middle, actual, ratio)
                if found.cost > left:
                    high = middle
                else:
                    low, wider = middle, found
        for number, plan in wider.plans.items():
            self._take(number, plan)
        return [Turn(number, self._task_of(number, plan)) for number, plan in wider.plans.items()]

    def _wider(self, rows: Sequence[int], budget: float, actual: Sequence[float], ratio: float) -> _Wider:
        """Return the prompts that get more than they had where all are planned for a budget."""
        if self._replan is None:
            return _Wider({}, 0.0)
        plans, cost = {}, 0.0
        for number, plan, spent in zip(rows, self._replan(rows, budget), actual, strict=True):
            if plan.expected_cost > self._expected[number] and _keeps_samples(plan, self._plans[number]):
                plans[number] = plan
                cost += max(ratio * plan.expected_cost - spent, 0.0)
        return _Wider(plans, cost)


class _Wider(NamedTuple):
    """Plans that are wider than those before, by number, and what they are expected to cost beyond."""

    plans: Mapping[int, AllocationPlan]
    cost: float


def _keeps_samples(plan: AllocationPlan, before: AllocationPlan) -> bool:
    """Return whether a longer course pays for its new samples alone.

    What is scored is scored anew, and samples of a generator that it does not ask would be paid for in vain.
    """
    course, old = plan.course, before.course
    if course is None or old is None or not set(old.generators) <= set(course.generators):
        return False
    return course.steps[-1].kind != "search" and not course.selection.verifiers


def part_size(n_left: int, n_prompts: int, *, learns: bool = False) -> int:
    """Return how many of the prompts that are left make the next part.

    An eighth first, to see what samples really cost; then half of those that are left, and all of them where
    so few leave next to nothing of the budget unspent. Whoever learns from outcomes starts with a sixteenth,
    and opens no more at a time than have been seen.

    Examples
    --------
    >>> [part_size(left, 1000) for left in (1000, 875, 437, 32, 24)], part_size(5, 5), part_size(1, 5)
    ([125, 438, 219, 16, 24], 1, 1)
    >>> [part_size(left, 1000, learns=True) for left in (1000, 937, 874, 748, 496)]
    [63, 63, 126, 252, 248]
    """
    if n_left == n_prompts > 1:
        return (n_left + 15) // 16 if learns else (n_left + 7) // 8
    if n_left <= max(1.0, (_UNSPENT * n_prompts) ** 2):
        return n_left
    return min((n_left + 1) // 2, n_prompts - n_left) if learns else (n_left + 1) // 2
