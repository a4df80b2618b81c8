"""A small bed with planted numbers: every policy of an evaluation can be worked out by hand on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.prompt import Prompt
from planner.planning.expectation import Expectation, Lengths
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.cost.cost_model import CostModel
from policies.course.course import Course, waves
from policies.course.stop import Agreement, Beta, Share, Unanimous
from policies.table.table import CourseTable
from training.evaluation.bed import Measured, Subject, TestBed

COURSES: tuple[Course, ...] = (
    Course(steps=waves("small", (1,))),
    Course(steps=waves("small", (3,))),
    Course(steps=waves("small", (5,))),
    Course(steps=waves("large", (1,))),
    Course(steps=waves("large", (4,))),
    Course(steps=waves("small", (2, 1)), stop=Agreement(count=2)),
    Course(steps=waves("small", (3, 2)), stop=Beta(threshold=0.9)),
    Course(steps=waves("large", (2, 2)), stop=Unanimous(window=2)),
    Course(steps=waves("large", (2, 2)), stop=Share(share=0.75)),
    Course(steps=waves("small", (2,)) + waves("large", (1,)), stop=Agreement(count=2)),
    Course(steps=waves("small", (1,)) + waves("large", (1,))),
)
"""Static votes of two generators, the known rules, a cascade and a pooled vote."""

PRICES = np.geomspace(2.0, 1e-3, 12)


def tiny_bed(
    n_prompts: int = 15,
    *,
    n_training: int = 9,
    offered: ArrayLike | None = None,
    courses: Sequence[Course] = COURSES,
    seed: int = 0,
) -> TestBed:
    """Return random values and costs; prompts choose among all courses unless told otherwise."""
    rng = np.random.default_rng(seed)
    n_courses = len(courses)
    value = rng.uniform(size=(n_training, n_courses)).astype(np.float32)
    table = CourseTable.empty(courses, n_training)
    table.value[:] = value
    for array in (table.requests, table.output_tokens, table.resent_tokens, table.verifier_tokens):
        array[:] = 1.0
    n_slots = len(table.slots.generator)
    table.samples[:] = rng.uniform(0.5, 3.0, size=n_slots) * rng.uniform(0.8, 1.2, size=(n_training, n_slots))
    model = CostModel(unit="samples")
    none = {name: np.full(n_training, np.nan) for name in ("small", "large")}
    mask = (
        np.ones((len(PRICES), n_courses), dtype=bool) if offered is None else np.asarray(offered, dtype=bool)
    )
    n = np.full((n_training, 2), 4)
    subject = Subject(
        policy=CoursePolicy(prices=PRICES, offered=mask, telling=Telling.plain(len(PRICES))),
        courses=tuple(courses),
        value=value.astype(np.float64),
        cost=table.cost(model, none).astype(np.float64),
        references=ReferencePrompts(
            generators=("small", "large"),
            n=n,
            n_correct=rng.integers(0, 5, size=n.shape),
            output_tokens=np.full(n.shape, np.nan),
        ),
        expectation=Expectation.of(table, model, Lengths(reference=none, fit={})),
    )
    weights = rng.dirichlet(np.full(n_training, 0.3), size=n_prompts).astype(np.float32)
    usual = subject.cost.mean(axis=0)
    measured = Measured(
        value=rng.uniform(size=(n_prompts, n_courses)),
        cost=usual * rng.uniform(0.8, 1.2, size=(n_prompts, n_courses)),
        samples=np.tile(np.array([float(course.n) for course in courses]), (n_prompts, 1)),
        rounds=np.ones((n_prompts, n_courses)),
    )
    prompts = [Prompt(id=f"p{row}", text=f"question {row}") for row in range(n_prompts)]
    return TestBed(
        subject=subject,
        prompts=prompts,
        measured=measured,
        weights=weights,
        familiarity=None,
        reading=np.zeros(len(prompts)),
    )


def with_gaps(bed: TestBed, rows: Sequence[int], column: int) -> TestBed:
    """Return the bed with a column that some prompts cannot tell."""

    def gap(array: NDArray[np.float64]) -> NDArray[np.float64]:
        array = array.copy()
        array[list(rows), column] = np.nan
        return array

    measured = bed.measured
    return replace(bed, measured=measured._replace(value=gap(measured.value), cost=gap(measured.cost)))
