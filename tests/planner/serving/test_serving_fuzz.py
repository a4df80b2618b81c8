"""Whatever a client sends, it gets an answer or an error object: no 5xx, no traceback."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import CHAT, Got, chat, serving

from planner.serving.body import too_deep
from planner.serving.options import Options

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "model", "messages", "prompt", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens",
        "temperature", "top_p", "seed", "stop", "planner", "logprobs", "response_format", "reasoning_effort",
        "tools", "modalities", "unknown", "extra_body", "input", "instructions",
    ]
)  # fmt: skip
PATHS = st.sampled_from(
    [CHAT, "/v1/completions", "/v1/plan", "/v1/embeddings", "/v1/responses", "/v1/models"]
)


def behave(asked: Asked, place: int) -> Said:
    try:
        body = asked.json
    except ValueError:
        return Said(status=400, body=b"{}")
    stream = body.get("stream") is True if isinstance(body, dict) else False
    messages: dict[str, Any] = {"messages": []} if asked.path.endswith("chat/completions") else {}
    return completion({**messages, "stream": stream}, "it is 42")


def ask(body: bytes, path: str = CHAT, **headers: str) -> Got:
    async def once() -> Got:
        async with ScriptedUpstream(behave) as up, serving(up, upstream={"max_retries": 0}) as bed:
            return await bed.ask(body, path=path, headers=headers)

    return asyncio.run(once())


def check(got: Got) -> None:
    assert got.status < 500
    assert b"Traceback" not in got.body
    assert b"127.0.0.1" not in got.body
    if got.status >= 400:
        assert got.json == {} or got.json["error"]["message"]


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(FIELDS, JSON, max_size=3), PATHS)
@example({"messages": [{"role": "user", "content": "\ud800"}]}, CHAT)
@example({"messages": [{"role": "user", "content": " "}]}, CHAT)
@example({"prompt": "x", "messages": None}, "/v1/completions")
@example({"stop": "", "seed": -1}, CHAT)
@example({"max_tokens": 2**62}, CHAT)
@example({"planner": {"max_samples": 10**30}}, CHAT)
@example({"planner": {"budget": 1e-300}}, CHAT)
@example({"planner": {"budget": 5, "unit": "usd"}}, CHAT)
@example({"planner": {"target_accuracy": 1.0}}, CHAT)
@example({"seed": 10**40}, CHAT)
@example({"n": True}, CHAT)
@example({"temperature": 1e308}, CHAT)
def test_any_fields_get_an_answer_or_a_4xx(fields: dict[str, Any], path: str) -> None:
    check(ask(json.dumps(chat() | fields).encode(), path))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), PATHS)
@example(b"", CHAT)
@example(b"[" * 100_000, CHAT)
@example(b'{"model": "tiny", "messages": ' + b"[" * 500 + b"]" * 500 + b"}", CHAT)
@example(b'{"model": "tiny", "n": ' + b"9" * 5000 + b"}", CHAT)
@example(b'{"a":' * 60_000, "/v1/embeddings")
def test_any_bytes_get_an_answer_or_a_4xx(body: bytes, path: str) -> None:
    check(ask(body, path))


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "", "1e999", "0x1", "1" * 5000])
def test_headers_are_checked_like_fields(value: str) -> None:
    got = ask(json.dumps(chat()).encode(), CHAT, **{"x-planner-budget": value})
    assert got.status == 400
    assert "budget" in got.json["error"]["param"]


def test_sizes_are_bounded() -> None:
    async def once() -> list[int]:
        limits = {"max_body_bytes": 1000, "max_in_flight": 1}
        never = asyncio.Event()

        async def hang(asked: Asked, _: int) -> Said:
            await never.wait()
            return completion(asked.json, "late")

        async with ScriptedUpstream(hang) as up, serving(up, limits=limits) as bed:
            large = await bed.ask(chat("x" * 2000))
            work = asyncio.ensure_future(bed.ask(chat()))
            while not up.asked:
                await asyncio.sleep(0)
            crowded = await bed.ask(chat())
            health = await bed.ask(path="/health", method="GET")
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return [large.status, crowded.status, health.status]

    assert asyncio.run(once()) == [413, 503, 200]


def test_a_client_cannot_raise_the_operators_limits() -> None:
    async def once() -> int:
        async with (
            ScriptedUpstream(lambda asked, place: completion(asked.json, f"it is {place}")) as up,
            serving(up, limits={"max_samples": 4}, max_per_request=10_000.0) as bed,
        ):
            got = await bed.ask(chat(planner={"max_samples": 64, "price": 0}))
            assert got.status == 200
            return len(up.asked)

    assert asyncio.run(once()) <= 4


@given(st.binary(max_size=40), st.integers(1, 5))
def test_depth_counts_brackets_outside_of_strings(body: bytes, most: int) -> None:
    value = json.dumps({"a": body.decode("latin-1")}).encode()
    assert not too_deep(value, most)
    assert too_deep(b'{"a":' * (most + 1) + value, most)


@pytest.mark.parametrize("path", ["/v1/models/é", "/v1/models/..", "/v1/models/%2e%2e/x", "/v1/files", "//x"])
def test_other_paths_are_not_sent_on(path: str) -> None:
    async def once() -> tuple[int, int]:
        async with ScriptedUpstream(behave) as up, serving(up) as bed:
            got = await bed.ask(path=path, method="GET")
            return got.status, len(up.asked)

    assert asyncio.run(once()) == (404, 0)


def test_the_description_says_every_option_and_endpoint() -> None:
    async def once() -> list[Got]:
        async with ScriptedUpstream(behave) as up, serving(up) as bed:
            paths = ("/openapi.json", "/docs")
            return [await bed.ask(path=path, method=method) for path in paths for method in ("GET", "DELETE")]

    described, refused, page, _ = asyncio.run(once())
    assert refused.status == 405
    paths, options = described.json["paths"], described.json["components"]["schemas"]["Options"]
    assert {CHAT, "/v1/completions", "/v1/responses", "/v1/plan", "/metrics"} <= set(paths)
    assert set(options["properties"]) == set(Options.__dataclass_fields__)
    for word in (*paths, *options["properties"]):
        assert word in page.body.decode()
