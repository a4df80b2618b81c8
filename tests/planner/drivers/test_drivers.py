"""Both drivers: same answers, true books, failures kept apart, cancellation."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from both_drivers import run_concurrently, run_lockstep
from strategy_contract import ALL, backend, task

from difficulty.errors import BackendError, InvalidInputError, VerifierError
from planner.drivers import Limits, Progress
from planner.ports.ports import Completion, SampleRequest, ScoreRequest, Scores
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.usage import Usage

DRIVERS = (run_lockstep, run_concurrently)
VERIFIERS = {"score": SimulatedVerifier(noise=0.5)}
both = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)


def completion(text: str = "answer: right", **changes: object) -> Completion:
    fields = {"text": text, "prompt_tokens": 5, "output_tokens": 10, "finish_reason": "stop", **changes}
    return Completion(**fields)  # type: ignore[arg-type]


class Counting:
    """Passes on to a backend and counts calls and tokens."""

    def __init__(self, inner: SimulatedBackend) -> None:
        self.inner = inner
        self.n_calls = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.output_tokens = 0
        self.prompt_tokens = 0
        self.samples = 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.n_calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            rows = await self.inner.sample(requests)
        finally:
            self.in_flight -= 1
        for row in rows:
            self.samples += len(row)
            self.output_tokens += sum(one.output_tokens for one in row)
            self.prompt_tokens += sum(one.prompt_tokens for one in row)
        return rows


class PoisonedPrompt:
    """Raises for every call that has a request of one prompt."""

    def __init__(self, prompt_id: str) -> None:
        self.prompt_id = prompt_id

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        if any(request.prompt.id == self.prompt_id for request in requests):
            raise BackendError("prompt too long")
        return [[completion()] * request.n for request in requests]


class Outage:
    """Fails every call and counts them; may say that it tried each request on its own."""

    def __init__(self, *, tries_each: bool = False) -> None:
        self.tries_each = tries_each
        self.n_calls = 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.n_calls += 1
        if self.tries_each:
            raise BackendError("no answer", failed_requests=len(requests))
        raise TimeoutError("no answer")


class Fixed:
    """Returns the same rows for every call."""

    def __init__(self, row: Sequence[Completion]) -> None:
        self.row = list(row)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [self.row for _ in requests]


class Hanging:
    """Answers the first seed at once and the others never; may report what a cancelled one had."""

    def __init__(self, *, reports: bool) -> None:
        self.reports = reports
        self.first_seed: int | None = None

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        (request,) = requests
        if self.first_seed is None:
            self.first_seed = request.seed
        if request.seed == self.first_seed:
            return [[completion()]]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self.reports:
                raise
        return [[completion("", output_tokens=4, finish_reason="cancelled")]]


@pytest.mark.parametrize("strategy", ALL)
async def test_drivers_agree(strategy: str) -> None:
    tasks = [task(strategy, id=f"p{i}") for i in range(12)]
    source = backend(failure_rate=0.05)
    batch = await run_lockstep(tasks, backend=source, verifiers=VERIFIERS)
    streamed = await run_concurrently(tasks, backend=source, verifiers=VERIFIERS)
    for one, other in zip(batch, streamed, strict=True):
        assert one.prompt_id == other.prompt_id
        assert one.answer == other.answer
        assert one.candidates == other.candidates
        assert one.stop_reason == other.stop_reason
        assert one.usage.samples == other.usage.samples
        assert one.usage.output_tokens == other.usage.output_tokens
        assert one.usage.verifier_tokens == other.usage.verifier_tokens


class Shuffled:
    """Lets replies come in random order."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.inner = backend(failure_rate=0.05)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        for _ in range(self.rng.randrange(12)):
            await asyncio.sleep(0)
        return await self.inner.sample(requests)


@pytest.mark.parametrize("strategy", [name for name in ALL if name != "first_success"])
async def test_replies_in_any_order_give_the_same_outcomes(strategy: str) -> None:
    tasks = [task(strategy, id=f"p{i}") for i in range(6)]
    ordered = await run_lockstep(tasks, backend=backend(failure_rate=0.05), verifiers=VERIFIERS)
    shuffled = await run_concurrently(
        tasks, backend=Shuffled(1), verifiers=VERIFIERS, limits=Limits(max_concurrency=3)
    )
    assert [one.answer for one in shuffled] == [one.answer for one in ordered]
    assert [one.candidates for one in shuffled] == [one.candidates for one in ordered]


@both
@pytest.mark.parametrize("strategy", ALL)
async def test_the_books_equal_what_the_backend_generated(driver: type, strategy: str) -> None:
    source = Counting(backend(failure_rate=0.1))
    tasks = [task(strategy, id=f"p{i}") for i in range(5)]
    outcomes = await driver(tasks, backend=source, verifiers=VERIFIERS)
    total = sum((outcome.usage for outcome in outcomes), Usage())
    assert total.output_tokens == source.output_tokens
    assert total.prompt_tokens == source.prompt_tokens
    assert total.samples == source.samples


async def test_lockstep_sends_one_call_per_round() -> None:
    source = Counting(backend())
    tasks = [task("majority_vote", id=f"p{i}", wave_size=4) for i in range(20)]
    await run_lockstep(tasks, backend=source, limits=Limits())
    assert source.n_calls == 2


async def test_concurrency_is_capped_and_used() -> None:
    source = Counting(backend())
    tasks = [task("first_success", id=f"p{i}") for i in range(30)]
    await run_concurrently(tasks, backend=source, verifiers=VERIFIERS, limits=Limits(max_concurrency=5))
    assert source.most_in_flight == 5


@both
async def test_a_prompt_that_breaks_its_call_loses_nobody_else(driver: type) -> None:
    tasks = [task("majority_vote", id=f"p{i}", width=3) for i in range(9)]
    outcomes = await driver(tasks, backend=PoisonedPrompt("p4"))
    assert [outcome.answer for outcome in outcomes] == ["right"] * 4 + [None] + ["right"] * 4
    assert outcomes[4].stop_reason == "failed"
    assert {(error.kind, error.reason) for error in outcomes[4].errors} == {
        ("BackendError", "prompt too long")
    }
    assert outcomes[4].usage.failed_requests >= 1


async def test_an_outage_is_not_probed_prompt_by_prompt() -> None:
    source = Outage()
    tasks = [task("majority_vote", id=f"p{i}") for i in range(200)]
    outcomes = await run_lockstep(tasks, backend=source)
    assert all(outcome.answer is None and outcome.errors for outcome in outcomes)
    assert {error.kind for outcome in outcomes for error in outcome.errors} == {"TimeoutError"}
    assert source.n_calls < 40


async def test_a_backend_that_tried_every_request_is_not_asked_again() -> None:
    source = Outage(tries_each=True)
    outcomes = await run_lockstep([task("greedy", id=f"p{i}") for i in range(20)], backend=source)
    assert source.n_calls == 1
    assert sum(outcome.usage.failed_requests for outcome in outcomes) == 20


@both
async def test_missing_choices_are_failures_and_surplus_ones_are_paid_for(driver: type) -> None:
    (few,) = await driver([task("majority_vote", width=3)], backend=Fixed([completion()]))
    assert few.answer == "right"
    assert [error.kind for error in few.errors] == ["InvalidResponseError"] * 2
    (many,) = await driver([task("majority_vote", width=1)], backend=Fixed([completion()] * 3))
    assert len(many.candidates) == 1
    assert (many.usage.samples, many.usage.output_tokens, many.usage.wasted_tokens) == (3, 30, 20)
    assert [error.kind for error in many.errors] == ["InvalidResponseError"]


@both
async def test_a_negative_token_count_is_no_answer(driver: type) -> None:
    (outcome,) = await driver([task("greedy")], backend=Fixed([completion(output_tokens=-3)]))
    assert outcome.answer is None
    assert outcome.usage.output_tokens == 0
    assert outcome.errors[0].kind == "InvalidResponseError"


class WrongScores:
    """Raises, or returns too few scores."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        if self.error is not None:
            raise self.error
        return [Scores([0.5] * (len(request.completions) + 1), verifier_tokens=3) for request in requests]


@both
@pytest.mark.parametrize("error", [VerifierError("steps and scores differ"), None])
async def test_a_verifier_that_fails_gives_no_scores_and_an_error(
    driver: type, error: Exception | None
) -> None:
    source = backend(default_success=1.0)
    (outcome,) = await driver(
        [task("best_of_n", width=2)], backend=source, verifiers={"score": WrongScores(error)}
    )
    assert outcome.selected_by == "majority_vote"
    assert all(candidate.score is None for candidate in outcome.candidates)
    assert {one.kind for one in outcome.errors} == {"VerifierError"}


@both
async def test_an_error_that_is_no_failure_of_the_backend_is_not_swallowed(driver: type) -> None:
    class Bug:
        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        await driver([task("greedy", id=f"p{i}") for i in range(3)], backend=Bug())


@both
async def test_what_cannot_work_is_refused_before_anything_is_spent(driver: type) -> None:
    source = Counting(backend())
    tasks = [task("majority_vote"), task("best_of_n", id="p1")]
    with pytest.raises(InvalidInputError, match="needs the verifier 'score'; given: none"):
        await driver(tasks, backend=source)
    assert source.n_calls == 0


async def test_a_success_cancels_what_is_in_flight_and_books_it() -> None:
    (outcome,) = await run_concurrently(
        [task("first_success", width=4)], backend=Hanging(reports=True), verifiers=VERIFIERS
    )
    assert (outcome.answer, outcome.stop_reason) == ("right", "satisfied")
    assert [candidate.status for candidate in outcome.candidates] == ["ok"] + ["cancelled"] * 3
    assert (outcome.usage.samples, outcome.usage.output_tokens) == (4, 10 + 3 * 4)
    assert outcome.usage.wasted_tokens == 3 * 4
    assert outcome.errors == ()


async def test_cancelled_work_that_nobody_counted_is_listed() -> None:
    (outcome,) = await run_concurrently(
        [task("first_success", width=4)], backend=Hanging(reports=False), verifiers=VERIFIERS
    )
    assert (outcome.usage.samples, outcome.usage.output_tokens) == (4, 10)
    assert [error.kind for error in outcome.errors] == ["CancelledUnmetered"] * 3


async def test_cancelling_the_run_leaves_nothing_behind() -> None:
    run = asyncio.create_task(run_concurrently([task("majority_vote")], backend=Hanging(reports=False)))
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [one for one in asyncio.all_tasks() if one is not asyncio.current_task()] == []


@both
async def test_progress_is_told_of_every_outcome(driver: type) -> None:
    told: list[Progress] = []
    tasks = [task("greedy", id=f"p{i}") for i in range(4)]
    outcomes = await driver(tasks, backend=backend(), progress=told.append)
    assert [one.n_done for one in told] == [1, 2, 3, 4]
    assert {one.outcome.prompt_id for one in told} == {outcome.prompt_id for outcome in outcomes}
    assert told[-1].spent.samples == 4


@both
async def test_no_tasks_give_no_outcomes(driver: type) -> None:
    assert await driver([], backend=backend()) == []


async def test_seconds_of_the_prompts_add_up_to_the_time_of_the_calls() -> None:
    ticks = iter(range(1000))
    outcomes = await run_lockstep(
        [task("majority_vote", id=f"p{i}") for i in range(3)],
        backend=backend(),
        clock=lambda: float(next(ticks)),
    )
    assert sum(outcome.usage.seconds for outcome in outcomes) == pytest.approx(1.0)


class Slow:
    """An extractor that may take seconds, and notes which threads it was called in."""

    blocks = True

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def extract(self, text: str, finish_reason: str) -> str | None:
        self.threads.add(threading.get_ident())
        return SimulatedExtractor().extract(text, "stop") if finish_reason == "stop" else None


@both
async def test_an_extractor_that_may_take_seconds_stays_off_the_event_loop(driver: type) -> None:
    slow = Slow()
    tasks = [task("majority_vote", id=f"p{k}") for k in range(3)]
    outcomes = await driver([replace(one, extractor=slow) for one in tasks], backend=backend())
    assert slow.threads and threading.get_ident() not in slow.threads
    assert [one.answer for one in outcomes] == [one.answer for one in await driver(tasks, backend=backend())]


@both
async def test_no_more_of_a_prompt_is_cached_than_was_sent(driver: type) -> None:
    class Boasting:
        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            one = Completion(
                text="answer: 1",
                prompt_tokens=10,
                cached_prompt_tokens=90,
                output_tokens=2,
                finish_reason="stop",
            )
            return [[one] * request.n for request in requests]

    (outcome,) = await driver([task("majority_vote", width=1)], backend=Boasting())
    assert (outcome.usage.prompt_tokens, outcome.usage.cached_prompt_tokens) == (10, 10)
