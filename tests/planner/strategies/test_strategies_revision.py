"""Sequential revision: what each attempt sees, and what refusals and waves leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from both_drivers import run_concurrently, run_lockstep
from strategy_contract import backend, play, task

from difficulty.prompt import Prompt
from planner.drivers import Limits, RunLog
from planner.ports.ports import Completion, SampleRequest, ScoreRequest


class Numbered:
    """Answers with the number of attempts so far; the attempt whose number is `fails` fails."""

    def __init__(self, fails: int | None = None) -> None:
        self.fails = fails
        self.asked: list[SampleRequest] = []

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = []
        for request in requests:
            self.asked.append(request)
            number = len(self.asked)
            failed = number == self.fails
            one = Completion(
                text="" if failed else f"attempt {number} answer: {number}",
                prompt_tokens=1,
                output_tokens=1,
                finish_reason="error" if failed else "stop",
                error="BackendError: lost" if failed else None,
            )
            rows.append([one] * request.n)
        return rows


def test_each_attempt_continues_the_last_ones() -> None:
    source = Numbered()
    params = {"context": 2, "selection": "last", "delimiter": "\n"}
    outcome = play(task("sequential_revision", width=1, depth=4, params=params), source=source).outcome
    lines = [f"attempt {number} answer: {number}\n" for number in range(1, 5)]
    assert [request.prefix for request in source.asked] == [
        (),
        tuple(lines[:1]),
        tuple(lines[:2]),
        tuple(lines[1:3]),
    ]
    assert outcome.answer == "4"
    assert [candidate.step for candidate in outcome.candidates] == [0, 1, 2, 3]


def test_chat_models_are_asked_in_a_conversation() -> None:
    source = Numbered()
    params = {"instruction": "Try again.", "selection": "last"}
    work = task("sequential_revision", width=1, depth=2, params=params)
    play(work, source=source)
    assert source.asked[1].prefix == ()
    assert source.asked[1].prompt.id == work.prompt.id
    assert [dict(message) for message in source.asked[1].prompt.messages] == [
        {"role": "user", "content": "question p0"},
        {"role": "assistant", "content": "attempt 1 answer: 1"},
        {"role": "user", "content": "Try again."},
    ]


def test_a_failed_attempt_is_not_shown_and_ends_nothing() -> None:
    source = Numbered(fails=2)
    outcome = play(
        task("sequential_revision", width=1, depth=3, params={"selection": "last"}), source=source
    ).outcome
    assert source.asked[2].prefix == ("attempt 1 answer: 1\n\n",)
    assert outcome.answer == "3"
    assert [candidate.status for candidate in outcome.candidates] == ["ok", "failed", "ok"]


@pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)
def test_after_a_refusal_no_further_wave_is_asked_for(driver: type) -> None:
    work = task("majority_vote", width=40, wave_size=2)
    (outcome,) = asyncio.run(driver([work], backend=backend(), limits=Limits(max_samples=3)))
    assert [candidate.status for candidate in outcome.candidates] == ["ok", "ok", "ok", "cancelled"]


class AllEqual:
    """Gives every path the same score."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [[0.5] * len(request.completions) for request in requests]


def test_subtrees_break_ties_independently() -> None:
    work = task("dvts", width=32, params={"beam_width": 4})
    played = play(work, source=backend(), verifier=AllEqual())
    second = [ask.request for ask in played.rounds[2] if isinstance(ask.request, SampleRequest)]
    first = [ask.request for ask in played.rounds[0] if isinstance(ask.request, SampleRequest)]
    chosen = []
    for opening, request in zip(first, second, strict=True):
        (row,) = asyncio.run(backend().sample([opening]))
        chosen.append([f"{one.text}\n\n" for one in row].index(request.prefix[0]))
    assert len(set(chosen)) > 1


def test_what_a_recorded_sample_depends_on_is_in_its_key(tmp_path: object) -> None:
    request = task("majority_vote").request(n=1, offset=0)
    messages = ({"role": "user", "content": "hi"},)
    talk = replace(request, prompt=Prompt(id="p0", messages=messages))
    one = Completion(text="a", prompt_tokens=1, output_tokens=1, finish_reason="stop")
    with RunLog.open(f"{tmp_path}/run.jsonl") as log:
        log.add_samples(request, [0], [one], seconds=0.0)
        log.add_samples(talk, [0], [one], seconds=0.0)
    with RunLog.open(f"{tmp_path}/run.jsonl", resume=True) as log:
        assert log.sample(request, 0) is not None
        others = [
            replace(request, prefix=("a",)),
            replace(request, stop=("\n",)),
            replace(request, max_output_tokens=3),
            replace(request, seed=request.seed + 1),
            replace(request, generator=replace(request.generator, temperature=0.3)),
            replace(request, prompt=Prompt(id="p1", text="question p0")),
        ]
        assert [log.sample(other, 0) for other in others] == [None] * 6
        reordered = ({"content": "hi", "role": "user"},)
        assert log.sample(replace(talk, prompt=Prompt(id="p0", messages=reordered)), 0) is not None
        # Prices and sizes do not change what is drawn.
        assert log.sample(replace(request, generator=replace(request.generator, params=1e9)), 0) is not None
