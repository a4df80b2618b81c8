"""Picking by a verifier that scores sets: waves, failures, and what a run log remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from both_drivers import run_lockstep

from difficulty import SampleLog
from difficulty.errors import VerifierError
from difficulty.generator import Generator
from planner.answers.rules import RecordedAnswer
from planner.backends.replay import ReplayBackend
from planner.drivers import Limits, RunLog
from planner.ports.outcome import Outcome
from planner.ports.ports import ScoreRequest, Scores
from planner.strategies.task import Task
from planner.verifiers.learned import LearnedVerifier
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.verifier.learned_verifier import CorrectnessModel

SHARE = CorrectnessModel(
    generator="tiny",
    columns=(),
    centre=(0.0,) * 6,
    scale=(1.0,) * 6,
    weights=(4.0, 0, 0, 0, 0, 0),
    intercept=-2.0,
    trees=None,
    log_loss=0.5,
    brier=0.2,
    base_brier=0.25,
    calibration_error=0.01,
)


class Watched:
    """Passes requests on and keeps them; can refuse."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken, self.seen = broken, list[ScoreRequest]()
        self.inner = LearnedVerifier(models={"tiny": SHARE}, extractor=RecordedAnswer())

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        self.seen += requests
        if self.broken:
            raise VerifierError("no log-probabilities")
        return await self.inner.score(requests)


async def run(
    strategy: StrategyName, verifier: Watched, wave_size: int | None = None, answers: str = "abbab"
) -> Outcome:
    samples = [{"answer": one, "correct": one == "b", "output_tokens": 3} for one in answers]
    record = {"prompt_id": "p", "prompt": "?", "generator": "tiny", "samples": samples}
    log = SampleLog.from_records([record], {"tiny": Generator(name="tiny")})
    task = Task(
        prompt=log.prompts[0],
        allocation=Allocation(
            generator="tiny", strategy=strategy, width=len(answers), params={"verifier": "learned"}
        ),
        generator=log.generators["tiny"],
        extractor=RecordedAnswer(),
        wave_size=wave_size,
    )
    [outcome] = await run_lockstep(
        [task], backend=ReplayBackend(log), verifiers={"learned": verifier}, limits=Limits()
    )
    return outcome


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n"])
async def test_waves_end_with_the_scores_of_all_that_were_drawn(strategy: StrategyName) -> None:
    at_once = await run(strategy, Watched())
    verifier = Watched()
    in_waves = await run(strategy, verifier, wave_size=2)
    # Nothing is asked between the waves, so that all are judged once, together.
    assert [len(request.completions) for request in verifier.seen] == [5]
    assert {request.generator for request in verifier.seen} == {"tiny"}
    assert in_waves.candidates == at_once.candidates and in_waves.answer == at_once.answer == "b"
    assert in_waves.selected_by == strategy


async def test_what_cannot_be_scored_together_is_left_to_the_vote() -> None:
    verifier = Watched(broken=True)
    outcome = await run("best_of_n", verifier)
    # The driver tries a failed call once more; no completion is ever scored as if it were alone.
    assert {len(request.completions) for request in verifier.seen} == {5}
    assert outcome.answer == "b" and outcome.selected_by == "majority_vote"
    assert {error.kind for error in outcome.errors} == {"VerifierError"}
    assert all(candidate.score is None for candidate in outcome.candidates)


async def test_a_run_log_keeps_the_scores_of_generators_and_lengths_apart(tmp_path: Path) -> None:
    verifier = Watched()
    await run("best_of_n", verifier)
    [request] = verifier.seen
    with RunLog.open(tmp_path / "run.log", resume=False) as log:
        log.add_scores(request, Scores([0.5] * 5, verifier_tokens=0, steps=[[0.1, 0.5]] * 5))
    with RunLog.open(tmp_path / "run.log", resume=True) as log:
        found = log.scores(request)
        assert found == (0.5,) * 5 and found.steps == ((0.1, 0.5),) * 5
        assert log.scores(replace(request, generator="other")) is None
        assert log.scores(replace(request, output_tokens=(9,) * 5)) is None
