"""End to end over HTTP: both drivers, the OpenAI backend and a server that keeps its own books."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from both_drivers import run_concurrently, run_lockstep
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal
from strategy_contract import GENERATOR, task

from planner.answers.rules import LastNumber
from planner.backends.openai import OpenAIBackend
from planner.drivers import Limits
from planner.ports.outcome import Outcome
from planner.ports.ports import ScoreRequest
from planner.strategies import Task
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")

both = pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)


class Books:
    """Answers honestly, refuses every `refuse_every`-th request, and adds up what it has generated."""

    def __init__(self, *, refuse_every: int = 0, honour_n: bool = True) -> None:
        self.refuse_every = refuse_every
        self.honour_n = honour_n
        self.output_tokens = 0
        self.prompt_tokens = 0
        self.samples = 0
        self.refused = 0

    def __call__(self, body: dict[str, Any], index: int) -> Response:
        if self.refuse_every and index % self.refuse_every == 0:
            self.refused += 1
            return refusal("the model is not loaded", status=404)
        response = completion(body, honour_n=self.honour_n)
        # A reply in pieces has the same counts as the whole one.
        whole = completion({**body, "stream": False}, honour_n=self.honour_n)
        reply = json.loads(whole.body)
        self.output_tokens += reply["usage"]["completion_tokens"]
        self.prompt_tokens += reply["usage"]["prompt_tokens"]
        self.samples += len(reply["choices"])
        return response


class EvenIsBest:
    """Accepts texts that end in an even number."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [
            [1.0 if int(steps[-1].split()[-1]) % 2 == 0 else 0.0 for steps in request.completions]
            for request in requests
        ]


def with_numbers(work: Task) -> Task:
    return Task(
        prompt=work.prompt,
        allocation=work.allocation,
        generator=work.generator,
        extractor=LastNumber(),
        wave_size=work.wave_size,
    )


def total(outcomes: Sequence[Outcome]) -> Usage:
    return sum((outcome.usage for outcome in outcomes), Usage())


@both
@pytest.mark.parametrize("honour_n", [True, False])
@pytest.mark.parametrize("strategy", ["majority_vote", "best_of_n", "first_success", "sequential_revision"])
async def test_the_ledger_equals_what_the_server_generated(
    driver: type, honour_n: bool, strategy: str
) -> None:
    books = Books(honour_n=honour_n)
    tasks = [with_numbers(task(strategy, id=f"p{i}", width=3)) for i in range(4)]
    with FakeOpenAIServer(books) as server:
        async with OpenAIBackend(base_url=server.url, model="tiny", max_retries=0) as backend:
            outcomes = await driver(tasks, backend=backend, verifiers={"score": EvenIsBest()})
            while server._at_once:
                await asyncio.sleep(0)
    spent = total(outcomes)
    apart = [error.kind for one in outcomes for error in one.errors]
    if not apart:
        assert spent.output_tokens == books.output_tokens
        assert spent.prompt_tokens == books.prompt_tokens
        assert spent.samples == books.samples
    else:
        # What was cancelled is listed apart, one entry per request that a success made needless.
        assert strategy == "first_success" and set(apart) == {"CancelledLowerBound"}
        assert spent.output_tokens <= books.output_tokens
    assert all(outcome.answer is not None for outcome in outcomes)


@both
async def test_refused_requests_are_in_the_books_and_cost_no_other_sample(driver: type) -> None:
    books = Books(refuse_every=3)
    tasks = [with_numbers(task("majority_vote", id=f"p{i}", width=2)) for i in range(9)]
    with FakeOpenAIServer(books) as server:
        async with OpenAIBackend(base_url=server.url, model="tiny", max_retries=0) as backend:
            outcomes = await driver(tasks, backend=backend)
    spent = total(outcomes)
    assert spent.output_tokens == books.output_tokens
    assert spent.failed_requests == books.refused > 0
    answered = [outcome for outcome in outcomes if outcome.answer is not None]
    failed = [outcome for outcome in outcomes if outcome.answer is None]
    assert len(answered) + len(failed) == 9
    assert answered
    assert all(outcome.stop_reason == "failed" and outcome.errors for outcome in failed)


@both
async def test_a_budget_holds_against_what_the_server_counted(driver: type) -> None:
    books = Books()
    tasks = [with_numbers(task("majority_vote", id=f"p{i}", width=8)) for i in range(6)]
    with FakeOpenAIServer(books) as server:
        async with OpenAIBackend(base_url=server.url, model="tiny", max_retries=0) as backend:
            outcomes = await driver(tasks, backend=backend, limits=Limits(max_output_tokens=500))
    assert 0 < books.output_tokens <= 500
    assert total(outcomes).output_tokens == books.output_tokens
    assert "limit" in {outcome.stop_reason for outcome in outcomes}


@both
@pytest.mark.parametrize("honour_n", [True, False])
async def test_a_budget_holds_where_nobody_knows_yet_how_many_samples_come_at_once(
    driver: type, honour_n: bool
) -> None:
    """A server that ignores `n` reads the prompt again for every sample, and says so with its first reply."""
    books, limit = Books(honour_n=honour_n), 160.0
    generator = replace(GENERATOR, max_output_tokens=9)
    work = with_numbers(task("majority_vote", width=16, generator=generator))
    work = replace(work, prompt=replace(work.prompt, prompt_tokens=9))
    with FakeOpenAIServer(books) as server:
        async with OpenAIBackend(base_url=server.url, model="tiny", max_retries=0) as backend:
            limits = Limits(max_cost=limit, price=CostModel(unit="total_tokens").price)
            (outcome,) = await driver([work], backend=backend, limits=limits)
    assert outcome.cost == books.prompt_tokens + books.output_tokens <= limit
    # Eight samples of 9 tokens with a prompt each; seven more where those have come with one prompt.
    assert books.samples == (15 if honour_n else 8)
