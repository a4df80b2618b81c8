"""What a plan becomes where it is served: what can be scored here, what may be drawn, who draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.planner import Planner
from planner.serving.options import Options
from planner.serving.planning import Planning
from planner.verifiers.mean_logprob import MeanLogprob
from policies.course.allocate import summary_of
from policies.course.course import Course, Selection, Step, waves
from policies.course.stop import Success
from policies.plan.plan import AllocationPlan

PLANNER = Planner.untrained(output_tokens_per_sample=10.0)
WAVES = waves("default", (2, 2, 2))


def plan_of(course: Course) -> AllocationPlan:
    (plan,) = PLANNER.plan([Prompt(text="?")], price=1.0)
    return replace(plan, course=course, allocation=summary_of(course))


def within(course: Course, *, options: Options | None = None, **more: Any) -> AllocationPlan:
    settings: dict[str, Any] = {"extractor": LastNumber(), **more}
    planning = Planning(planner=PLANNER, sources={}, price=1.0, **settings)
    return planning._within(plan_of(course), options or Options())


@pytest.mark.parametrize(
    "course",
    [
        Course(steps=WAVES, selection=Selection(by="best", signal="score")),
        Course(steps=WAVES, selection=Selection(by="first_success", signal="score"), stop=Success()),
        Course(steps=WAVES, selection=Selection(by="best", signal="learned")),
        Course(steps=(Step(generator="default", n=4, kind="search", strategy="beam_search"),)),
    ],
)
def test_a_plan_that_nothing_here_can_score_is_one_sample_and_says_so(course: Course) -> None:
    plan = within(course)
    assert plan.course is not None
    assert plan.course.n == 1
    assert not plan.course.selection.verifiers
    assert "nothing here scores" in plan.reason


def test_a_plan_whose_scores_are_here_stays() -> None:
    course = Course(steps=WAVES, selection=Selection(by="best", signal="score"))
    assert within(course, verifiers={"score": MeanLogprob()}).course == course
    likely = Course(steps=WAVES, selection=Selection(by="best", signal="mean_logprob"))
    assert within(likely).course == likely


@pytest.mark.parametrize(("most", "n"), [(1, 1), (2, 2), (3, 2), (5, 4), (6, 6), (9, 6)])
def test_caps_on_samples_keep_whole_steps(most: int, n: int) -> None:
    plan = within(Course(steps=WAVES), options=Options(max_samples=most))
    assert plan.course is not None
    assert plan.course.n == n
    assert plan.allocation == summary_of(plan.course)
