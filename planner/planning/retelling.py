"""What is told of a course that a plan is cut to, where the whole of it cannot be carried out.

One sample is told as the reference prompts recorded it; a cut course by the longest one that was measured and
is no longer, and its cost is the most that it is expected to be. Choosing the cut is left to whoever cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice
from difficulty.errors import UnknownGeneratorError
from planner.bundle.policy_bundle import PolicyBundle
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.selection import PLAIN_VOTE
from policies.plan.objective import GROUP_OBJECTIVES
from policies.plan.plan import AllocationPlan
from policies.table.table import CourseTable, Slots


def measured_beside(bundle: PolicyBundle, course: Course) -> CourseTable:
    """Return what tells of a course: one sample of each of its generators, then what was measured like it.

    The last column is of the same steps and rule, else the longest of the same generators and selection (else
    of plain votes) that is no longer, else one sample of its first generator.

    Raises
    ------
    UnknownGeneratorError
        When the bundle lacks one of its generators.
    """
    for name in course.generators:
        check_choice("generator", name, bundle.references.generators, error=UnknownGeneratorError)
    known = bundle.table.courses
    parts = [_single(bundle, name) for name in course.generators]
    alike: Sequence[int] = []
    if course.n > 1:
        for selection in (course.selection, PLAIN_VOTE):
            alike = [
                at
                for at, other in enumerate(known)
                if other.selection == selection
                and other.n <= course.n
                and set(other.generators) <= set(course.generators)
                and {step.kind for step in other.steps} <= {step.kind for step in course.steps}
            ]
            if alike:
                break
    best = max(
        alike,
        default=None,
        key=lambda at: (known[at].steps == course.steps, known[at].n, known[at].stop == course.stop),
    )
    last = parts[0] if best is None else bundle.table.columns(np.array([best]))
    return CourseTable.joined([*parts, last])


def retold(
    plan: AllocationPlan,
    course: Course,
    *,
    table: CourseTable,
    value: Sequence[float],
    cost: Sequence[float],
    scale: tuple[float, float],
    reason: str = "",
) -> AllocationPlan:
    """Return a plan cut to a course, with what is expected of that.

    Parameters
    ----------
    plan : AllocationPlan
        The whole.
    course : Course
        What is carried out.
    table : CourseTable
        From `measured_beside`.
    value, cost : sequence of float
        Expected of its columns for this prompt, in the units of the plan.
    scale : tuple of float
        Between which values lie: nobody has measured how far off a cut plan is.
    reason : str
        Why it is cut.
    """
    single = dict(zip(course.generators, cost, strict=False))
    most = sum(step.n * single[step.generator] for step in course.steps)
    last, whole = table.courses[-1], plan.course
    if course.n == 1 or (last.steps, last.stop) == (course.steps, course.stop):
        spent, between = cost[-1], None
    else:
        if whole is not None and whole.stop == course.stop and whole.prefix(len(course.steps)) == course:
            most = min(most, plan.expected_cost)
        first = course.steps[0]
        least = min(most, first.n * single[first.generator])
        spent, between = most, None if course.one_shot else (least, most)
    return replace(
        plan,
        course=course,
        allocation=summary_of(course),
        expected_accuracy=min(max(value[-1], scale[0]), scale[1]),
        accuracy_interval=scale,
        expected_cost=spent,
        cost_interval=between,
        reason="; ".join(part for part in (reason, plan.reason) if part),
    )


def _single(bundle: PolicyBundle, generator: str) -> CourseTable:
    """Return one sample of a generator as it was measured, else as the reference prompts recorded it."""
    steps = waves(generator, (1,))
    for at, course in enumerate(bundle.table.courses):
        if course.steps == steps:
            return bundle.table.columns(np.array([at]))
    references, telling = bundle.references, bundle.policy.telling
    at = references.generators.index(generator)
    success = _filled(references.success()[:, at])
    grouped = bundle.objective in GROUP_OBJECTIVES
    value = np.zeros_like(success) if grouped else telling.scale.lower + telling.scale.span * success
    one, none = np.ones((len(value), 1), dtype=np.float32), np.zeros((len(value), 1), dtype=np.float32)
    courses = (Course(steps=steps),)
    return CourseTable(
        courses=courses,
        slots=Slots.for_courses(courses),
        value=value[:, None].astype(np.float32),
        rounds=one,
        samples=one,
        requests=one,
        output_tokens=_filled(references.output_tokens[:, at], missing=np.nan)[:, None].astype(np.float32),
        resent_tokens=none,
        cached_tokens=none,
        verifier_tokens=none,
    )


def _filled(column: NDArray[np.float64], missing: float = 0.0) -> NDArray[np.float64]:
    """Return numbers with their mean where one is missing, or so much where all are."""
    known = ~np.isnan(column)
    return np.where(known, column, column[known].mean() if known.any() else missing)
