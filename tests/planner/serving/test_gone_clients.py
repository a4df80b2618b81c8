"""What a client has spent stays in the books when it goes away before its answer."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import CHAT, Bed, chat, serving, whole

from planner.serving.exchange import Call


async def metric(bed: Bed, name: str) -> float:
    page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}.*\}} (\S+)$", page, re.MULTILINE))


@pytest.mark.parametrize("stream", [False, True])
async def test_samples_of_a_client_that_went_away_are_booked(stream: bool) -> None:
    never = asyncio.Event()

    async def behave(asked: Asked, place: int) -> Said:
        if place == 0 or len(up.asked) <= first_wave:
            return completion(asked.json, f"it is {place}")
        await never.wait()
        return completion(asked.json, "late")

    first_wave = 2
    async with ScriptedUpstream(behave) as up, serving(up) as bed:

        async def ask() -> None:
            content = json.dumps(chat(stream=stream)).encode()
            await whole(await bed.service.handler.handle(Call(method="POST", path=CHAT, body=content)))

        work = asyncio.create_task(ask())
        while len(up.asked) <= first_wave:  # a second wave: all of the first one has been read
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert bed.service.handler.in_flight == 0
        assert await metric(bed, 'planner_tokens_total{kind="output"') == first_wave * len("it is 0")
        assert await metric(bed, 'planner_requests_total{endpoint="/v1/chat/completions"') == 1


@pytest.mark.parametrize("more", [{"tools": [{}]}, {"tools": [{}], "stream": True}])
async def test_calls_that_pass_on_a_route_that_plans_are_booked(more: dict[str, Any]) -> None:
    usage = {"stream_options": {"include_usage": True}} if "stream" in more else {}
    async with ScriptedUpstream() as up, serving(up) as bed:
        got = await bed.ask(chat(**more, **usage))
        assert got.status == 200
        assert await metric(bed, 'planner_tokens_total{kind="output"') == len("answer: 42")
        assert up.asked[0].json == chat(**more, **usage)
