"""Measure given courses on a log, in their order: what a bundle deploys, on prompts that it never saw.

What the log cannot tell is NaN: a generator, a score or an answer that it lacks, or too few samples of a
prompt. Which courses to measure, and what the numbers are compared with, is left to others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.course.allocate import course_of, summary_of
from policies.course.allocation import Allocation
from policies.course.course import Course
from policies.menu.halves import Half
from policies.plan.objective import Objective
from policies.table.measure import measure
from policies.table.recorded import Recorded
from policies.table.table import BY_SLOT, CourseTable
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel, LearnedScorer


def measure_courses(
    log: SampleLog,
    courses: Sequence[Course],
    *,
    objective: Objective = "accuracy",
    verifiers: Mapping[str, CorrectnessModel] | None = None,
    half: Half = "all",
    seed: int = 0,
) -> CourseTable:
    """Return the table of courses, in their order.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    courses : sequence of Course
        The C columns.
    objective : str
        As in `policies.menu.curves.measure_curves`.
    verifiers : mapping of str to CorrectnessModel, optional
        Learned verifiers by generator; prompts that lack what one reads are NaN in the columns that use it.
    half : {"all", "even", "odd"}
        Use all recorded samples, or one of two disjoint halves of each pool.
    seed : int
        Of orders and of estimates that draw.
    """
    table = CourseTable.empty(courses, len(log.prompts))
    judged = np.array([course.selection.signal == LEARNED for course in courses], dtype=bool)
    everybody = np.arange(len(log.prompts))
    _measure(table, log, everybody, np.flatnonzero(~judged), {}, half, seed, objective)
    for name, model in (verifiers or {}).items():
        mine = [
            at
            for at in np.flatnonzero(judged).tolist()
            if courses[at].generators == (name,) and name in log.generators
        ]
        if mine:
            readable = np.flatnonzero(model.readable(log.pool(name)))
            scorers = {name: LearnedScorer(models=(model,))}
            _measure(table, log, readable, np.array(mine), scorers, half, seed, objective)
    return table


def _measure(
    table: CourseTable,
    log: SampleLog,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    learned: Mapping[str, LearnedScorer],
    half: Half,
    seed: int,
    objective: Objective,
) -> None:
    """Measure some columns of a table on some rows of its log."""
    if not len(rows):
        return
    if len(rows) < len(log.prompts):
        log = log.select([log.prompts[row].id for row in rows])
    checked = objective == "coverage"
    recorded = Recorded.of(log, learned=learned, half=half, seed=seed, checked=checked)
    plain: dict[int, Allocation] = {}
    replayed: list[int] = []
    for column in columns.tolist():
        course = table.courses[column]
        allocation = _allocation(course)
        if not set(course.generators) <= set(log.generators):
            continue
        if allocation is not None:
            plain[column] = allocation
        elif _replayable(course, recorded):
            replayed.append(column)
    found = measure(
        log,
        recorded,
        list(plain.values()),
        [table.courses[column] for column in replayed],
        objective=objective,
        learned=learned,
        half=half,
        seed=seed,
    )
    for source, column in enumerate([*plain, *replayed]):
        course = table.courses[column]
        known = np.ones(len(rows), dtype=bool)
        if column not in plain and course.selection.by != "first_success":
            # Where only counts are recorded, nobody knows what the samples would have voted.
            for name in course.generators:
                known &= ~log.pool(name).counts_only
        held = np.flatnonzero(known)
        for name in ("value", "rounds"):
            getattr(table, name)[rows[held], column] = getattr(found, name)[held, source]
        place = np.ix_(rows[held], table.slots.of(column))
        taken = np.ix_(held, found.slots.of(source))
        for name in BY_SLOT:
            getattr(table, name)[place] = getattr(found, name)[taken]


def _allocation(course: Course) -> Allocation | None:
    """Return the allocation that a course is; None where it is more than that."""
    allocation = summary_of(course)
    try:
        return allocation if course_of(allocation) == course else None
    except InvalidInputError:
        return None


def _replayable(course: Course, recorded: Recorded) -> bool:
    """Return whether the log has all that a course reads."""
    if recorded.lacks(course) is not None:
        return False
    pooled = len(course.generators) > 1 and course.selection.pooled
    return recorded.pooled or not pooled or course.selection.by == "first_success"
