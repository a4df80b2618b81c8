"""Let the learned verifier stand in for a reward model that nobody has, and say early where it cannot.

It assumes plans whose courses pick among independent samples by a score. Scoring is left to
`planner.verifiers.learned`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from difficulty.errors import InvalidInputError
from policies.course.course import Course
from policies.plan.plan import AllocationPlan
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel


def picked_by_learned(course: Course) -> Course:
    """Return the course with the learned verifier in the place of another score; others unchanged.

    Examples
    --------
    >>> from policies.course.course import Selection, waves
    >>> best = Selection(by="best", signal="score")
    >>> print(picked_by_learned(Course(steps=waves("a", (8,)), selection=best)))
    a x8; best by learned
    """
    selection = course.selection
    if selection.by == "first_success" or selection.signal == "none" or _searches(course):
        return course
    return replace(course, selection=replace(selection, signal=LEARNED))


def check_learned(
    plans: Sequence[AllocationPlan],
    courses: Sequence[Course],
    models: Mapping[str, CorrectnessModel],
    *,
    wanted: bool,
) -> None:
    """Refuse plans that need a learned verifier that is not there, before anything is drawn.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        What is to be run.
    courses : sequence of Course
        The course of each.
    models : mapping of str to CorrectnessModel
        Learned verifiers by generator.
    wanted : bool
        The caller asks for it by name, in the place of other verifiers.

    Raises
    ------
    InvalidInputError
        When there is none at all though it was asked for, none of a generator whose samples it has to pick
        from, or when a course asks for a verifier that it cannot stand in for.
    """
    if wanted and not models:
        raise InvalidInputError(
            "no learned verifier here: the bundle was trained on a log without marked answers, for coverage, "
            "or before there were any; train again, or name another verifier"
        )
    for plan, course in zip(plans, courses, strict=True):
        steered = _searches(course) or course.selection.by == "first_success"
        if wanted and (steered or plan.objective == "coverage"):
            raise InvalidInputError(
                f"prompt {plan.prompt_id!r}: {plan.allocation.strategy} needs a checker or a model that "
                "scores steps; the learned verifier only picks among complete samples"
            )
        if (picked_by_learned(course) if wanted else course).selection.signal != LEARNED:
            continue
        missing = [name for name in course.generators if name not in models]
        if missing:
            raise InvalidInputError(
                f"prompt {plan.prompt_id!r}: no learned verifier of generator {missing[0]!r}; there are "
                f"those of {', '.join(models) or 'none'}; run plans with the bundle that made them"
            )


def _searches(course: Course) -> bool:
    return course.steps[-1].kind == "search"
