"""Budgets of keys and windows: refused before spending, never exceeded, settled afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Got, chat, serving

from planner.serving.payment import KeyLimit, KeyPurses, Payment
from planner.serving.refusal import Refusal
from planner.serving.upstream import Upstream

ASK = chat(max_tokens=20)


def behave(asked: Asked, place: int) -> Said:
    return completion(asked.json, f"it is {[41, 42, 42][place % 3]}"[: asked.json.get("max_tokens", 99)])


def spent_at(up: ScriptedUpstream) -> int:
    """Tokens that the upstream has written: one per character."""
    return sum(len(f"it is {[41, 42, 42][place % 3]}") for place in range(len(up.asked)))


async def together(bed: Any, n: int, body: Any = ASK, **more: Any) -> list[Got]:
    return list(await asyncio.gather(*(bed.ask(body, **more) for _ in range(n))))


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("APP_KEY", "app-secret")
    return {"authorization": "Bearer app-secret"}


@pytest.mark.parametrize(
    "body",
    [
        ASK,
        chat(max_tokens=20, stream=True),
        chat(max_tokens=20, planner={"price": 1}),
        chat(max_tokens=20, n=1, tools=[{}]),
    ],
)
async def test_a_key_never_spends_more_than_its_limit(key: dict[str, str], body: Any) -> None:
    keys = {"app": {"key_variable": "APP_KEY", "limit": 200.0}}
    async with ScriptedUpstream(behave) as up, serving(up, keys=keys) as bed:
        first = await together(bed, 60, body, headers=key)
        sent = len(up.asked)
        again = await bed.ask(body, headers=key)
    assert 100 <= spent_at(up) <= 200
    assert {got.status for got in first} == {200} if body.get("stream") else {200, 402}
    assert again.status == 402 or b"insufficient_quota" in again.body
    assert len(up.asked) <= sent + 1


@pytest.mark.parametrize("n_bytes", [0, 2**20])
@pytest.mark.parametrize("more", [{"planner": {"price": 1}}, {"tools": [{}]}])
async def test_a_reply_of_unknown_length_is_counted(key: dict[str, str], more: Any, n_bytes: int) -> None:
    """Servers behind a gateway often do not say how long a reply is."""
    sent: list[bytes] = []

    def in_pieces(asked: Asked, place: int) -> Said:
        whole = behave(asked, place)
        sent.append(b" " * n_bytes + whole.body)
        pieces = [sent[-1][:30], sent[-1][30:]]
        return Said(pieces=pieces, headers=whole.headers)

    keys = {"app": {"key_variable": "APP_KEY", "limit": 100.0}}
    async with ScriptedUpstream(in_pieces) as up, serving(up, keys=keys) as bed:
        got = await bed.ask(ASK | more, headers=key)
        purses = bed.service.routes["*"].keys
        assert purses is not None
        ((_, purse),) = purses._purses.values()
    # What is too large to be held goes on as it comes, and the most that it may have cost is kept.
    assert (purse.spent, purse.lost) == ((8.0, 0.0) if not n_bytes else (0.0, 20.0))
    assert got.status == 200
    if "planner" in more and not n_bytes:
        assert got.json["planner"]["cost"] == 8
        assert got.headers["x-planner-cost"] == "8"
    else:
        assert got.body == sent[0]


async def test_a_key_with_a_window_is_told_when_to_come_again() -> None:
    now = [0.0]
    purses = KeyPurses(
        {"app": KeyLimit(limit=5.0, window_seconds=60.0)},
        lambda usage, _: usage.output_tokens,
        clock=lambda: now[0],
    )
    purse = purses.of("app")
    assert purse is not None
    purse._ledger.total_cost = 5.0
    now[0] = 20.0
    with pytest.raises(Refusal) as refused:
        purses.of("app")
    assert (refused.value.status, refused.value.retry_after) == (429, 40.0)
    now[0] = 60.0
    again = purses.of("app")
    assert again is not None
    assert again.left == 5.0


@pytest.mark.parametrize("when_spent", ["pass", "refuse"])
async def test_a_spent_window_does_what_the_operator_chose(when_spent: str) -> None:
    window = {"price": None, "limit": 100.0, "window": 1000.0, "clock": "prompts", "when_spent": when_spent}
    async with ScriptedUpstream(behave) as up, serving(up, **window) as bed:
        got = await together(bed, 40)
    planned = [one for one in got if one.status == 200 and "planner" in one.json]
    others = [one for one in got if one not in planned]
    assert sum(one.json["planner"]["cost"] for one in planned) <= 101.0
    assert planned
    assert others
    if when_spent == "refuse":
        assert {one.status for one in others} == {429}
        assert spent_at(up) <= 101
    else:
        assert {one.status for one in others} == {200}


async def test_a_window_gives_the_price_and_is_spent_to_its_end() -> None:
    window = {"price": None, "limit": 60 * 30.0, "window": 60.0, "clock": "prompts"}
    async with ScriptedUpstream(behave) as up, serving(up, **window) as bed:
        got = [one for _ in range(6) for one in await together(bed, 30)]
    costs = [one.json["planner"]["cost"] for one in got]
    shares = [sum(costs[start : start + 60]) / (60 * 30.0) for start in (0, 60, 120)]
    assert max(shares) <= 1.01
    assert min(shares[1:]) >= 0.9
    assert len({one.json["planner"]["price"] for one in got}) > 5


async def test_a_request_that_goes_on_is_told_by_its_longer_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    window = {"price": None, "limit": 30_000.0, "window": 60.0, "clock": "prompts"}
    async with ScriptedUpstream(behave) as up, serving(up, **window) as bed:
        short = (await bed.ask(chat("4?"))).json["planner"]
        cheaper = iter([short["price"] / 1000])
        monkeypatch.setattr(Payment, "lower", lambda self: next(cheaper, None))
        longer = (await bed.ask(chat("4?"))).json["planner"]
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert longer["price"] == pytest.approx(short["price"] / 1000)
    assert longer["expected_cost"] > short["expected_cost"]
    told = [
        float(line.split()[-1])
        for line in page.splitlines()
        if line.startswith("planner_cost_total") and 'kind="expected"' in line
    ]
    assert told == [pytest.approx(short["expected_cost"] + longer["expected_cost"])]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_window_is_spent_by_those_who_met_an_upstream_that_lived(stream: bool) -> None:
    route = {"price": None, "limit": 60 * 30.0, "window": 60.0, "clock": "prompts"}
    body, no = chat(max_tokens=20, stream=stream), Said(status=500, body=b"no")
    async with ScriptedUpstream(behave) as up, serving(up, upstream={"max_retries": 0}, **route) as bed:
        till = bed.service.routes["*"].till
        assert till is not None
        for _ in range(3):
            await together(bed, 30, body)
        up.behave = lambda *_: no
        down = [one for _ in range(4) for one in await together(bed, 30, body)]
        assert all(one.status >= 500 or b"error" in one.body for one in down)
        up.behave = behave
        for upstream in bed.service.opened:
            if isinstance(upstream, Upstream):
                upstream.addresses[0].answered()  # it would rest for seconds
        for _ in range(3):
            await together(bed, 30, body)
        spent = [purse.spent for purse in till.purses]
    assert len(spent) == 3
    assert max(spent) <= 1.01 * 60 * 30.0
    assert min(spent[1:]) >= 0.95 * 60 * 30.0


async def test_the_plan_of_a_window_shows_its_price() -> None:
    window = {"price": None, "limit": 3000.0, "window": 60.0, "clock": "prompts"}
    async with ScriptedUpstream(behave) as up, serving(up, **window) as bed:
        before = (await bed.ask(ASK, path="/v1/plan")).json
        await bed.ask(ASK)
        after = (await bed.ask(ASK, path="/v1/plan")).json
    assert before["price"] > 0
    assert after["price"] > 0


async def test_what_fails_gives_back_what_it_held(key: dict[str, str]) -> None:
    keys = {"app": {"key_variable": "APP_KEY", "limit": 100.0}}
    no = Said(status=500, body=b"no")
    async with (
        ScriptedUpstream(lambda *_: no) as up,
        serving(up, keys=keys, upstream={"max_retries": 0}) as bed,
    ):
        for body in (chat(max_tokens=90, planner={"price": 1}), chat(max_tokens=90, n=1, tools=[{}])):
            for _ in range(2):
                assert (await bed.ask(body, headers=key)).status == 500
        up.behave = behave
        assert (await bed.ask(chat(max_tokens=90, planner={"price": 1}), headers=key)).status == 200


async def test_windows_of_a_hundred_requests_are_on_their_budget_with_all_of_them_in_flight() -> None:
    def answers(asked: Asked, place: int) -> Said:
        return completion(asked.json, f"it is {[41, 42, 43, 42, 40][place * 7 % 5]}")

    limit = 100 * 45.0
    route = {"price": None, "limit": limit, "window": 100, "clock": "prompts"}
    async with ScriptedUpstream(answers) as up, serving(up, **route) as bed:
        costs = []
        for _ in range(3):
            got = await together(bed, 100)
            assert {one.status for one in got} == {200}
            costs.append(sum(one.json["planner"]["cost"] for one in got))
        spent = 8 * len(up.asked)
    assert sum(costs) == spent
    assert max(costs) <= 1.01 * limit
    # From the first window on, of which the prior is wrong by a factor of 60.
    assert min(costs[1:]) >= 0.98 * limit


async def test_what_passes_is_capped_where_the_budget_of_a_key_ends(key: dict[str, str]) -> None:
    keys = {"app": {"key_variable": "APP_KEY", "limit": 25.0}}
    body = chat(max_completion_tokens=20, tools=[{}])

    def obeys(asked: Asked, place: int) -> Said:
        return completion(asked.json, "x" * asked.json["max_completion_tokens"])

    async with ScriptedUpstream(obeys) as up, serving(up, keys=keys) as bed:
        got = [await bed.ask(body, headers=key) for _ in range(3)]
    assert [one.status for one in got] == [200, 200, 402]
    assert [asked.json["max_completion_tokens"] for asked in up.asked] == [20, 5]
