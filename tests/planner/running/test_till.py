"""A till: what a window that nobody comes into any more does with what it has left."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import pytest

from difficulty.errors import BackendError, BudgetSpentError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.accounts import Account
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, SampleRequest
from planner.running.remembering import Remembering, longer
from planner.running.till import Till
from planner.running.window import Slot
from policies.cost.usage import Usage
from policies.course.allocation import Allocation

FRONTIER = [(1.0, 10.0), (0.1, 20.0), (0.01, 40.0), (0.001, 80.0)]


def till_of(limit: float = 100.0, window: float = 5.0, **more: object) -> Till:
    return Till.of(
        FRONTIER, lambda usage, generator: usage.output_tokens, limit=limit, window=window,
        unit="output_tokens", **more,
    )  # type: ignore[arg-type]  # fmt: skip


def spend(slot: Slot, cost: float) -> None:
    """Book what a prompt has cost so far."""
    slot.purse._ledger.spend(slot.account, Usage(samples=1, output_tokens=cost), "tiny")


def test_what_is_left_is_shared_by_those_in_flight() -> None:
    till = till_of()
    slots = [till.open() for _ in range(5)]
    assert [slot.price for slot in slots] == pytest.approx([slots[0].price] * 5, rel=0.6)
    for slot in slots[:3]:
        spend(slot, 8.0)
        till.settle(slot, cost=8.0)
    spend(slots[3], 8.0)
    lower = till.lower(slots[3])
    assert lower is not None
    assert lower < slots[4].price
    assert slots[3].price == lower
    # At that price it is expected to take its share: there is nothing left to lower it for at once.
    spend(slots[3], 20.0)
    till.settle(slots[3], cost=28.0)
    spend(slots[4], 8.0)
    last = till.lower(slots[4])
    assert last is not None
    assert last <= lower


def test_a_window_that_prompts_still_come_into_keeps_its_money() -> None:
    till = till_of()
    slot = till.open()
    spend(slot, 1.0)
    assert till.lower(slot) is None
    now = [0.0]
    timed = till_of(limit=30.0, window=10.0, clock="seconds", now=lambda: now[0])
    slot = timed.open()
    spend(slot, 1.0)
    assert timed.lower(slot) is None
    now[0] = 11.0
    assert timed.lower(slot) is not None


def test_a_window_that_is_on_its_budget_lowers_nothing() -> None:
    till = till_of()
    slots = [till.open() for _ in range(5)]
    for slot in slots[:4]:
        spend(slot, 22.0)
        till.settle(slot, cost=22.0)
    spend(slots[4], 12.0)
    assert till.lower(slots[4]) is None
    till.settle(slots[4], cost=12.0)
    assert till.lower(slots[4]) is None


def test_a_prompt_is_planned_again_a_few_times_only() -> None:
    till = till_of()
    slots = [till.open() for _ in range(5)]
    for slot in slots[:4]:
        till.settle(slot, cost=1.0)
    times = 0
    while till.lower(slots[4]) is not None:
        times += 1
    assert 1 <= times <= 8


@pytest.mark.parametrize("clock", ["prompts", "seconds"])
def test_a_prompt_that_met_no_upstream_leaves_its_place_and_teaches_nothing(clock: str) -> None:
    till = till_of(clock=clock, now=lambda: 0.0)
    spend(paid := till.open(), 8.0)
    till.settle(paid, cost=8.0)
    before, price = till.state.opened, till.open()
    till.settle(price, cost=0.0)
    drift = till._control.drift
    for _ in range(20):
        till.settle(till.open(), cost=0.0)
    assert till.state.opened == before
    assert till.state.pending == pytest.approx(0.0)
    assert till._control.drift == drift
    assert till.unserved == [0]


def test_who_met_no_upstream_in_a_full_window_leaves_a_place_there() -> None:
    till = till_of(window=2.0)
    slots = [till.open() for _ in range(3)]
    till.settle(slots[0], cost=0.0)
    assert till.state.opened == 1
    assert till.unserved == [1, 0]
    spend(slots[1], 40.0)
    till.settle(slots[1], cost=40.0)
    late = till.open()
    assert (late.ticket.window, till.unserved, till.state.opened) == (0.0, [0, 0], 1)
    # It is the only one to share what is left there, 60.5.
    assert till._control.expected(late.price) == pytest.approx(60.5, rel=1e-6)
    till.settle(late, cost=0.0)
    spend(again := till.open(), 30.0)
    till.settle(again, cost=30.0)
    assert again.ticket.window == 0.0
    assert till.open().ticket.window == 2.0


def test_what_an_upstream_failed_to_bring_is_a_part_of_a_place() -> None:
    till = till_of(limit=200.0, window=4.0)
    slots = [till.open() for _ in range(4)]
    for slot in slots:
        spend(slot, slot.ticket.expected / 4)
        slot.account.failed = slot is not slots[3]
        till.settle(slot, cost=slot.account.cost)
    assert till.unserved == pytest.approx([2.25])
    assert [till.open().ticket.window for _ in range(3)] == [0.0, 0.0, 4.0]
    assert till.unserved == pytest.approx([0.25, 0])


async def test_a_prompt_that_breaks_off_is_booked_at_the_most_that_it_may_have_cost() -> None:
    class Slow:
        async def sample(self, requests: list[SampleRequest]) -> list[list[Completion]]:
            if requests[0].seed:
                await asyncio.Event().wait()
            one = Completion(text="4", prompt_tokens=1, output_tokens=5, finish_reason="stop")
            return [[one]]

    till, capped = till_of(), Generator(name="tiny", max_output_tokens=15)
    for seeds, booked, opened in (((0, 1), 20.0, 1), ((1,), 15.0, 2), ((), 0.0, 2)):
        slot, before = till.open(), till.state.spent

        async def draw(slot: Slot = slot, seeds: tuple[int, ...] = seeds) -> None:
            for seed in seeds:
                await slot.paying(Slow()).sample([replace(ask(seed), generator=capped)])
            await asyncio.Event().wait()

        work = asyncio.create_task(draw())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        till.settle(slot, cost=None)
        assert (till.state.spent - before, till.state.opened) == (booked, opened)


def test_plans_that_money_cut_short_do_not_make_plans_look_cheap() -> None:
    """They did, so that windows of few prompts chose dearer plans and cut those short, too."""
    till = till_of(limit=2000.0, window=100.0)
    for refused in (True, False):
        for _ in range(20):
            slot = till.open()
            slot.account.refused = refused
            till.settle(slot, cost=0.2)
        assert (till._control.drift == 1.0) is refused
    assert till.state.spent == pytest.approx(40 * 0.2)


def test_nobody_takes_a_place_where_there_is_no_money_or_time_is_over() -> None:
    spent = till_of(window=2.0)
    slots = [spent.open() for _ in range(3)]
    spend(slots[1], 100.0)
    spent.settle(slots[1], cost=100.0)
    spent.settle(slots[0], cost=0.0)
    assert spent.open().ticket.window == 2.0
    refused = till_of(window=2.0)
    slots = [refused.open() for _ in range(3)]
    refused.settle(slots[0], cost=0.0)
    late = refused.open()
    late.account.refused = True
    refused.settle(slots[1], cost=0.0)
    refused.settle(late, cost=0.0)
    assert refused.open().ticket.window == 2.0
    now = [0.0]
    timed = till_of(limit=30.0, window=10.0, clock="seconds", now=lambda: now[0])
    slot = timed.open()
    now[0] = 11.0
    timed.open()
    timed.settle(slot, cost=0.0)
    assert timed.open().ticket.window == 10.0


@pytest.mark.parametrize("n_at_a_time", [1, 16, 40])
def test_windows_in_which_an_upstream_dies_are_spent(n_at_a_time: int) -> None:
    """The upstream dies just after a window began, when prompts of the one before it are in flight."""
    till, rng, dead = till_of(limit=4_000.0, window=100.0), random.Random(5), 0

    class Dying:
        async def sample(self, requests: list[SampleRequest]) -> list[list[Completion]]:
            for _ in range(50 if dead else rng.randrange(1, 9)):
                await asyncio.sleep(0)
            if dead:
                raise BackendError("down")
            n_tokens = min(rng.randrange(5, 15), requests[0].max_output_tokens or 15)
            one = Completion(text="4", prompt_tokens=1, output_tokens=n_tokens, finish_reason="stop")
            return [[one]]

    async def answer() -> None:
        slot = till.open()
        backend, n, drawn = slot.paying(Dying()), 0, 0
        while True:
            wanted = round(till._control.predicted(slot.price) / 10)
            while n < wanted:
                n += 1
                with suppress(BackendError, BudgetSpentError):
                    drawn += len((await backend.sample([ask(n)]))[0])
            if till.lower(slot) is None:
                break
        till.settle(slot, cost=slot.account.cost)

    async def run() -> None:
        nonlocal dead
        places = asyncio.Semaphore(n_at_a_time)

        async def one(at: int) -> None:
            nonlocal dead
            async with places:
                dead += any(at == start for start in (402, 660, 1005))
                dead -= any(at == end for end in (430, 820, 1050))
                await answer()

        await asyncio.gather(*(one(at) for at in range(1_400)))

    asyncio.run(run())
    spent = [purse.spent / 4_000 for purse in till.purses]
    assert len(spent) >= 12
    assert all(0.98 <= share <= 1.01 + 1e-9 for share in spent[1:11]), spent[1:11]


def test_a_prompt_that_was_refused_money_keeps_its_place_or_goes_on_when_its_window_is_full() -> None:
    till = till_of(limit=100.0, window=2.0)
    first = till.open()
    spend(first, 101.0)
    refused: list[Slot] = []

    async def ask_for_money(slot: Slot) -> None:
        with pytest.raises(BudgetSpentError):
            await slot.paying(Counting()).sample([ask(0)])
        refused.append(slot)

    early = till_of(limit=100.0, window=3.0)
    spend(early.open(), 101.0)
    slot = early.open()
    asyncio.run(ask_for_money(slot))
    # More prompts come into its window: it does not take what is theirs of the next one.
    assert not early.goes_on(slot)
    early.settle(slot, cost=0.0)
    assert early.state.opened == 2
    last = till.open()
    asyncio.run(ask_for_money(last))
    assert till.goes_on(last)
    till.settle(last, cost=0.0)
    assert till.open().ticket.window == 2.0


def test_what_was_paid_for_is_not_given_up_for_a_plan_that_is_satisfied_earlier() -> None:
    def outcome(n: int, cost: float) -> Outcome:
        allocation = Allocation(generator="tiny", strategy="majority_vote", width=n)
        usage = Usage(samples=n, requests=n, output_tokens=cost)
        return Outcome(
            prompt_id="p", allocation=allocation, answer=str(n), text=None, candidates=(), selected=None,
            selected_by="vote", usage=usage, cost=cost,
        )  # fmt: skip

    paid = Account(usage=Usage(samples=6, requests=6, output_tokens=60), cost=60.0)
    assert longer(outcome(6, 60.0), outcome(2, 20.0), paid) == outcome(6, 60.0)
    assert longer(outcome(3, 30.0), outcome(6, 60.0), paid) == outcome(6, 60.0)
    # Samples of another generator may have been drawn for the plan that was satisfied.
    mixed = longer(outcome(4, 40.0), outcome(4, 30.0), paid)
    assert (mixed.answer, mixed.cost, mixed.usage.output_tokens) == ("4", 60.0, 60)
    assert mixed.usage.wasted_tokens == 30


class Counting:
    """A backend that counts what it draws, and fails for odd seeds."""

    def __init__(self, error: BackendError | None = None) -> None:
        self.seeds: list[int] = []
        self.error = error

    async def sample(self, requests: list[SampleRequest]) -> list[list[Completion]]:
        (request,) = requests
        self.seeds += range(request.seed, request.seed + request.n)
        if self.error is not None and request.seed % 2:
            raise self.error
        return [
            [
                Completion(text=str(request.seed + i), prompt_tokens=1, output_tokens=1, finish_reason="stop")
                for i in range(request.n)
            ]
        ]


def ask(seed: int, n: int = 1) -> SampleRequest:
    return SampleRequest(prompt=Prompt(text="?"), generator=Generator(name="tiny"), n=n, seed=seed)


def test_what_was_drawn_is_not_drawn_again() -> None:
    backend = Counting()
    remembering = Remembering(backend)

    async def run() -> list[str]:
        await remembering.sample([ask(0)])
        await remembering.sample([ask(1, 2)])
        # Another cap, by what a budget has left, asks for the same samples.
        rows = await remembering.sample([replace(ask(0, 3), max_output_tokens=7), ask(3)])
        return [one.text for row in rows for one in row]

    assert asyncio.run(run()) == ["0", "1", "2", "3"]
    assert backend.seeds == [0, 1, 2, 3]


@pytest.mark.parametrize(("error", "n"), [(BackendError("no"), 1), (BudgetSpentError("spent"), 2)])
def test_what_failed_fails_again_unless_there_was_no_money(error: BackendError, n: int) -> None:
    backend = Counting(error)
    remembering = Remembering(backend)

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(BackendError):
                await remembering.sample([ask(1)])

    asyncio.run(run())
    assert backend.seeds == [1] * n
