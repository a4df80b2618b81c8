"""A budget that many runs share: who has come goes before who may come, and the limit holds."""

from __future__ import annotations

import asyncio

from difficulty.generator import Generator
from difficulty.prompt import Prompt
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
