"""Fields of generators and upstreams; budgets that are ignored are said in answer, metrics and log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Bed, chat, serving

from difficulty.errors import InvalidInputError
from planner.planner import Planner
from planner.serving.settings import ServeSettings

FIELDS = {"thinking": {"type": "enabled", "budget_tokens": "{thinking_tokens}"}}


@asynccontextmanager
async def thinking(up: ScriptedUpstream, budget: int = 64, **route: Any) -> AsyncIterator[Bed]:
    """A route whose generator has a thinking budget."""
    async with serving(up, **route) as bed:
        one = bed.service.routes["*"]
        assert one.planning is not None
        bundle = one.planning.planner.bundle
        deep = {name: replace(known, thinking_tokens=budget) for name, known in bundle.generators.items()}
        one.planning = replace(one.planning, planner=Planner(bundle=replace(bundle, generators=deep)))
        yield bed


async def test_fields_of_upstream_generator_and_client_are_merged() -> None:
    async with (
        ScriptedUpstream() as up,
        thinking(
            up,
            upstream={"fields": {"thinking": {"show": False}, "min_p": 0}},
            generators={"default": {"fields": FIELDS}},
        ) as bed,
    ):
        await bed.ask(chat(thinking={"style": "short"}, top_k=4))
        n = len(up.asked)
        await bed.ask(chat(planner={"price": 1}))
        await bed.ask(chat(planner={"price": 1}, stream=True))
    assert n > 1
    for asked in up.asked[:n]:
        body = asked.json
        assert body["thinking"] == {
            "style": "short", "show": False, "type": "enabled", "budget_tokens": 64,
        }  # fmt: skip
        assert (body["top_k"], body["min_p"]) == (4, 0)
        assert "thinking_token_budget" not in body
    for asked in up.asked[n:]:
        assert asked.json["thinking"] == {"show": False, "type": "enabled", "budget_tokens": 64}


async def test_a_budget_without_a_place_goes_into_the_upstreams_field() -> None:
    for upstream, path in (({}, "thinking_token_budget"), ({"thinking_field": "think.most"}, "think")):
        async with ScriptedUpstream() as up, thinking(up, upstream=upstream) as bed:
            await bed.ask(chat())
            await bed.ask(chat(planner={"price": 1}))
        expected = {"most": 64} if path == "think" else 64
        assert all(asked.json[path] == expected for asked in up.asked)


async def test_a_budget_that_is_ignored_is_said_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    def behave(asked: Asked, place: int) -> Said:
        return completion(asked.json, "it is 42", reasoning=500)

    async with ScriptedUpstream(behave) as up, thinking(up) as bed:
        got = await bed.ask(chat())
        n = len(up.asked)
        one = await bed.ask(chat(planner={"price": 1}))
        await bed.ask(chat(planner={"price": 1}, stream=True))
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert got.json["planner"]["thinking_ignored"] == n > 1
    assert got.json["planner"]["failures"] == 0
    assert got.json["usage"]["completion_tokens"] == n * 508
    assert one.json["planner"]["thinking_ignored"] == 1
    assert f'planner_thinking_ignored_total{{route="*"}} {n + 2}.0' in page
    assert caplog.text.count("ignored the thinking budget") == 3


async def test_a_budget_that_is_obeyed_is_not_mentioned() -> None:
    def behave(asked: Asked, place: int) -> Said:
        return completion(asked.json, "it is 42", reasoning=60)

    async with ScriptedUpstream(behave) as up, thinking(up) as bed:
        got = await bed.ask(chat())
        one = await bed.ask(chat(planner={"price": 1}))
    assert "thinking_ignored" not in json.dumps([got.json["planner"], one.json["planner"]])


@pytest.mark.parametrize(
    ("upstream", "generator", "words"),
    [
        ({"fields": {"messages": []}}, {}, "must not hold messages"),
        ({"thinking_field": "a..b"}, {}, "names joined by dots"),
        ({}, {"fields": {"n": 3}}, "must not hold n"),
        ({}, {"field": {}}, "field"),
    ],
)
def test_fields_that_would_undo_a_request_are_refused(
    upstream: dict[str, Any], generator: dict[str, Any], words: str
) -> None:
    plain = {
        "upstreams": {"up": {"base_urls": ["http://127.0.0.1:1/v1"], **upstream}},
        "routes": {"tiny": {"upstream": "up", "price": 1e-5, "generators": {"g": generator}}},
    }
    with pytest.raises(InvalidInputError, match=words):
        ServeSettings.from_plain(plain)
