"""What a reward model reads for a course: as recorded, else estimated.

A recorded ``score`` stands for a reward model; checkers and log-probabilities read nothing. Whether reading
costs anything is left to the cost model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.course.course import Course
from policies.table.table import CourseTable

REWARD_MODEL: Final = "score"


def is_scored(course: Course) -> bool:
    """Return whether a reward model reads what a course draws; searches have one unless they name another
    verifier.

    Examples
    --------
    >>> from policies.course.course import Selection, waves
    >>> by_score = Selection(by="best", signal="score")
    >>> is_scored(Course(steps=waves("tiny", (4,)), selection=by_score))
    True
    >>> is_scored(Course(steps=waves("tiny", (4,))))
    False
    """
    last = course.steps[-1]
    if last.kind == "search":
        return dict(last.params).get("verifier", REWARD_MODEL) == REWARD_MODEL
    return reads_samples(course)


def reads_samples(course: Course) -> bool:
    """Return whether a reward model reads the samples of a course, apart from a search at its end."""
    return course.n > 1 and course.selection.signal == REWARD_MODEL and course.selection.checker is None


def with_reading(table: CourseTable, prompt_tokens: Mapping[str, NDArray[np.float64]]) -> CourseTable:
    """Return a table in which what nobody recorded of a reward model's reading is estimated.

    Parameters
    ----------
    table : CourseTable
        P prompts × C courses.
    prompt_tokens : mapping of str to ndarray, shape (P,)
        Length of each prompt by generator; NaN where not known.

    Notes
    -----
    The estimate is prompt and completion of every sample; of a search, the prompt N times and each generated
    token once, as a reward model that keeps its cache reads them. One that keeps none reads every path anew
    with each step: 1.7 times as much for a search of two steps, 5 times for one of seven (lab model, beam
    search).
    """
    read = table.verifier_tokens.copy()
    for slot, name in enumerate(table.slots.generator):
        course, missing = table.courses[table.slots.course[slot]], np.isnan(read[:, slot])
        if is_scored(course) and missing.any():
            sent = prompt_tokens[name] * table.samples[:, slot]
            if course.steps[0].kind == "sample":
                sent = sent + table.resent_tokens[:, slot]  # each sample has a prompt of its own
            read[missing, slot] = (sent + table.output_tokens[:, slot])[missing]
    return replace(table, verifier_tokens=read)
