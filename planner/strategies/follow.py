"""Carry out a course on one prompt: draw step by step, ask its rule between steps, and select.

The flow counts and selects as the replay that the course was chosen on (`policies.course`). A sample that
failed is no evidence, and a course whose samples all failed has failed; samples, chains and searches are
drawn by the modules beside this one, caps and budgets are left to the drivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from typing import Final

from difficulty.generator import Generator
from planner.ports.outcome import Outcome
from planner.strategies.drawn import Drawn
from planner.strategies.flow import Flow, told_refusals
from planner.strategies.search.named import search_of
from planner.strategies.selection import Selected
from planner.strategies.task import Task
from policies.course.allocation import Allocation
from policies.course.course import Course, Step
from policies.course.stop import BestScore
from policies.course.wire import course_to_plain

__all__ = ["Follow"]

_APART: Final = 1_000_003


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """Follow a course.

    Parameters
    ----------
    course : Course
        What may be drawn, how an answer is selected, and when to stop.
    generators : mapping of str to Generator
        Settings of its generators; the task's own need not be among them.
    last_resort : str, optional
        Name of a generator that one sample is drawn of where caps end the course before any answer: a cheap
        answer is better than none.

    Raises
    ------
    InvalidInputError
        When a search has a parameter that is unknown or of a wrong type.
    """

    course: Course
    generators: Mapping[str, Generator] = field(default_factory=dict)
    last_resort: str | None = None

    def __post_init__(self) -> None:
        last = self.course.steps[-1]
        if last.kind == "search":
            search_of(last)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        last = self.course.steps[-1]
        if last.kind != "search":
            return self.course.selection.verifiers
        own = self.course.selection.verifiers if len(self.course.steps) > 1 else ()
        return tuple(dict.fromkeys((*own, *search_of(last).verifiers)))

    @property
    def may_end_empty(self) -> bool:
        """Whether a cap may leave nothing of what was paid: a search that is cut has no answer."""
        return self.last_resort is not None and self.course.steps[-1].kind == "search"

    @property
    def identity(self) -> str:
        """A hash of the course."""
        import msgspec

        described = (course_to_plain(self.course), self.last_resort)
        return sha256(msgspec.json.encode(described, order="sorted")).hexdigest()

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt; the task's own width is not used."""
        drawn = Drawn(task=task, course=self.course, generators=self.generators)
        for steps in _rounds(self.course):
            if steps[0].kind == "search":
                return (yield from self._search(drawn, steps[0]))
            refused = yield from drawn.add(steps)
            if drawn.accepted is not None:
                return drawn.end(Selected(drawn.accepted, "first_success"), satisfied=True)
            if refused:
                yield from self._resort(drawn)
                break
            if not self.course.one_shot and drawn.n_steps < len(self.course.steps):
                if isinstance(self.course.stop, BestScore):
                    yield from drawn.score()
                if drawn.enough():
                    return (yield from self._select(drawn, satisfied=True))
        return (yield from self._select(drawn, satisfied=False))

    def _select(self, drawn: Drawn, *, satisfied: bool) -> Flow[Outcome]:
        if self.course.selection.checker is None:
            yield from drawn.score()
        return drawn.end(drawn.select(), satisfied=satisfied)

    def _search(self, drawn: Drawn, step: Step) -> Flow[Outcome]:
        """Let the search do the last step; where it finds nothing, what was selected before stands."""
        task = drawn.task
        own = replace(
            task,
            # Its samples are others than those before it, which a log draws independently, too.
            seed=task.seed + (_APART if drawn.candidates else 0),
            allocation=Allocation(
                generator=step.generator,
                strategy=step.strategy,  # type: ignore[arg-type]  # a step checks it
                width=step.n,
                params=step.params,
            ),
            generator=drawn.generator(step.generator),
        )
        outcome, refused = yield from told_refusals(search_of(step).flow(own))
        if outcome.selected is None and refused:
            yield from self._resort(drawn)
        if not drawn.candidates:
            return replace(outcome, allocation=task.allocation)
        if outcome.selected is None:
            before = yield from self._select(drawn, satisfied=False)
            return replace(before, candidates=(*drawn.candidates, *outcome.candidates))
        return replace(
            outcome,
            allocation=task.allocation,
            candidates=(*drawn.candidates, *outcome.candidates),
            selected=len(drawn.candidates) + outcome.selected,
        )

    def _resort(self, drawn: Drawn) -> Flow[None]:
        """Ask for one cheap sample where nothing has answered yet and a cap has ended the course."""
        answered = any(candidate.answer is not None for candidate in drawn.candidates)
        if self.last_resort is not None and not answered and self.course.selection.checker is None:
            yield from drawn.add((Step(generator=self.last_resort),), last=True)


def _rounds(course: Course) -> list[tuple[Step, ...]]:
    """Return the steps that are drawn together."""
    if not course.one_shot:
        return [(step,) for step in course.steps]
    return [tuple(group) for _, group in groupby(course.steps, key=lambda step: step.kind)]
