"""Which courses and prompts of a ragged log can be compared: every course is known on every prompt.

Nothing is filled in. Where courses that most prompts have leave out too many prompts together, or the
generator that matters most, generators are kept one by one, the one that is asked for or is best first.
What is compared is left to `training.savings.savings`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.table.measure import prompt_lengths
from training.policy.columns import Columns

# Courses that too few prompts have are left out first, then prompts that lack one of those that remain.
_COVERED: Final = (0.5, 0.8, 0.95, 1.0)


def complete(
    whole: Columns, log: SampleLog, model: CostModel, generator: str | None
) -> tuple[Columns, NDArray[np.intp]]:
    """Return courses and the prompts on which all of them are known, at least half of them if possible.

    Parameters
    ----------
    whole : Columns
        P prompts × C courses as measured, NaN where a prompt lacks samples.
    log : SampleLog
        The same prompts.
    model : CostModel
        Prices a usage.
    generator : str or None
        Whose courses are kept first; None for whoever is right most often.

    Raises
    ------
    InvalidInputError
        When enough prompts have neither several samples of a generator nor one of several generators.
    """
    known = ~(np.isnan(whole.table.value) | np.isnan(whole.table.cost(model, prompt_lengths(log))))
    courses = whole.table.courses
    names = _best_first(whole, known, generator)
    kept = _covered(known)
    if kept is None or not _repeats(courses, kept, names[0]):
        kept = _one_by_one(known, courses, names)
    if len({courses[column].generators[0] for column in kept}) < 2 and not any(
        _repeats(courses, kept, name) for name in names
    ):
        raise InvalidInputError(
            "this log cannot tell what several samples are worth: it needs at least 2 labelled samples of "
            "most prompts (8 or more say far more), and answers or scores to choose by, or several "
            "generators to choose from; where a checker recognises right answers, use --objective coverage"
        )
    rows = np.flatnonzero(known[:, kept].all(axis=1))
    part = whole.keep(kept)
    return Columns(
        table=part.table.take(rows),
        value=part.value[rows],
        cost=part.cost[rows],
        prices=part.prices,
        scale=part.scale,
    ), rows


def _covered(known: BoolArray) -> NDArray[np.intp] | None:
    """Return the courses that a share of the prompts has, where half of the prompts have all of them."""
    share = known.mean(axis=0)
    for least in _COVERED:
        kept = np.flatnonzero(share >= least)
        if len(kept) and _half(np.asarray(known[:, kept].all(axis=1))):
            return kept
    return None


def _best_first(whole: Columns, known: BoolArray, generator: str | None) -> list[str]:
    """Return the generators, the one asked for first, then by the mean value of one sample."""
    single = {
        course.generators[0]: float(np.mean(whole.table.value[known[:, column], column], dtype=np.float64))
        for column, course in enumerate(whole.table.courses)
        if course.n == 1 and known[:, column].any()
    }
    return sorted(single, key=lambda name: (name != generator, -single[name]))


def _one_by_one(known: BoolArray, courses: tuple[Course, ...], names: list[str]) -> NDArray[np.intp]:
    """Return courses that half of the prompts have together: whole generators, from few samples to many, and
    what several of them do that costs no prompt more.
    """
    rows: BoolArray = np.ones(len(known), dtype=bool)
    kept: list[int] = []
    for name in names:
        mine = [column for column, course in enumerate(courses) if course.generators == (name,)]
        for column in sorted(mine, key=lambda column: courses[column].n):
            left = np.asarray(rows & known[:, column])
            if _half(left):
                rows = left
                kept.append(column)
    single = {courses[column].generators[0] for column in kept}
    for column, course in enumerate(courses):
        if len(course.generators) > 1 and single.issuperset(course.generators) and known[rows, column].all():
            kept.append(column)
    return np.array(sorted(kept), dtype=np.intp)


def _repeats(courses: tuple[Course, ...], kept: NDArray[np.intp], name: str) -> bool:
    """Tell whether a course of several samples of a generator alone is kept."""
    return any(courses[column].n > 1 and courses[column].generators == (name,) for column in kept)


def _half(rows: BoolArray) -> bool:
    return 2 * int(rows.sum()) >= len(rows)
