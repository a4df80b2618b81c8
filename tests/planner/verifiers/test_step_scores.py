"""Scores of steps: where a whole text is cut, and that a collection keeps them, kills included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import VerifierError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.collection.journal import JournaledVerifier
from planner.collection.plan import Recording
from planner.collection.run import collect
from planner.ports.ports import Completion, SampleRequest, ScoreRequest, Scores, Verifier
from planner.simulated import SimulatedBackend, SimulatedExtractor
from planner.verifiers.step_formats import split_steps
from policies.cost.usage import Usage

PROMPTS = [Prompt(id=f"p{i}", text=f"question {i}", gold="42") for i in range(3)]
GENERATORS = {"small": Generator(name="small", max_output_tokens=300)}


class PerStep:
    """Scores a step by its length, a completion by its last step, one request per call; can die."""

    def __init__(self, *, die_at: int | None = None) -> None:
        self.die_at, self.n_calls = die_at, 0

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        if len(requests) > 1:
            raise VerifierError("one at a time")
        if self.n_calls == self.die_at:
            raise KeyboardInterrupt
        self.n_calls += 1
        rows = []
        for request in requests:
            steps = [
                [1 / len(step) for step in (split_steps(one[0], "\n") if len(one) == 1 else one)]
                for one in request.completions
            ]
            rows.append(Scores([one[-1] for one in steps], verifier_tokens=5, steps=steps))
        return rows


class Lines:
    """Writes the simulated text on two lines."""

    def __init__(self) -> None:
        self.inner = SimulatedBackend()

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        from dataclasses import replace

        rows = await self.inner.sample(requests)
        return [[replace(one, text=f"think\n{one.text}") for one in row] for row in rows]


def gather(out: Path, verifier: Verifier) -> SampleLog:
    done = collect(
        PROMPTS,
        out,
        generators=GENERATORS,
        backend=Lines(),
        samples=2,
        recordings=[Recording(strategy="sequential_revision", width=2, depth=2)],
        extractor=SimulatedExtractor(),
        verifier=verifier,
        texts=True,
        driver="lockstep",
    )
    assert done.log is not None
    return done.log


@given(st.lists(st.sampled_from(["a", "b c", "\n", "\n\n", " "]), max_size=12).map("".join))
def test_steps_are_the_whole_text_and_none_is_blank(text: str) -> None:
    for delimiter in ("\n", "\n\n"):
        steps = split_steps(text, delimiter)
        assert "".join(steps) == text
        if text.strip():
            assert all(step.strip() for step in steps)
            assert all(delimiter not in step.strip() for step in steps)
        else:
            assert len(steps) == 1


def test_a_collection_keeps_the_scores_of_steps_beside_the_final_one(tmp_path: Path) -> None:
    log = gather(tmp_path / "log.jsonl.gz", PerStep())
    assert SampleLog.read(tmp_path / "log.jsonl.gz") == log
    samples = log.samples("p0", "small")
    assert len(samples) == 2
    for sample in samples:
        assert sample.text is not None and sample.text.startswith("think\n")
        assert sample.step_scores == (1 / 6, 1 / (len(sample.text) - 6))
        assert sample.score == sample.step_scores[-1]
    chains = log.chains("small")
    assert chains is not None and chains.correct.shape == (3, 2, 2)


def test_scores_of_steps_survive_a_kill(tmp_path: Path) -> None:
    whole = gather(tmp_path / "whole.jsonl", PerStep())
    scored = 0
    for die_at in (0, 2, 1):
        verifier = PerStep(die_at=die_at)
        with pytest.raises(KeyboardInterrupt):
            gather(tmp_path / "log.jsonl", verifier)
        scored += verifier.n_calls
    last = PerStep()
    assert gather(tmp_path / "log.jsonl", last) == whole
    # Two pieces for each of three prompts: none is scored twice.
    assert scored == 3 and scored + last.n_calls == 6


class Dying:
    """Draws steps of a search, and dies at a call."""

    def __init__(self, die_at: int | None = None) -> None:
        self.inner, self.die_at, self.n_calls = SimulatedBackend(n_steps=3), die_at, 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        if self.n_calls == self.die_at:
            raise KeyboardInterrupt
        self.n_calls += 1
        return await self.inner.sample(requests)


SEARCH: dict[str, str | int] = {"beam_width": 2, "delimiter": "\n", "selection": "best_of_n"}


def search(out: Path, verifier: Verifier | None, *, die_at: int | None = None) -> SampleLog:
    by_logprob: dict[str, str | int] = {**SEARCH, "verifier": "mean_logprob"}
    done = collect(
        PROMPTS,
        out,
        generators=GENERATORS,
        backend=Dying(die_at),
        samples=0,
        recordings=[
            Recording(strategy="beam_search", width=4, runs=2, params=SEARCH),
            Recording(strategy="beam_search", width=4, params=by_logprob),
        ][: 1 if verifier is None else 2],
        extractor=SimulatedExtractor(),
        verifier=verifier or Plain(),
        texts=True,
        driver="lockstep",
    )
    assert done.log is not None
    if verifier is not None:
        recorded = [runs.verifier_tokens for runs in done.log.runs()]
        assert done.usage.verifier_tokens == np.nansum(np.concatenate(recorded, axis=1))
    return done.log


class Counted:
    """Scores a step by its length and counts 7 tokens for each step."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        return [
            Scores(
                [1 / len(one[-1]) for one in request.completions],
                verifier_tokens=7 * sum(map(len, request.completions)),
                steps=[[1 / len(step) for step in one] for one in request.completions],
            )
            for request in requests
        ]


class Plain:
    """Scores without saying what it read."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [[0.5] * len(request.completions) for request in requests]


def test_a_run_keeps_what_its_verifier_read_and_the_steps_of_what_it_returned(tmp_path: Path) -> None:
    log = search(tmp_path / "log.jsonl.gz", Counted())
    assert SampleLog.read(tmp_path / "log.jsonl.gz") == log
    led, free = log.runs()
    assert dict(free.params)["verifier"] == "mean_logprob"
    assert led.verifier_tokens.shape == (3, 2) and np.isnan(free.verifier_tokens).all()
    # Four paths of one, two and three steps each: what was kept is read again with each new step.
    assert led.verifier_tokens.max() == 7 * 4 * (1 + 2 + 3)
    assert led.step_scores is not None and free.step_scores is not None
    for scores, score in zip(led.step_scores.ravel(), led.score.ravel(), strict=True):
        assert len(scores) >= 2 and scores[-1] == score
    assert set(free.step_scores.ravel()) == {None}


def test_a_killed_search_keeps_both(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole.jsonl", Counted())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "log.jsonl", Counted(), die_at=1)
    assert search(tmp_path / "log.jsonl", Counted()) == whole


def test_a_verifier_that_does_not_count_leaves_it_unrecorded(tmp_path: Path) -> None:
    (runs,) = search(tmp_path / "log.jsonl", None).runs()
    assert np.isnan(runs.verifier_tokens).all() and runs.step_scores is None
    assert not np.isnan(runs.score).any()


class Measured:
    """Counts as many tokens of each text as it has letters, and dies at a call; or gives numbers amiss."""

    def __init__(self, *, die_at: int | None = None, amiss: list[int] | None = None) -> None:
        self.die_at, self.amiss, self.n_calls = die_at, amiss, 0

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        if len(requests) > 1:
            raise VerifierError("one at a time")
        if self.n_calls == self.die_at:
            raise KeyboardInterrupt
        self.n_calls += 1
        return [
            Scores(
                [0.5] * len(request.completions),
                tokens_each=self.amiss or [len(one[0]) for one in request.completions],
            )
            for request in requests
        ]


def test_samples_and_attempts_keep_what_scoring_each_took(tmp_path: Path) -> None:
    log = gather(tmp_path / "log.jsonl", Measured())
    for prompt in log.prompts:
        for sample in log.samples(prompt.id, "small"):
            assert sample.text is not None and sample.verifier_tokens == len(sample.text)
    chains = log.chains("small")
    assert chains is not None and chains.verifier_tokens is not None
    assert (chains.verifier_tokens > 0).all() and len(np.unique(chains.verifier_tokens)) > 1
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path / "again.jsonl", Measured(die_at=3))
    assert gather(tmp_path / "again.jsonl", Measured()) == log


@pytest.mark.parametrize("amiss", [[1], [3, -1, 2, 4]])
def test_counts_that_fit_no_sample_are_a_failure_of_the_verifier(amiss: list[int], tmp_path: Path) -> None:
    log = gather(tmp_path / "log.jsonl", Measured(amiss=amiss))
    assert log.about["collected"]["failures"]["VerifierError"] == 6  # type: ignore[index]
    assert log.pool("small").verifier_tokens is None and not log.has_scores


async def test_a_collection_passes_on_what_a_judge_has_used() -> None:
    class Judge:
        async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
            return [Scores([0.5], usage=Usage(output_tokens=7), generator="judge") for _ in requests]

    request = ScoreRequest(prompt=PROMPTS[0], completions=(("42",),))
    [scores] = await JournaledVerifier(Judge(), None).score([request])
    assert (scores, scores.usage.output_tokens, scores.generator) == ((0.5,), 7, "judge")
