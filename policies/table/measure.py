"""Measure any courses on a log: exactly where an estimator exists, by replay elsewhere.

A replayed course is corrected by what its replay gets wrong about the course that draws all of the same
samples and is known exactly (a control variate), as far as it draws them; the noise of few orders mostly
cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.log.sample_log import SampleLog
from policies.course.allocation import Allocation
from policies.course.course import Course, Step
from policies.course.stop import Never
from policies.menu.halves import Half
from policies.plan.objective import Objective
from policies.table.reading import with_reading
from policies.table.recorded import Recorded
from policies.table.replay import replay
from policies.table.static import static_table
from policies.table.table import CourseTable
from policies.verifier.learned_verifier import LearnedScorer


def measure(
    log: SampleLog,
    recorded: Recorded,
    allocations: Sequence[Allocation],
    courses: Sequence[Course],
    *,
    objective: Objective = "accuracy",
    learned: Mapping[str, LearnedScorer] | None = None,
    half: Half = "all",
    seed: int = 0,
) -> CourseTable:
    """Return the table of allocations, as courses of one step, followed by other courses.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    recorded : Recorded
        The same prompts' samples in random orders.
    allocations : sequence of Allocation
        What is decided before the first sample and has an estimator.
    courses : sequence of Course
        The rest.
    objective : str
        As in `policies.menu.curves.measure_curves`.
    learned : mapping of str to LearnedScorer, optional
        Learned verifiers by generator.
    half : {"all", "even", "odd"}
        The samples that `recorded` holds.
    seed : int
        Of the estimates that draw.
    """
    exact = static_table(log, allocations, objective=objective, learned=learned, half=half, seed=seed)
    table = with_reading(exact, prompt_lengths(log))
    return CourseTable.joined([table, measure_more(log, recorded, exact, courses)]) if courses else table


def measure_more(
    log: SampleLog, recorded: Recorded, exact: CourseTable, courses: Sequence[Course]
) -> CourseTable:
    """Return the table of courses that are replayed, corrected by those of another table that are exact.

    Parameters
    ----------
    log, recorded
        As in `measure`.
    exact : CourseTable
        Of the same prompts; only courses that are decided beforehand are looked up.
    courses : sequence of Course
        At least one.
    """
    place = {course: at for at, course in enumerate(exact.courses)}
    twins = [_twin(course) for course in courses]
    controls = list(dict.fromkeys(twin for twin in twins if twin in place))
    measured = replay(recorded, [*courses, *controls])
    error = {
        twin: exact.value[:, place[twin]] - measured.value[:, len(courses) + at]
        for at, twin in enumerate(controls)
    }
    for column, twin in enumerate(twins):
        if twin in error:
            drawn = measured.samples[:, measured.slots.of(column)].sum(axis=1) / courses[column].n
            measured.value[:, column] += np.nan_to_num(drawn * error[twin])
    return with_reading(measured.columns(np.arange(len(courses))), prompt_lengths(log))


def prompt_lengths(log: SampleLog) -> dict[str, NDArray[np.float64]]:
    """Return the tokens of each prompt by generator, shape (P,); 0 where each sample has its own prompt."""
    return {name: log.pool(name).shared_prompt_tokens for name in log.generators}


def prompt_token_fit(log: SampleLog) -> dict[str, tuple[float, float]]:
    """Fit prompt tokens against characters, per generator, by least squares; absent where not recorded."""
    fits = {}
    characters = np.array([np.nan if p.content is None else len(p.content) for p in log.prompts])
    for name in log.generators:
        tokens = log.pool(name).prompt_tokens
        known = ~np.isnan(tokens) & ~np.isnan(characters)
        if known.sum() >= 2:
            design = np.column_stack([np.ones(known.sum()), characters[known]])
            intercept, slope = np.linalg.lstsq(design, tokens[known], rcond=None)[0]
            fits[name] = (float(intercept), float(slope))
    return fits


def _twin(course: Course) -> Course | None:
    """Return the course that draws all that a course of one generator may draw, and asks nothing."""
    kinds = {step.kind for step in course.steps}
    if len(course.generators) > 1 or len(kinds) > 1:
        return None
    if kinds == {"revise"}:
        return None if course.selection.by == "first_success" else replace(course, stop=Never())
    selection = replace(course.selection, usual=(), weights=(), pooled=True)
    return Course(steps=(Step(generator=course.generators[0], n=course.n),), selection=selection)
