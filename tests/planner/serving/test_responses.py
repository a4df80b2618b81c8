"""The endpoint for responses: plain requests are planned and answered as Responses objects, others pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import serving

from planner import wrap

PATH = "/v1/responses"
openai = pytest.importorskip("openai", reason="the official client is not installed")


def plain(given: Any = "6 x 7?", **more: Any) -> dict[str, Any]:
    """The body of a plain request."""
    return {"model": "tiny", "input": given, **more}


def response(asked: Asked, text: str = "from the upstream") -> Said:
    """Answer a request for a response, whole or as a stream, as the protocol's own server does."""
    body = asked.json if asked.body else {}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": body.get("model"),
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }
    if not body.get("stream"):
        return Said(body=json.dumps(whole).encode(), headers={"content-type": "application/json"})
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "usage": None}},
        {
            "type": "response.output_text.delta",
            "delta": text,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "logprobs": [],
        },
        {"type": "response.completed", "response": whole},
    ]
    pieces = [
        f"event: {one['type']}\ndata: {json.dumps(one | {'sequence_number': n})}\n\n".encode()
        for n, one in enumerate(events)
    ]
    return Said(pieces=pieces, headers={"content-type": "text/event-stream"})


def saying(texts: Sequence[str], **more: Any) -> Any:
    def behave(asked: Asked, place: int) -> Said:
        if asked.path.startswith(PATH):
            return response(asked)
        return completion(asked.json, texts[place % len(texts)], **more)

    return behave


async def test_a_plain_text_is_planned_and_comes_back_as_a_response() -> None:
    async with (
        ScriptedUpstream(saying(["it is 41", "it is 42", "it is 42"], reasoning=3)) as up,
        serving(up) as bed,
    ):
        got = await bed.ask(
            plain(instructions="Be brief.", max_output_tokens=50, metadata={"a": "b"}, top_k=7), path=PATH
        )
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    n = len(up.asked)
    assert n >= 3
    body = got.json
    assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
    (message,) = body["output"]
    assert message["content"][0]["text"] == "it is 42"
    assert body["usage"] == {
        "input_tokens": 11 * n,
        "input_tokens_details": {"cached_tokens": 4 * n},
        "output_tokens": 11 * n,
        "output_tokens_details": {"reasoning_tokens": 3 * n},
        "total_tokens": 22 * n,
    }
    assert body["planner"]["samples"] == n == int(got.headers["x-planner-samples"])
    assert body["instructions"] == "Be brief."
    assert body["metadata"] == {"a": "b"}
    assert body["max_output_tokens"] == 50
    for asked in up.asked:
        assert asked.path == "/v1/chat/completions"
        assert asked.json["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "6 x 7?"},
        ]
        assert asked.json["max_tokens"] == 50
        assert asked.json["top_k"] == 7
        assert not {"input", "instructions", "metadata", "max_output_tokens"} & set(asked.json)
    assert 'planner_requests_total{endpoint="/v1/responses",mode="plan",route="*",status="200"} 1.0' in page


async def test_messages_of_text_are_planned_too() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "6 x 7?"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "41"}]},
        {"role": "user", "content": "Sure?"},
    ]
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    async with (
        ScriptedUpstream(saying(['{"n": 42}'])) as up,
        serving(up, extract="json:n") as bed,
    ):
        await bed.ask(
            plain(items, reasoning={"effort": "low"}, text={"format": schema}, tool_choice="auto"), path=PATH
        )
    sent = up.asked[0].json
    assert [one["role"] for one in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][0]["content"] == "6 x 7?"
    assert sent["reasoning_effort"] == "low"
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
    }


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search"}]},
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_1"},
        {"background": True},
        {"store": True},
        {"include": ["reasoning.encrypted_content"]},
        {"truncation": "auto"},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"text": {"format": {"type": "json_object"}}},
        {"temperature": 0},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "3"}]},
        {"input": []},
        {"planner": {"mode": "off"}},
    ],
)
async def test_what_is_not_plain_passes_untouched_with_one_call(more: dict[str, Any]) -> None:
    async with ScriptedUpstream(saying(["it is 42"])) as up, serving(up) as bed:
        body = plain() | more
        got = await bed.ask(body, path=PATH)
        stream = await bed.ask(body | {"stream": True}, path=PATH)
    first, second = up.asked
    sent = {name: value for name, value in body.items() if name != "planner"}
    assert first.path == second.path == PATH
    assert first.json == sent
    assert "planner" in more or first.body == json.dumps(body).encode()
    assert got.body == response(first).body
    assert stream.body == b"".join(response(second).pieces or ())


async def test_bodies_that_are_no_such_request_pass_as_before() -> None:
    async with ScriptedUpstream(saying([])) as up, serving(up) as bed:
        for body in ({"prompt": {"id": "pmpt_1"}}, {"model": "tiny", "a": json.loads("[" * 99 + "]" * 99)}):
            await bed.ask(body, path=PATH)
        await bed.ask(None, path=f"{PATH}/resp_1", method="GET")
        bad = await bed.ask(b"{", path=PATH)
    assert [asked.method for asked in up.asked] == ["POST", "POST", "GET"]
    assert bad.status == 400


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": 3}, "input"),
        ({"input": None}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"instructions": 3}, "instructions"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"text": "x"}, "text"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
async def test_fields_that_are_wrong_are_named(more: dict[str, Any], param: str) -> None:
    async with ScriptedUpstream(saying([])) as up, serving(up) as bed:
        got = await bed.ask(plain() | more, path=PATH)
    assert got.status == 400
    assert got.json["error"]["param"] == param
    assert not up.asked


async def test_one_sample_is_one_call_of_the_same_endpoint_and_counted() -> None:
    async with ScriptedUpstream(saying([])) as up, serving(up) as bed:
        got = await bed.ask(plain(planner={"price": 1}), path=PATH)
        stream = await bed.ask(plain(stream=True), path=PATH, headers={"x-planner-price": "1"})
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert [asked.path for asked in up.asked] == [PATH, PATH]
    assert got.json["planner"]["samples"] == 1
    assert got.json["planner"]["cost"] == 5
    assert got.json["output"][0]["content"][0]["text"] == "from the upstream"
    assert stream.body == b"".join(response(up.asked[1]).pieces or ())
    assert 'planner_tokens_total{kind="output",route="*"} 10.0' in page
    assert 'planner_tokens_total{kind="cached",route="*"} 8.0' in page


async def test_an_upstream_without_the_endpoint_is_asked_by_chat() -> None:
    def behave(asked: Asked, place: int) -> Said:
        return Said(status=404, body=b"{}") if asked.path == PATH else completion(asked.json, "42")

    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        got = await bed.ask(plain(planner={"price": 1}), path=PATH)
        stream = await bed.ask(plain(stream=True, planner={"price": 1}), path=PATH)
    assert got.json["output"][0]["content"][0]["text"] == "42"
    assert got.json["usage"]["output_tokens"] == 2
    assert b"response.completed" in stream.body
    assert [asked.path for asked in up.asked] == [PATH, "/v1/chat/completions"] * 2


async def test_thinking_that_ate_the_answer_is_an_incomplete_response() -> None:
    async with (
        ScriptedUpstream(saying([""], finish="length", reasoning=40)) as up,
        serving(up) as bed,
    ):
        got = await bed.ask(plain(max_output_tokens=41), path=PATH)
    body = got.json
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["output"] == []
    assert body["planner"]["stop_reason"] == "thinking_exhausted"
    assert body["usage"]["output_tokens_details"]["reasoning_tokens"] == 40 * len(up.asked)


async def test_a_failure_within_a_stream_is_an_event() -> None:
    async with (
        ScriptedUpstream(lambda asked, place: Said(status=500, body=b"no")) as up,
        serving(up, upstream={"max_retries": 0}) as bed,
    ):
        got = await bed.ask(plain(stream=True), path=PATH)
    *_, last = got.events
    assert got.events[0]["type"] == "response.created"
    assert last["type"] == "error"
    assert last["code"] == "upstream_unavailable"


async def test_plans_of_responses_are_shown() -> None:
    async with ScriptedUpstream(saying([])) as up, serving(up) as bed:
        got = await bed.ask(plain(), path="/v1/plan")
        passes = await bed.ask(plain(tools=[{"type": "web_search"}]), path="/v1/plan")
    assert got.json["mode"] == "plan"
    assert passes.json == {"mode": "pass", "because": "tools"}
    assert not up.asked


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_official_client_reads_it(asynchronous: bool) -> None:
    make = openai.AsyncOpenAI if asynchronous else openai.OpenAI

    async def called(call: Any) -> Any:
        return await call() if asynchronous else await asyncio.to_thread(call)

    async with ScriptedUpstream(saying(["it is 41", "it is 42", "it is 42"])) as up:
        bare = make(base_url=up.url, api_key="k", max_retries=0)
        client = wrap(bare, price=1e-5, extractor="last_number")
        got = await called(lambda: client.responses.create(model="tiny", input="6 x 7?"))
        n = len(up.asked)
        stream = await called(lambda: client.responses.create(model="tiny", input="6 x 7?", stream=True))
        events = [one async for one in stream] if asynchronous else await asyncio.to_thread(list, stream)
        passed = await called(lambda: client.responses.create(model="tiny", input="?", store=True))
        await called(bare.close)
    assert got.output_text == "it is 42"
    assert got.usage.output_tokens == 8 * n
    assert got.planner["samples"] == n
    assert isinstance(got, openai.types.responses.Response)
    assert passed.output_text == "from the upstream"
    assert [one.type for one in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [one.sequence_number for one in events] == list(range(len(events)))
    assert events[-1].response.output_text == "it is 42"
    assert events[0].response.id == events[-1].response.id


async def test_the_official_clients_stream_helper_puts_it_together() -> None:
    async with ScriptedUpstream(saying(["it is 42"], reasoning=1)) as up:
        bare = openai.AsyncOpenAI(base_url=up.url, api_key="k", max_retries=0)
        client = wrap(bare, price=1e-5, extractor="last_number")
        async with client.responses.stream(model="tiny", input="6 x 7?") as stream:
            deltas = [one.delta async for one in stream if one.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        await bare.close()
    assert deltas == ["it is 42"]
    assert final.output_text == "it is 42"


async def test_in_the_shadow_responses_pass_untouched_and_are_drawn_beside() -> None:
    async with (
        ScriptedUpstream(saying(["from the upstream"])) as up,
        serving(up, mode="shadow", shadow_draw_share=1.0, extract="whole_text") as bed,
    ):
        got = await bed.ask(plain(), path=PATH)
        passed = up.asked[0]
        shadow = bed.service.routes["*"].shadow
        assert shadow is not None
        await asyncio.gather(*shadow._tasks)
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert got.body == response(passed).body
    assert {asked.path for asked in up.asked[1:]} == {"/v1/chat/completions"}
    assert 'planner_shadow_total{route="*",what="sent_cost"} 5.0' in page
    assert 'planner_shadow_total{route="*",what="agreements"} 1.0' in page


async def test_keys_pay_for_responses_that_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_KEY", "app-secret")
    keys = {"app": {"key_variable": "APP_KEY", "limit": 12.0}}
    headers = {"authorization": "Bearer app-secret"}
    body = plain(tools=[{"type": "web_search"}], max_output_tokens=5)
    async with ScriptedUpstream(saying([])) as up, serving(up, keys=keys) as bed:
        got = [
            await bed.ask(body | {"stream": streams}, path=PATH, headers=headers)
            for streams in (False, True, False)
        ]
    assert [one.status for one in got] == [200] * 3
    # What the budget does not reach for is not asked for.
    assert [asked.json["max_output_tokens"] for asked in up.asked] == [5, 5, 2]
