"""The official client in front of the server: same calls, same types, through a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Bed, serving

openai = pytest.importorskip("openai", reason="the official client is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

ASK: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "6 x 7? 🦊 \u2028"}]}
TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


@asynccontextmanager
async def listening(bed: Bed) -> AsyncIterator[str]:
    """Serve on a free port, and give the address."""
    config = uvicorn.Config(
        bed.service.application, port=0, lifespan="off", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    work = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await work


def client(url: str, **more: Any) -> Any:
    return openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, **more)


def behave(asked: Asked, place: int) -> Said:
    if asked.path == "/v1/models":
        return Said(body=b'{"object": "list", "data": [{"id": "tiny", "object": "model"}]}')
    if asked.path == "/v1/embeddings":
        return Said(body=b'{"data": [{"embedding": [0.5], "index": 0, "object": "embedding"}], "model": "t"}')
    body = asked.json
    if body.get("tools"):
        said = completion(body, "").body
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
            ],
        }
        value = json.loads(said)
        value["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
        return Said(body=json.dumps(value).encode(), headers={"content-type": "application/json"})
    if body.get("response_format"):
        return completion(body, '{"answer": 42}')
    return completion(body, "it is 42 é")


@asynccontextmanager
async def both(**route: Any) -> AsyncIterator[tuple[Any, Any, ScriptedUpstream]]:
    """Give a client of the bare upstream, one of the proxy, and the upstream."""
    async with (
        ScriptedUpstream(behave) as up,
        serving(up, **route) as bed,
        listening(bed) as url,
        client(up.url) as bare,
        client(url) as proxied,
    ):
        yield bare, proxied, up


CALLS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda c: c.chat.completions.create(**ASK),
    "completions": lambda c: c.completions.create(model="tiny", prompt="x"),
    "tools": lambda c: c.chat.completions.create(**ASK, tools=TOOLS),
    "models": lambda c: c.models.list(),
    "embeddings": lambda c: c.embeddings.create(model="tiny", input="x", encoding_format="float"),
    "large": lambda c: c.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "x" * 2**20}]
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_with_planning_off_every_answer_is_the_upstreams(call: str) -> None:
    async with both(mode="off", price=None) as (bare, proxied, _):
        expected, got = await CALLS[call](bare), await CALLS[call](proxied)
    assert type(got) is type(expected)
    assert got.model_dump() == expected.model_dump()


async def test_with_planning_off_streams_and_raw_bytes_are_the_upstreams() -> None:
    async with both(mode="off", price=None) as (bare, proxied, _):
        raw = [await c.chat.completions.with_raw_response.create(**ASK) for c in (bare, proxied)]
        streams = [await c.chat.completions.create(**ASK, stream=True) for c in (bare, proxied)]
        chunks = [[chunk.model_dump() async for chunk in stream] for stream in streams]
    assert raw[0].http_response.content == raw[1].http_response.content
    assert chunks[0] == chunks[1]
    assert len(chunks[0]) > 5


async def test_planned_answers_have_the_clients_types() -> None:
    async with both() as (_, proxied, up):
        got = await proxied.chat.completions.create(**ASK, extra_body={"planner": {"explain": True}})
        n = len(up.asked)
        stream = await proxied.chat.completions.create(
            **ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert isinstance(got, openai.types.chat.ChatCompletion)
    assert got.choices[0].message.content == "it is 42 é"
    assert got.usage.completion_tokens == 10 * n
    assert got.usage.prompt_tokens_details.cached_tokens == 4 * n
    assert got.planner["samples"] == n > 1
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "it is 42 é"
    assert chunks[-1].usage.completion_tokens == 10 * (len(up.asked) - n)


async def test_tools_pass_with_one_call() -> None:
    async with both() as (_, proxied, up):
        got = await proxied.chat.completions.create(**ASK, tools=TOOLS)
    assert got.choices[0].message.tool_calls[0].function.arguments == '{"a": 1}'
    assert len(up.asked) == 1


async def test_parsed_answers_pass_with_one_call() -> None:
    pydantic = pytest.importorskip("pydantic", reason="it comes with the client")
    shape = pydantic.create_model("Shape", answer=(int, ...))
    async with both() as (_, proxied, up):
        if not hasattr(proxied.chat.completions, "parse"):
            pytest.skip("this version of the client has no parse")
        got = await proxied.chat.completions.parse(**ASK, response_format=shape)
    assert got.choices[0].message.parsed.answer == 42
    assert len(up.asked) == 1


async def test_errors_are_the_clients_errors() -> None:
    async with both() as (_, proxied, up):
        with pytest.raises(openai.BadRequestError) as wrong:
            await proxied.chat.completions.create(**ASK, extra_body={"planner": {"speed": 1}})
        with pytest.raises(openai.NotFoundError):
            await proxied.get("/nowhere", cast_to=object)
    assert wrong.value.param == "planner.speed"
    assert not up.asked


async def test_a_synchronous_client_is_served_as_well() -> None:
    def ask(url: str) -> str:
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as synchronous:
            text: str = synchronous.chat.completions.create(**ASK).choices[0].message.content
            return text

    async with ScriptedUpstream(behave) as up, serving(up) as bed, listening(bed) as url:
        assert await asyncio.to_thread(ask, url) == "it is 42 é"


async def test_a_client_that_gives_up_takes_its_samples_with_it() -> None:
    never = asyncio.Event()

    async def slow(asked: Asked, _: int) -> Said:
        await never.wait()
        return completion(asked.json, "late")

    async with ScriptedUpstream(slow) as up, serving(up) as bed, listening(bed) as url:
        async with client(url, timeout=0.3) as impatient:
            with pytest.raises(openai.APITimeoutError):
                await impatient.chat.completions.create(**ASK)
        while not up.dropped:
            await asyncio.sleep(0.01)
        assert bed.service.handler.in_flight == 0
