"""Which columns of the table a baseline, a rival or an ablation may use.

Every policy that evaluation speaks of is a mask over the same measured courses, so that all have the same
selectors, caps, generators and samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from difficulty.arithmetic.arrays import BoolArray
from policies.course.course import Course, of_one_generator
from policies.course.stop import Agreement, BestScore, Beta, Share, Unanimous
from policies.verifier.learned_verifier import LEARNED
from training.report.names import BEST_RULE


def one_shot(courses: Sequence[Course]) -> BoolArray:
    """Return which courses decide everything before the first sample, shape (C,)."""
    return np.array([course.one_shot for course in courses], dtype=bool)


def static(courses: Sequence[Course]) -> BoolArray:
    """Return which courses a static mix is made of: of one generator, all decided beforehand."""
    return of_one_generator(courses) & one_shot(courses)


def single(courses: Sequence[Course]) -> BoolArray:
    """Return which courses draw one sample."""
    plain = [course.n == 1 and course.steps[0].kind == "sample" for course in courses]
    return np.array(plain, dtype=bool)


def _samples(course: Course, n_generators: int = 1) -> bool:
    """Return whether a course draws samples of so many generators, as the rules of others do."""
    return len(course.generators) == n_generators and all(step.kind == "sample" for step in course.steps)


def _weitzman(course: Course) -> bool:
    recorded = course.selection.signal != LEARNED
    return isinstance(course.stop, BestScore) and recorded and _samples(course)


def two_agree(course: Course) -> bool:
    """Return whether a course ends when two generators agree, and asks another one where they do not."""
    return course.stop == Agreement(count=2) and _samples(course, 2)


def _pooled(course: Course) -> bool:
    pooled = course.selection.pooled and course.selection.by == "vote"
    return course.one_shot and pooled and len(course.generators) > 1


RULES: Final[Mapping[str, Callable[[Course], bool]]] = {
    "Adaptive-Consistency": lambda course: (
        isinstance(course.stop, Beta) and not course.stop.futile_from and _samples(course)
    ),
    "ESC": lambda course: isinstance(course.stop, Unanimous) and _samples(course),
    "k agree": lambda course: isinstance(course.stop, Agreement) and _samples(course),
    "until 75 % agree": lambda course: isinstance(course.stop, Share) and _samples(course),
    "until the best score is good enough (Weitzman)": _weitzman,
    "two agree, else another model": two_agree,
    "one vote of several models": _pooled,
}
"""Rules that people know, each at any cap, waves and selector that the table holds."""


def rule_masks(courses: Sequence[Course]) -> dict[str, BoolArray]:
    """Return the columns of each known rule that the table holds, one sample always among them.

    The best of them may use every column that draws from one generator, or that any of the rules is.
    """
    once = single(courses)
    masks = {}
    for name, belongs in RULES.items():
        mine = np.array([belongs(course) for course in courses], dtype=bool)
        if mine.any():
            masks[name] = mine | once
    if masks:
        masks[BEST_RULE] = static(courses) | np.any(list(masks.values()), axis=0)
    return masks
