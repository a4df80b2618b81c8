"""What confidence is learned from will be known when serving: scores only where a course asks for them."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.drivers.blocking import blocking
from planner.running.run_plans import run_plans
from planner.running.withholding import given_of
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.plan.plan import AllocationPlan
from policies.table.recorded import Recorded
from training.answering.replays import play

TINY = {"tiny": Generator(name="tiny")}
SAMPLES = [
    {"answer": "4", "correct": True, "score": 0.9, "mean_logprob": -0.1, "output_tokens": 3},
    {"answer": "5", "correct": False, "score": 0.2, "mean_logprob": -0.7, "output_tokens": 3},
]
LOG = SampleLog.from_records([{"prompt_id": "a", "generator": "tiny", "samples": SAMPLES}], TINY)


@pytest.mark.parametrize("selection", ["vote", "score", "mean_logprob"])
def test_samples_say_in_training_what_they_will_say_when_serving(selection: str) -> None:
    read = Selection() if selection == "vote" else Selection(by="best", signal=selection)
    course = Course(steps=waves("tiny", (2,)), selection=read)
    played = play(Recorded.of(LOG), course, 0, 0, np.random.default_rng(0))
    plan = AllocationPlan(
        prompt_id="a",
        allocation=summary_of(course),
        course=course,
        expected_accuracy=0.5,
        accuracy_interval=(0.0, 1.0),
        expected_cost=2.0,
        unit="samples",
        objective="accuracy",
        price=0.1,
        reason="",
    )
    replay = ReplayBackend(LOG)
    (outcome,) = blocking(run_plans)(
        [plan],
        LOG.prompts,
        backend=replay,
        generators=TINY,
        cost_model=CostModel(unit="samples", generators=TINY),
        verifier=replay,
    )
    assert played is not None
    if selection == "mean_logprob":  # which stands beside its probability, in the place of a score
        assert {one.score for one in outcome.candidates} == {exp(-0.1), exp(-0.7)}
    for given in (played.given, given_of(outcome, plan)):
        scores = {None if one.score is None else round(one.score, 6) for one in given}
        assert scores == ({0.9, 0.2} if selection == "score" else {None})
        assert sorted(one.mean_logprob or 0.0 for one in given) == pytest.approx([-0.7, -0.1])
