"""A budget that many runs share: who has come goes before who may come, and the limit holds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.accounts import Permit
from planner.ports.ports import SampleRequest
from planner.running.purse import Purse
from policies.cost.usage import Usage

REQUEST = SampleRequest(
    prompt=Prompt(text="6 x 7?"), generator=Generator(name="tiny", max_output_tokens=60), n=1, seed=0
)


def purse_of(limit: float) -> Purse:
    return Purse(limit, lambda usage, _: usage.output_tokens)


async def test_first_samples_do_not_wait_for_prompts_that_may_come() -> None:
    purse = purse_of(1000.0)
    purse.set_aside(950.0)
    accounts = [purse.open(least=12.0) for _ in range(20)]
    waiting = [asyncio.ensure_future(purse.hold(account, REQUEST, 1)) for account in accounts]
    await asyncio.sleep(0)
    granted = [one for one in waiting if one.done() and one.result().hold is not None]
    # Sixteen samples of at most 60 tokens fit into 1000, with what is set aside for the four others that have
    # come; nothing is kept back for those that have not.
    assert len(granted) == 15
    assert purse.left >= 100.0
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_further_samples_do_wait_for_them() -> None:
    purse = purse_of(1000.0)
    purse.set_aside(950.0)
    account, other = purse.open(least=12.0), purse.open(least=12.0)
    first, _ = await asyncio.gather(purse.hold(account, REQUEST, 1), purse.hold(other, REQUEST, 1))
    assert first.hold is not None
    purse.settle(first.hold, Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    second = asyncio.ensure_future(purse.hold(account, REQUEST, 1))
    await asyncio.sleep(0)
    assert not second.done()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_nobody_waits_for_money_that_cannot_come() -> None:
    purse = purse_of(1060.0)
    accounts = [purse.open() for _ in range(48)]
    holds = [(await purse.hold(account, REQUEST, 1)).hold for account in accounts[:16]]
    assert None not in holds
    for hold in holds[2:]:
        assert hold is not None
        purse.settle(hold, Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    # 780 left, two samples in flight.
    purse.set_aside(680.0)
    waiting = [asyncio.ensure_future(purse.hold(account, REQUEST, 1)) for account in accounts[16:]]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    assert holds[0] is not None
    purse.settle(holds[0], Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # 80 are left beside what is set aside: four samples of the usual 20, and three times as many may hope.
    ended = [one.result().hold for one in waiting if one.done()]
    assert ended == [None] * (32 - 12)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_last_first_samples_of_a_budget_do_not_wait_for_each_other() -> None:
    purse = purse_of(1000.0)
    for _ in range(45):
        permit = await purse.hold(purse.open(), REQUEST, 1)
        assert permit.hold is not None
        purse.settle(permit.hold, Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    # A hundred tokens are left for twenty prompts: less than one sample of twenty tokens each.
    accounts = [purse.open(least=5.0) for _ in range(20)]
    waiting = [asyncio.ensure_future(purse.hold(account, REQUEST, 1)) for account in accounts]
    for _ in range(3):
        await asyncio.sleep(0)
    granted = [one.result() for one in waiting if one.done()]
    assert 4 <= len(granted) <= 10
    assert all(permit.max_output_tokens for permit in granted)
    held = [permit.hold.cost for permit in granted if permit.hold is not None]
    assert len(held) == len(granted)
    assert sum(held) <= 100.0
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_settlement_does_not_look_at_all_that_wait() -> None:
    looked = {}
    for n_waiting in (50, 500):
        n_priced = 0

        def price(usage: Usage, _: str) -> float:
            nonlocal n_priced
            n_priced += 1
            return usage.output_tokens

        purse = Purse(120.0, price)
        holds = [(await purse.hold(purse.open(), REQUEST, 1)).hold for _ in range(2)]
        waiting = [asyncio.ensure_future(purse.hold(purse.open(), REQUEST, 1)) for _ in range(n_waiting)]
        await asyncio.sleep(0)
        n_priced = 0
        assert holds[0] is not None
        purse.settle(holds[0], Usage(samples=1, requests=1, output_tokens=0))
        for _ in range(3):
            await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [True] + [False] * (n_waiting - 1)
        looked[n_waiting] = n_priced
        await given_up(waiting)
    assert looked[500] == looked[50]


async def given_up(waiting: list[asyncio.Future[Permit]]) -> None:
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_small_sample_is_not_kept_back_by_a_large_one_before_it() -> None:
    purse, large = purse_of(300.0), replace(REQUEST, max_output_tokens=200)
    large = replace(large, generator=Generator(name="large", max_output_tokens=200))
    first = await purse.hold(purse.open(), large, 1)
    second = await purse.hold(purse.open(), REQUEST, 1)
    waiting = [asyncio.ensure_future(purse.hold(purse.open(), one, 1)) for one in (large, large, REQUEST)]
    await asyncio.sleep(0)
    assert first.hold is not None and second.hold is not None
    purse.settle(second.hold, Usage(requests=1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [False, False, True]
    purse.settle(first.hold, Usage(requests=1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [True, False, True]
    await given_up(waiting)


async def test_money_of_one_that_gives_up_as_it_is_paid_goes_to_the_next() -> None:
    purse = purse_of(60.0)
    held = await purse.hold(purse.open(), REQUEST, 1)
    waiting = [asyncio.ensure_future(purse.hold(purse.open(), REQUEST, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert held.hold is not None
    asyncio.get_running_loop().call_soon(purse.settle, held.hold, Usage(requests=1))
    await asyncio.sleep(0)
    # The purse looks at those that wait in this turn of the loop, and the first one is cancelled after that.
    asyncio.get_running_loop().call_soon(waiting[0].cancel)
    for _ in range(6):
        await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [True, True, False]
    assert waiting[0].cancelled()
    assert waiting[1].result().hold is not None
    assert purse.left == 0.0
    await given_up(waiting)


@pytest.mark.parametrize("seed", range(4))
async def test_hundreds_wait_are_cancelled_and_time_out_and_nothing_is_lost(seed: int) -> None:
    rng, purse = random.Random(seed), purse_of(8000.0)
    requests = [REQUEST, replace(REQUEST, generator=Generator(name="other", max_output_tokens=300))]

    async def run() -> int:
        account = purse.open(least=rng.choice([0.0, 20.0]))
        try:
            for n_drawn in range(4):
                permit = await purse.hold(account, rng.choice(requests), 1)
                assert purse._ledger.committed <= 8000.0 * (1 + 1e-9)
                if permit.hold is None:
                    return n_drawn
                try:
                    for _ in range(rng.randrange(1, 8)):
                        await asyncio.sleep(0)
                finally:
                    tokens = float(min(rng.randrange(1, 50), permit.max_output_tokens or 50))
                    purse.settle(
                        permit.hold, Usage(samples=1, requests=1, output_tokens=tokens), lengths=[tokens]
                    )
            return 4
        finally:
            purse.close(account)

    async def impatient() -> int:
        async with asyncio.timeout(0.0005):
            return await run()

    runs = [asyncio.ensure_future((impatient if at % 4 == 0 else run)()) for at in range(400)]
    for one in runs[1::7]:
        await asyncio.sleep(0)
        one.cancel()
    async with asyncio.timeout(60):
        done = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(one, int | TimeoutError | asyncio.CancelledError) for one in done)
    assert purse._ledger.nothing_in_flight
    assert purse._ledger.set_aside == pytest.approx(0.0)
    assert purse.left == pytest.approx(8000.0 - purse.spent)
    # Whoever nobody cut off was answered, and the budget was spent to where no sample fits.
    assert sum(one for one in done if isinstance(one, int)) > 250


async def test_the_end_of_a_wait_is_told_to_those_that_came_last() -> None:
    purse = purse_of(1060.0)
    accounts = [purse.open() for _ in range(60)]
    holds = [(await purse.hold(account, REQUEST, 1)).hold for account in accounts[:16]]
    for hold in holds[2:]:
        assert hold is not None
        purse.settle(hold, Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    purse.set_aside(680.0)
    others = [replace(REQUEST, generator=Generator(name="other", max_output_tokens=500)), REQUEST]
    waiting = [
        asyncio.ensure_future(purse.hold(account, others[at % 2], 1))
        for at, account in enumerate(accounts[16:])
    ]
    await asyncio.sleep(0)
    for one in waiting[:4]:
        one.cancel()
    await asyncio.sleep(0)
    assert holds[0] is not None
    purse.settle(holds[0], Usage(samples=1, requests=1, output_tokens=20), lengths=[20.0])
    for _ in range(3):
        await asyncio.sleep(0)
    # Twelve may hope, as above: the first that still wait, whatever they ask for.
    assert [one.done() for one in waiting[4:]] == [False] * 12 + [True] * 28
    await given_up(waiting)
