"""Hard caps: on actual usage, over the run and per prompt, in any unit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from both_drivers import run_concurrently, run_lockstep
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy_contract import ALL, GENERATOR, backend, task

from difficulty.errors import InvalidBudgetError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers import Ledger, Limits
from planner.drivers.accounts import Account
from planner.drivers.turns import Part, Standing, Turn
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedVerifier
from planner.strategies.task import Task
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage

DRIVERS = (run_lockstep, run_concurrently)
VERIFIERS = {"score": SimulatedVerifier(noise=0.5)}
SHORT = replace(GENERATOR, max_output_tokens=8)
WIDE = Generator(name="tiny", max_output_tokens=2048)
both = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)


def price(usage: Usage, generator: str) -> float:
    """Dollars: output costs four times as much as the prompt."""
    assert generator == GENERATOR.name
    return 1e-6 * usage.prompt_tokens + 4e-6 * usage.output_tokens


def total(outcomes: Sequence[Outcome]) -> Usage:
    return sum((outcome.usage for outcome in outcomes), Usage())


@both
@given(
    strategy=st.sampled_from(ALL),
    max_samples=st.none() | st.integers(1, 60),
    max_tokens=st.none() | st.integers(1, 6000),
    max_cost=st.none() | st.floats(1e-5, 2e-2),
    per_prompt=st.none() | st.integers(1, 3000),
    cost_per_prompt=st.none() | st.floats(1e-4, 1e-2),
    failure_rate=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=80, deadline=None)
def test_no_cap_is_ever_broken(
    driver: type,
    strategy: str,
    max_samples: int | None,
    max_tokens: int | None,
    max_cost: float | None,
    per_prompt: int | None,
    cost_per_prompt: float | None,
    failure_rate: float,
) -> None:
    limits = Limits(
        max_samples=max_samples,
        max_output_tokens=max_tokens,
        max_cost=max_cost,
        max_output_tokens_per_prompt=per_prompt,
        max_cost_per_prompt=cost_per_prompt,
        price=price,
        max_concurrency=6,
    )
    tasks = [task(strategy, id=f"p{i}", width=6) for i in range(5)]
    source = backend(failure_rate=failure_rate, mean_output_tokens=90)
    outcomes = asyncio.run(driver(tasks, backend=source, verifiers=VERIFIERS, limits=limits))
    spent = total(outcomes)
    assert max_samples is None or spent.samples <= max_samples
    assert max_tokens is None or spent.output_tokens <= max_tokens
    assert per_prompt is None or max(one.usage.output_tokens for one in outcomes) <= per_prompt
    cost = sum(outcome.cost for outcome in outcomes if outcome.cost is not None)
    assert cost == pytest.approx(price(spent, GENERATOR.name))
    dearest = max(outcome.cost or 0.0 for outcome in outcomes)
    assert cost_per_prompt is None or dearest <= cost_per_prompt * (1 + 1e-9)
    assert max_cost is None or cost <= max_cost * (1 + 1e-9)


@both
def test_a_budget_is_used_up_before_it_refuses(driver: type) -> None:
    # The cap on a sample is 400 tokens, so that at most 399 tokens of the budget can stay unspent.
    limits = Limits(max_output_tokens=4000)
    tasks = [task("majority_vote", id=f"p{i}", width=20) for i in range(10)]
    outcomes = asyncio.run(driver(tasks, backend=backend(), limits=limits))
    assert 3600 < total(outcomes).output_tokens <= 4000
    assert {outcome.stop_reason for outcome in outcomes} >= {"limit"}


@both
def test_a_refused_prompt_answers_with_what_it_has(driver: type) -> None:
    limits = Limits(max_samples_per_prompt=3)
    (outcome,) = asyncio.run(
        driver([task("majority_vote", width=8)], backend=backend(default_success=1.0), limits=limits)
    )
    assert (outcome.answer, outcome.stop_reason) == ("right", "limit")
    assert [candidate.status for candidate in outcome.candidates] == ["ok"] * 3 + ["cancelled"] * 5
    assert outcome.errors == ()


@both
def test_a_budget_that_allows_nothing_gives_no_answer_and_says_why(driver: type) -> None:
    limits = Limits(max_cost=1e-9, price=price)
    (outcome,) = asyncio.run(driver([task("majority_vote")], backend=backend(), limits=limits))
    assert (outcome.answer, outcome.stop_reason, outcome.usage) == (None, "budget", Usage())


@both
def test_without_a_cap_on_tokens_the_overshoot_is_what_was_in_flight(driver: type) -> None:
    unlimited = Generator(name="tiny")
    limits = Limits(max_output_tokens=2000, max_concurrency=1)
    tasks = [task("greedy", id=f"p{i}", generator=unlimited) for i in range(400)]
    outcomes = asyncio.run(driver(tasks, backend=backend(), limits=limits))
    if driver is run_concurrently:
        longest = max(outcome.usage.output_tokens for outcome in outcomes)
        assert 2000 - longest < total(outcomes).output_tokens <= 2000 + longest


@both
def test_a_cap_of_the_request_counts_where_it_is_lower(driver: type) -> None:
    limits = Limits(max_output_tokens=100)
    params = {"max_step_tokens": 10, "max_steps": 2}
    (outcome,) = asyncio.run(
        driver(
            [task("beam_search", width=5, params=params)],
            backend=backend(),
            verifiers=VERIFIERS,
            limits=limits,
        )
    )
    assert outcome.stop_reason != "limit"
    assert 0 < outcome.usage.output_tokens <= 100


class Slow:
    """Moves a clock by one second per call."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.now += 1.0
        return await backend().sample(requests)


def test_lockstep_stops_between_rounds_when_time_is_up() -> None:
    source = Slow()
    tasks = [task("sequential_revision", id=f"p{i}", depth=9) for i in range(3)]
    outcomes = asyncio.run(
        run_lockstep(tasks, backend=source, limits=Limits(max_seconds=2.5), clock=lambda: source.now)
    )
    assert source.now == 3.0
    assert {outcome.stop_reason for outcome in outcomes} == {"time"}
    assert all(outcome.answer is not None for outcome in outcomes)


class HangsAfter:
    """Answers the first `n` calls and hangs on the others."""

    def __init__(self, n: int) -> None:
        self.left = n

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.left -= 1
        if self.left < 0:
            await asyncio.Event().wait()
        return await backend(default_success=1.0).sample(requests)


def test_a_hang_ends_with_the_time_limit_and_keeps_what_arrived() -> None:
    tasks = [task("sequential_revision", id=f"p{i}", width=2) for i in range(3)]
    outcomes = asyncio.run(run_concurrently(tasks, backend=HangsAfter(7), limits=Limits(max_seconds=0.05)))
    assert {outcome.stop_reason for outcome in outcomes} == {"time"}
    assert {outcome.answer for outcome in outcomes} == {"right"}
    kinds = {error.kind for outcome in outcomes for error in outcome.errors}
    assert kinds == {"CancelledUnmetered"}


def test_cancelled_samples_of_unknown_length_count_against_the_budget() -> None:
    # Two samples may cost 800 tokens; while both hang they are held, and stay held when they are cancelled.
    ledger = Ledger(Limits(max_output_tokens=1000))
    account = Account()
    request = task("majority_vote").request(n=8, offset=0)
    first = ledger.admit(account, request, 8)
    assert first.n == 2
    assert first.hold is not None
    assert ledger.admit(account, request, 1).n == 0
    ledger.write_off(first.hold, Usage(samples=2, requests=1))
    # What is left is 200 tokens: one more sample is sent with that as its cap, and then nothing fits.
    last = ledger.admit(account, request, 8)
    assert (last.n, last.max_output_tokens) == (1, 200)
    assert last.hold is not None
    ledger.write_off(last.hold, Usage(samples=1, requests=1))
    refused = ledger.admit(account, request, 1)
    assert refused.n == 0
    assert refused.refusal is not None
    assert ledger.nothing_in_flight
    assert ledger.total.output_tokens == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_samples": 0},
        {"max_samples": 2.5},
        {"max_concurrency": 0},
        {"max_cost": 1.0},
        {"max_cost": float("nan"), "price": price},
        {"max_seconds": float("inf")},
        {"max_output_tokens_per_prompt": -1},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    (name, *others) = wrong
    with pytest.raises(InvalidBudgetError, match=name if name != "max_cost" or others else "needs a price"):
        Limits(**wrong)  # type: ignore[arg-type]


def test_holding_the_expected_needs_few_rounds_and_overshoots_little() -> None:
    tasks = [task("majority_vote", id=f"p{i}", width=8, generator=WIDE) for i in range(100)]
    rounds = {}
    for hold in ("worst", "expected"):
        source = Slow()
        limits = Limits(max_output_tokens=30_000, hold=hold)  # type: ignore[arg-type]
        outcomes = asyncio.run(run_lockstep(tasks, backend=source, limits=limits))
        rounds[hold] = source.now
        spent = total(outcomes).output_tokens
        assert spent > 28_000
        assert spent <= (30_000 if hold == "worst" else 31_000)
    assert rounds["expected"] <= 8 < 20 < rounds["worst"]


def test_each_generator_pays_its_own_price() -> None:
    ledger = Ledger(
        Limits(price=lambda usage, generator: usage.output_tokens * {"big": 10.0, "small": 1.0}[generator])
    )
    account = Account()
    ledger.spend(account, Usage(output_tokens=3), "big")
    ledger.spend(account, Usage(output_tokens=4), "small")
    ledger.spend(account, Usage(output_tokens=1), "big")
    assert account.cost == ledger.total_cost == 44.0


@both
@pytest.mark.parametrize("unit", ["samples", "output_tokens", "total_tokens", "usd", "flops"])
def test_a_budget_holds_in_every_unit_of_the_cost_model(driver: type, unit: str) -> None:
    generator = Generator(
        name="tiny", max_output_tokens=300, params=1e6, usd_per_mtok_in=1.0, usd_per_mtok_out=4.0
    )
    model = CostModel(unit=unit, generators={"tiny": generator})  # type: ignore[arg-type]
    tasks = [task("majority_vote", id=f"p{i}", generator=generator) for i in range(10)]
    free = asyncio.run(driver(tasks, backend=backend(), limits=Limits(price=model.price)))
    whole = sum(outcome.cost or 0.0 for outcome in free)
    limits = Limits(price=model.price, max_cost=whole / 2)
    half = asyncio.run(driver(tasks, backend=backend(), limits=limits))
    spent = sum(outcome.cost or 0.0 for outcome in half)
    assert 0.3 * whole < spent <= whole / 2 * (1 + 1e-9)
    assert {outcome.stop_reason for outcome in half} == {"complete", "budget"}


class OneByOne:
    """Sends every sample by itself, with its prompt, as functions and many servers do."""

    draws_singly = True

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = await backend().sample(requests)
        return [[replace(one, prompt_tokens=20) for one in row] for row in rows]


@both
def test_a_budget_holds_where_every_sample_sends_its_prompt(driver: type) -> None:
    model = CostModel(unit="total_tokens")
    tasks = [task("majority_vote", id=f"p{i}", width=9, generator=SHORT) for i in range(6)]
    for limit in (30.0, 140.0, 400.0, 900.0):
        limits = Limits(max_cost=limit, price=model.price)
        outcomes = asyncio.run(driver(tasks, backend=OneByOne(), limits=limits))
        assert sum(outcome.cost or 0.0 for outcome in outcomes) <= limit
        assert total(outcomes).requests == total(outcomes).samples > 0


def one_sample(generator: Generator, **prompt: object) -> SampleRequest:
    work = task("majority_vote", width=1, generator=generator)
    return replace(work.request(n=1, offset=0), prompt=Prompt(id="p", text="x" * 200, **prompt))  # type: ignore[arg-type]


def test_what_is_left_of_a_budget_is_worth_a_sample_with_a_lower_cap() -> None:
    ledger = Ledger(Limits(max_output_tokens=1000))
    permit = ledger.admit(Account(), one_sample(WIDE), 1)
    assert (permit.n, permit.max_output_tokens) == (1, 1000)
    assert permit.of(one_sample(WIDE), 3).max_output_tokens == 1000
    assert permit.hold is not None
    # While something is in flight nobody is cut short, since it may leave room.
    assert ledger.admit(Account(), one_sample(WIDE), 1).n == 0
    ledger.settle(permit.hold, Usage(samples=1, output_tokens=960), lengths=[960])
    # A fiftieth of what samples need is not worth sending.
    assert ledger.admit(Account(), one_sample(WIDE), 1).n == 0


def test_under_a_cap_per_prompt_no_prompt_waits_for_another() -> None:
    ledger, account = Ledger(Limits(max_output_tokens_per_prompt=100)), Account()
    permits = [ledger.admit(one, one_sample(WIDE), 1) for one in (Account(), Account(), account)]
    assert [(permit.n, permit.max_output_tokens) for permit in permits] == [(1, 100)] * 3
    # Its own reply may leave room.
    assert ledger.admit(account, one_sample(WIDE), 1).n == 0


def test_near_the_end_of_a_budget_samples_go_abreast_with_caps_that_hardly_any_meets() -> None:
    ledger = Ledger(Limits(max_output_tokens=4000))
    teach = ledger.admit(Account(), one_sample(WIDE), 1)
    assert teach.hold is not None
    ledger.settle(teach.hold, Usage(samples=100, output_tokens=1000), lengths=[10.0] * 100)
    permit = ledger.admit(Account(), one_sample(WIDE), 30)
    # 8 mean lengths, and as much again while only a hundred samples have been seen.
    assert permit.max_output_tokens == 144 and permit.n == 20


def test_samples_that_failed_do_not_teach_how_long_samples_are() -> None:
    ledger = Ledger(Limits(max_output_tokens=4000))
    first = ledger.admit(Account(), one_sample(WIDE), 1)
    assert first.hold is not None
    ledger.settle(first.hold, Usage(samples=1, requests=1, failed_requests=1), lengths=[])
    again = ledger.admit(Account(), one_sample(WIDE), 3)
    assert (again.n, again.max_output_tokens) == (1, None)


@both
def test_prompts_whose_tokens_nobody_counted_do_not_break_a_budget(driver: type) -> None:
    model = CostModel(unit="total_tokens")
    tasks = [
        replace(task("majority_vote", id=f"p{i}", width=2), prompt=Prompt(id=f"p{i}", text="word " * 12))
        for i in range(12)
    ]
    for limit in (40.0, 200.0, 700.0):
        limits = Limits(max_cost=limit, price=model.price)
        outcomes = asyncio.run(driver(tasks, backend=backend(), limits=limits))
        assert sum(outcome.cost or 0.0 for outcome in outcomes) <= limit


class LongTemplate:
    """Puts prompts into a template of 300 tokens, and may be able to say so."""

    def __init__(self) -> None:
        self.inner = backend(mean_output_tokens=20)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = await self.inner.sample(requests)
        return [[replace(row[0], prompt_tokens=300), *row[1:]] for row in rows]


class Telling(LongTemplate):
    def prompt_tokens(self, request: SampleRequest) -> int:
        return 300


@both
@pytest.mark.parametrize("source", [LongTemplate(), Telling()], ids=["log", "backend"])
def test_a_long_template_is_held_from_the_first_request_on_where_log_or_backend_tell(
    driver: type, source: LongTemplate
) -> None:
    told = {} if isinstance(source, Telling) else {"prompt_tokens": lambda prompt, generator: 300.0}
    for limit in (250.0, 400.0, 1000.0, 2500.0):
        tasks = [
            replace(task("majority_vote", id=f"p{i}", width=2), prompt=Prompt(id=f"p{i}", text="sum"))
            for i in range(6)
        ]
        limits = Limits(max_cost=limit, price=CostModel(unit="total_tokens").price)
        outcomes = asyncio.run(driver(tasks, backend=source, limits=limits, **told))
        assert sum(outcome.cost or 0.0 for outcome in outcomes) <= limit
        # What the log tells is a guess; a multiple of it is held where others were charged more.
        assert limit < 400 or sum(outcome.usage.samples for outcome in outcomes) >= (limit - 100) // 400


def test_what_is_set_aside_for_one_prompt_is_not_spent_by_another() -> None:
    model = CostModel(unit="samples")
    ledger = Ledger(Limits(max_cost=5.0, price=model.price))
    greedy, later = Account(), Account(reserve=2.0)
    ledger.set_aside = 2.0
    assert ledger.admit(greedy, one_sample(GENERATOR), 9).n == 3
    assert ledger.admit(later, one_sample(GENERATOR), 9).n == 2
    assert (ledger.set_aside, later.reserve) == (0.0, 0.0)


class _AllAtOnce:
    """Opens everything at once, with two samples' worth set aside for each prompt."""

    comes_back = False

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._parts = [Part([Turn(number, one, 2.0) for number, one in enumerate(tasks)])]

    def next(self, standing: Standing) -> Part:
        return self._parts.pop() if self._parts else Part([])


@both
def test_what_is_set_aside_beyond_the_budget_keeps_nobody_from_an_answer(driver: type) -> None:
    """Samples may turn out dearer than planned; what some cannot have then is there for others."""
    model = CostModel(unit="samples")
    tasks = [task("majority_vote", id=f"p{i}", width=2) for i in range(10)]
    limits = Limits(max_cost=8.0, price=model.price)
    outcomes = asyncio.run(driver(tasks, backend=backend(), limits=limits, turns=_AllAtOnce(tasks)))
    assert sum(outcome.usage.samples for outcome in outcomes) == 8
    assert sum(outcome.usage.samples > 0 for outcome in outcomes) >= 4


@both
def test_what_is_set_aside_for_a_prompt_is_free_once_it_has_ended_without_a_sample(driver: type) -> None:
    too_long, other = (
        replace(one, prompt=replace(one.prompt, prompt_tokens=tokens))
        for one, tokens in (
            (task("majority_vote", id="p0", width=1), 9),
            (task("majority_vote", id="p1", width=1), 5),
        )
    )
    turns = _AllAtOnce([])
    turns._parts = [Part([Turn(1, other, 0.0)]), Part([Turn(0, too_long, 5.0)])]
    limits = Limits(max_cost=9.0, max_cost_per_prompt=5.0, price=lambda usage, _: usage.prompt_tokens)
    first, second = asyncio.run(driver([too_long, other], backend=backend(), limits=limits, turns=turns))
    assert (first.usage.samples, second.usage.samples) == (0, 1)


def test_a_reply_wakes_neither_all_that_wait_for_money_nor_all_idle_workers() -> None:
    class Counted(asyncio.SelectorEventLoop):
        n_priced = n_drawn = n_called = 0

        def call_soon(self, *call: Any, **context: Any) -> asyncio.Handle:
            self.n_called += 1
            return super().call_soon(*call, **context)

        def price(self, usage: Usage, generator: str) -> float:
            self.n_priced += 1
            return usage.prompt_tokens

        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            self.n_drawn += 1
            for _ in range(self.n_drawn % 16):
                await asyncio.sleep(0)
            return [[Completion(text="4", prompt_tokens=20, output_tokens=1, finish_reason="stop")]]

    def work(n_tasks: int) -> tuple[float, float]:
        # What nobody has counted is held at 2,032 tokens, and costs 20: ten go at a time.
        tasks = [task("majority_vote", id=f"p{i}", width=1) for i in range(n_tasks)]
        tasks = [replace(one, prompt=Prompt(id=one.prompt.id, text="x" * 4000)) for one in tasks]
        loop = Counted()
        limits = Limits(max_cost=20_400 + 20 * n_tasks, price=loop.price, max_concurrency=n_tasks)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            outcomes = runner.run(run_concurrently(tasks, backend=loop, limits=limits))
        assert all(outcome.usage.samples == 1 for outcome in outcomes)
        return loop.n_priced / n_tasks, loop.n_called / n_tasks

    few, many = work(60), work(480)
    assert many[0] < 1.2 * few[0]
    assert many[1] < 1.2 * few[1]
