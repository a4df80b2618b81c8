"""The courses of a bundle on test prompts, beside the same courses on the prompts that it was trained on.

All that is evaluated chooses among the same C columns: for everybody by training means, or prompt by prompt
as planning does. It assumes that the bundle's table has no gaps; gaps of the test log stay NaN, and who is
compared with whom on which prompts is left to `training.evaluation.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.weighing import DenseWeights
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.planning.expectation import Expectation
from planner.planning.menu import Chooser, Likeness
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.cost.cost_model import CostModel
from policies.course.course import Course, of_one_generator
from policies.solver.hull import hull_of_one
from policies.table.measure import prompt_lengths
from policies.table.table import CourseTable


class Played(NamedTuple):
    """What each of P test prompts cost and was worth at each of L points of a policy, shape (P, L).

    NaN where the log cannot tell.
    """

    cost: FloatArray
    value: FloatArray

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which prompts are known at every point, shape (P,)."""
        return np.asarray(~(np.isnan(self.cost) | np.isnan(self.value)).any(axis=1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """What is evaluated: a policy over C courses that were measured on T training prompts.

    Parameters
    ----------
    policy : CoursePolicy
        Over the C courses.
    courses : tuple of Course
        The columns.
    value, cost : ndarray of float64, shape (T, C)
        On the training prompts, without gaps.
    references : ReferencePrompts
        Counts of the training prompts.
    expectation : Expectation
        What planning expects of the courses.
    """

    policy: CoursePolicy
    courses: tuple[Course, ...]
    value: FloatArray
    cost: FloatArray
    references: ReferencePrompts
    expectation: Expectation

    def hull(self, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the best courses for everybody among those of a mask, shape (C,): the best at some price
        each, cheapest first.
        """
        columns = np.flatnonzero(mask)
        return np.asarray(
            columns[hull_of_one(self.value[:, columns].mean(axis=0), self.cost[:, columns].mean(axis=0))]
        )

    def best(self, mask: NDArray[np.bool_], price: float) -> int:
        """Return the best course for everybody among those of a mask at a price."""
        columns = np.flatnonzero(mask)
        worth = self.value[:, columns].mean(axis=0) - price * self.cost[:, columns].mean(axis=0)
        return int(columns[worth.argmax()])


class Measured(NamedTuple):
    """Courses as measured on P prompts, each of shape (P, C); NaN where the log cannot tell."""

    value: FloatArray
    cost: FloatArray
    samples: FloatArray
    rounds: FloatArray

    @classmethod
    def of(cls, table: CourseTable, log: SampleLog, model: CostModel) -> Measured:
        """Price a table of a log."""
        lengths = prompt_lengths(log)
        missing = set(table.slots.generator) - set(lengths)
        lengths |= {name: np.full(len(log.prompts), np.nan) for name in missing}
        value, cost = table.value.astype(np.float64), table.cost(model, lengths).astype(np.float64)
        unknown = np.isnan(value) | np.isnan(cost)
        value[unknown] = cost[unknown] = np.nan
        samples = table.slots.total(table.samples.astype(np.float64))
        return cls(value, cost, samples, table.rounds.astype(np.float64))

    def take(self, rows: NDArray[np.intp]) -> Measured:
        """Return the courses of some prompts."""
        return Measured(*(array[rows] for array in self))

    def columns(self, columns: NDArray[np.intp]) -> Measured:
        """Return some of the courses."""
        return Measured(*(array[:, columns] for array in self))

    @property
    def told(self) -> FloatArray:
        """The share of prompts that tell each course, shape (C,)."""
        return np.asarray((~np.isnan(self.value)).mean(axis=0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TestBed:
    """P test prompts.

    Parameters
    ----------
    subject : Subject
        What is evaluated.
    prompts : sequence of Prompt
        The P prompts.
    measured : Measured
        The subject's courses on them.
    weights : ndarray of float32, shape (P, T)
        Belief about each prompt over the training prompts; rows sum to 1.
    familiarity : ndarray of float64, shape (P,), or None
        How familiar each is; None where nobody can tell.
    reading : ndarray of float64, shape (P,)
        What it costs that a language model reads each prompt, where the policy's features need it.
    """

    __test__ = False

    subject: Subject
    prompts: Sequence[Prompt]
    measured: Measured
    weights: NDArray[np.float32]
    familiarity: FloatArray | None
    reading: FloatArray

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, rows: NDArray[np.intp]) -> TestBed:
        """Return the bed of the prompts at `rows`."""
        return replace(
            self,
            prompts=[self.prompts[row] for row in rows],
            measured=self.measured.take(rows),
            weights=self.weights[rows],
            familiarity=None if self.familiarity is None else self.familiarity[rows],
            reading=self.reading[rows],
        )

    def realise(self, choice: NDArray[np.intp], *, by_text: bool = False) -> Played:
        """Return cost and value of chosen columns, shape (P, L); choices by text pay for its reading."""
        rows = np.arange(len(self))[:, None]
        cost = self.measured.cost[rows, choice]
        return Played(cost + self.reading[:, None] if by_text else cost, self.measured.value[rows, choice])

    def for_all(self, columns: NDArray[np.intp]) -> Played:
        """Return what courses cost and are worth that everybody gets, one per point."""
        return self.realise(np.tile(columns, (len(self), 1)))

    def population(self, mask: NDArray[np.bool_]) -> Played:
        """Return the mix of the courses of a mask that is best for everybody, by the training prompts."""
        return self.for_all(self.subject.hull(mask))

    def believed(self) -> tuple[FloatArray, FloatArray]:
        """Return what planning expects of every course for each prompt: value and cost, shape (P, C) each."""
        expectation = self.subject.expectation
        return expectation.expect(DenseWeights(self.weights), expectation.tokens(self.prompts))

    def chosen(
        self,
        offered: NDArray[np.bool_] | None = None,
        *,
        weights: NDArray[np.float32] | None = None,
    ) -> NDArray[np.intp]:
        """Return the courses that prompts take at the prices worth asking for, shape (P, L), cheapest first.

        Parameters
        ----------
        offered : ndarray of bool, shape (L, C), optional
            In place of what the policy offers.
        weights : ndarray of float32, shape (P, T), optional
            In place of the bed's own.

        Notes
        -----
        A price at which the batch is told to cost more and to be worth no more than at others is not asked
        for: planning would not use it either. Nothing of the test prompts' samples is looked at.
        """
        policy = self.subject.policy
        if offered is not None:
            policy = replace(
                policy, offered=offered, telling=Telling.plain(len(policy.prices), policy.telling.scale)
            )
        by_text = policy.by_text
        chooser = Chooser(
            policy=policy,
            expectation=self.subject.expectation,
            allowed=np.ones(len(self.subject.courses), dtype=bool),
            place=np.arange(len(self.subject.courses)),
            by_text=by_text,
            of_one=of_one_generator(self.subject.courses) & policy.offered.any(axis=0),
        )
        believed = DenseWeights(self.weights if weights is None else weights) if by_text.any() else None
        like = Likeness(believed, None, self.familiarity, np.full(len(self), 0.5))
        taken = chooser.take(self.prompts, like, None)
        hull = hull_of_one(taken.value.mean(axis=0), taken.cost.mean(axis=0))
        return taken.course[:, hull].astype(np.intp)
