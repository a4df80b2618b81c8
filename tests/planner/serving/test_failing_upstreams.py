"""Upstreams that refuse, break off or hang: each call is booked once, and errors say when to ask again."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import CHAT, Bed, Got, chat, serving, whole

from planner.serving.exchange import Call
from planner.serving.refusal import Refusal

KEY = {"authorization": "Bearer app-secret"}
ONE, PASSED = {"planner": {"price": 1}}, {"tools": [{}]}
KINDS = [{}, ONE, PASSED, *({**kind, "stream": True} for kind in ({}, ONE, PASSED))]


def busy(asked: Asked, place: int) -> Said:
    body = b'{"error": {"message": "loading"}}'
    return Said(status=503, body=body, headers={"retry-after": "7", "content-type": "application/json"})


def breaks(asked: Asked, place: int) -> Said:
    said = completion(asked.json, "it is 42")
    pieces = None if said.pieces is None else said.pieces[:3]
    return Said(body=said.body, pieces=pieces, headers=said.headers, breaks=True)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("APP_KEY", "app-secret")
    return {"app": {"key_variable": "APP_KEY", "limit": 1e6}}


async def calls_in_books(bed: Bed) -> tuple[float, float]:
    """Calls that were sent, counted or not, and those that failed."""
    page = (await bed.ask(path="/metrics", method="GET", headers=KEY)).body.decode()
    found = dict(re.findall(r'^planner_upstream_calls_total\{kind="(\w+)",.*\} (\S+)$', page, re.MULTILINE))
    counted = {kind: float(value) for kind, value in found.items()}
    return counted.get("sent", 0.0) + counted.get("uncounted", 0.0), counted.get("failed", 0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behave", [busy, breaks])
async def test_each_call_is_booked_once(keys: dict[str, Any], kind: dict[str, Any], behave: Any) -> None:
    async with (
        ScriptedUpstream(behave) as up,
        serving(up, keys=keys, upstream={"max_retries": 0}) as bed,
    ):
        for _ in range(3):
            try:
                got = await bed.ask(chat(max_tokens=20, **kind), headers=KEY)
            except Refusal:
                continue  # the stream had begun
            assert got.status in (502, 503) or b'"error"' in got.body
        sent, failed = await calls_in_books(bed)
        purses = bed.service.routes["*"].keys
        assert purses is not None
        ((_, purse),) = purses._purses.values()
        assert sent == len(up.asked) >= 3
        assert failed <= sent
        assert purse._ledger.nothing_in_flight
        assert purse.lost <= 20 * len(up.asked)
        if behave is busy:
            assert (purse.spent, purse.lost, failed) == (0.0, 0.0, sent)


@pytest.mark.parametrize("kind", [{}, ONE, PASSED])
async def test_a_call_whose_client_left_before_its_answer_is_booked(kind: dict[str, Any]) -> None:
    async def never(asked: Asked, place: int) -> Said:
        await asyncio.Event().wait()
        raise AssertionError

    async with ScriptedUpstream(never) as up, serving(up) as bed:

        async def ask() -> Got:
            content = json.dumps(chat(**kind)).encode()
            return await whole(await bed.service.handler.handle(Call(method="POST", path=CHAT, body=content)))

        work = asyncio.ensure_future(ask())
        while len(up.asked) < (1 if kind else 2):  # a plan of several begins with two
            await asyncio.sleep(0.001)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert await calls_in_books(bed) == (len(up.asked), len(up.asked))


async def test_a_planned_request_is_told_when_to_come_again() -> None:
    async with ScriptedUpstream(busy) as up, serving(up, upstream={"max_retries": 0}) as bed:
        first = await bed.ask(chat(max_tokens=20))
        n_asked = len(up.asked)
        resting = await bed.ask(chat(max_tokens=20))
    # The first request has met five refusals, and the address rests for a second.
    assert (first.status, resting.status) == (503, 503)
    assert first.headers["retry-after"] == resting.headers["retry-after"] == "1"
    assert len(up.asked) == n_asked

    async def slow_down(asked: Asked, place: int) -> Said:
        return Said(status=429, body=b'{"error": {"message": "slow down"}}', headers={"retry-after": "7"})

    async with ScriptedUpstream(slow_down) as up, serving(up, upstream={"max_retries": 0}) as bed:
        got = await bed.ask(chat(max_tokens=20))
    assert (got.status, got.headers["retry-after"]) == (429, "7")


async def test_what_rests_is_not_counted_as_sent() -> None:
    async with ScriptedUpstream(busy) as up, serving(up, upstream={"max_retries": 0}) as bed:
        for _ in range(3):
            await bed.ask(chat(max_tokens=20))
        assert await calls_in_books(bed) == (len(up.asked), len(up.asked))
