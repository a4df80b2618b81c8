"""The ways to save that are told apart: which courses each may use, beside the same N for everybody.

Every way but the last changes one thing only, and the number of samples, which is a way of its own. Measuring
and choosing is left to the other modules of this wing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray
from policies.course.course import Course, of_one_generator
from policies.course.stop import BestScore
from training.policy import masks

NUMBER: Final = "another number of samples"
STOPPING: Final = "stopping early"
MODEL: Final = "choosing the model"
POOLING: Final = "pooling models in one vote"
PICKING: Final = "picking the answer otherwise"
TOGETHER: Final = "all together"
VOTE: Final = "majority vote"
CHECKED: Final = "until one is right"

# A first look needs no dense grid: caps and waves that lie between these are worth the same within noise.
_CAPS: Final = (2, 4, 8, 16, 32, 64, 128)
_FIRST: Final = (1, 2, 4)
_SIGNALS_CAP: Final = 32


def worth_trying(course: Course, *, widest: Collection[int] = ()) -> bool:
    """Tell whether a course belongs to the thin grid that a first look measures.

    Parameters
    ----------
    course : Course
    widest : collection of int
        Most samples of each generator: what stops early must be able to draw as many as anybody does today.

    Examples
    --------
    >>> from policies.course.course import waves
    >>> worth_trying(Course(steps=waves("m", (2, 2)))), worth_trying(Course(steps=waves("m", (3, 2))))
    (True, False)
    """
    sizes = [step.n for step in course.steps]
    if len(course.generators) > 1:
        opening = sum(step.n for step in course.steps if step.generator == course.generators[0])
        return opening in _FIRST and not course.selection.weights
    if course.n not in {*_CAPS, *widest} or sizes[0] not in _FIRST:
        return False
    if course.selection.signal != "none" and course.n > _SIGNALS_CAP:
        return False
    if course.selection.by == "best":  # one at a time until the best is good enough, and nothing between
        return isinstance(course.stop, BestScore) and set(sizes) == {1}
    evenly = len(set(sizes)) == 1
    return evenly or len(sizes) == 2 or sizes[1] == sizes[0]


def uniform(courses: Sequence[Course], generator: str) -> dict[str, NDArray[np.intp]]:
    """Return the same N for everybody of a generator, by how the answer is picked: columns by rising N.

    One sample, which needs no picking, belongs to each way.
    """
    mine = masks.static(courses) & np.array([course.generators[0] == generator for course in courses])
    found: dict[str, list[int]] = {}
    once: list[int] = []
    for column in np.flatnonzero(mine).tolist():
        course = courses[column]
        if any(step.kind != "sample" for step in course.steps):
            continue
        if course.n == 1:
            once.append(column)
        else:
            found.setdefault(_picking(course), []).append(column)
    ways = {way: [*once, *columns] for way, columns in found.items()} or (
        {"one sample": once} if once else {}
    )
    return {way: np.array(sorted(at, key=lambda column: courses[column].n)) for way, at in ways.items()}


def parts(courses: Sequence[Course], today: Course) -> dict[str, BoolArray]:
    """Return which courses each way to save may use, shape (C,); the last is all of them.

    Parameters
    ----------
    courses : sequence of Course
        The C columns.
    today : Course
        The same N for everybody that is compared with.
    """
    alone, static = of_one_generator(courses), masks.static(courses)
    same_model = alone & np.array([course.generators[0] == today.generators[0] for course in courses])
    same_way = np.array([course.n == 1 or _picking(course) == _picking(today) for course in courses])
    pooled = np.array([course.one_shot and course.selection.pooled for course in courses]) & ~alone
    base = static & same_model & same_way
    ways = {
        STOPPING: same_model & same_way,
        MODEL: static & same_way,
        POOLING: base | pooled,
        PICKING: static & same_model,
    }
    told = {NUMBER: base, **{name: mask for name, mask in ways.items() if (mask & ~base).any()}}
    return {**told, TOGETHER: np.ones(len(courses), dtype=bool)} if len(told) > 2 else told


def _picking(course: Course) -> str:
    """Name how a course picks its answer, without weights of models."""
    chosen = course.selection
    kind = "" if all(step.kind == "sample" for step in course.steps) else f" of {course.steps[-1].kind}"
    if chosen.by == "first_success":
        return CHECKED + kind
    words = VOTE if chosen.by == "vote" else "the best"
    return words + ("" if chosen.signal == "none" else f" by {chosen.signal.replace('_', ' ')}") + kind
