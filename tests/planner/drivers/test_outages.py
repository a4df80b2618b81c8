"""Outages are no evidence: what they take ends a prompt as failed, and a resumed run asks for it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from both_drivers import run_concurrently, run_lockstep
from strategy_contract import task

from difficulty.errors import RetryableBackendError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers import RunLog
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedExtractor, SimulatedVerifier
from planner.strategies.follow import Follow
from planner.strategies.task import Task
from policies.course.allocate import summary_of
from policies.course.course import Course, Step
from policies.course.selection import Selection
from policies.course.stop import Agreement, StopRule, Unanimous

both = pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)
G = Generator(name="tiny", max_output_tokens=50)


class Flaky:
    """Answers the first `n_good` samples and those from `back_at` on; in between the server is down."""

    def __init__(self, n_good: int, back_at: int = 10**9) -> None:
        self.n_good, self.back_at, self.n_asked = n_good, back_at, 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = [[self._one() for _ in range(request.n)] for request in requests]
        if all(one is None for row in rows for one in row):
            raise RetryableBackendError("http://x refused with HTTP 503: down", status=503)
        return [[one or _DOWN for one in row] for row in rows]

    def _one(self) -> Completion | None:
        self.n_asked += 1
        if self.n_good < self.n_asked <= self.back_at:
            return None
        return Completion(text="answer: 7", prompt_tokens=9, output_tokens=2, finish_reason="stop")


_DOWN = Completion(
    text="", prompt_tokens=0, output_tokens=0, finish_reason="error", error="RetryableBackendError: down"
)


def reacting(id: str, stop: StopRule, *, sizes: Sequence[int] = (2, 2, 4)) -> Task:
    course = Course(
        steps=tuple(Step(generator="tiny", n=n) for n in sizes), selection=Selection(by="vote"), stop=stop
    )
    return Task(
        prompt=Prompt(id=id, text="question"),
        allocation=summary_of(course),
        generator=G,
        extractor=SimulatedExtractor(),
        seed=0,
        strategy=Follow(course=course, generators={"tiny": G}),
    )


@both
@pytest.mark.parametrize("stop", [Unanimous(), Agreement(count=2)], ids=str)
async def test_a_server_that_is_down_satisfies_nobody(driver: type, stop: StopRule, tmp_path: Path) -> None:
    tasks = [reacting(f"p{i}", stop) for i in range(6)]
    with RunLog.open(tmp_path / "log") as log:
        outcomes = await driver(tasks, backend=Flaky(0), run_log=log)
    assert {outcome.stop_reason for outcome in outcomes} == {"failed"}
    assert all("HTTP 503" in outcome.errors[0].reason for outcome in outcomes)
    with RunLog.open(tmp_path / "log", resume=True) as log:
        outcomes = await driver(tasks, backend=Flaky(10**9), run_log=log)
    assert {outcome.answer for outcome in outcomes} == {"7"}
    assert {outcome.stop_reason for outcome in outcomes} == {"satisfied"}


@both
async def test_a_wave_that_an_outage_took_is_asked_for_again_and_the_others_are_not(
    driver: type, tmp_path: Path
) -> None:
    work = [reacting("p", Agreement(count=9), sizes=(2, 3))]
    with RunLog.open(tmp_path / "log") as log:
        (outcome,) = await driver(work, backend=Flaky(2), run_log=log)
    assert (outcome.stop_reason, outcome.answer) == ("failed", "7")
    again = Flaky(10**9)
    with RunLog.open(tmp_path / "log", resume=True) as log:
        (outcome,) = await driver(work, backend=again, run_log=log)
    assert (outcome.stop_reason, again.n_asked, outcome.usage.output_tokens) == ("complete", 3, 10)


@both
async def test_a_wave_of_which_something_came_is_evidence(driver: type) -> None:
    (outcome,) = await driver([reacting("p", Agreement(count=9), sizes=(2, 3))], backend=Flaky(3))
    assert outcome.stop_reason == "complete" and len(outcome.errors) == 2


@both
@pytest.mark.parametrize("strategy", ["majority_vote", "best_of_n", "first_success", "sequential_revision"])
async def test_every_strategy_fails_when_nothing_comes(driver: type, strategy: str) -> None:
    verifiers = {"score": SimulatedVerifier()}
    (outcome,) = await driver([task(strategy, width=2)], backend=Flaky(0), verifiers=verifiers)
    assert outcome.stop_reason == "failed" and outcome.answer is None
