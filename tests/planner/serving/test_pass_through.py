"""What is not planned goes through byte for byte, to the upstream of its route and to no other host."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import CHAT, chat, serving

ODD = b'{ "id":"x", "choices" :[ ],"unknown":\t[1.50, "\\u00e9"] }'
STREAM = [b": hi\r\n\r\n", b'data: {"a": 1}\r\n\r', b"\ndata: [DO", b"NE]\r\n\r\n"]


@pytest.mark.parametrize(
    "path", [CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/responses/r-1"]
)
async def test_bodies_go_through_byte_for_byte(path: str) -> None:
    sent = b'{"model":"tiny" , "input":  "\\u00e9", "messages": [], "x": 1.0}'
    headers = {"content-type": "application/json", "x-served-by": "me", "set-cookie": "a=1"}
    async with (
        ScriptedUpstream(lambda *_: Said(status=418, body=ODD, headers=headers)) as up,
        serving(up, mode="off") as bed,
    ):
        got = await bed.ask(sent, path=path, headers={"x-stainless-lang": "python"})
    assert (got.status, got.body) == (418, ODD)
    assert headers.items() <= got.headers.items()
    assert up.asked[0].body == sent
    assert up.asked[0].path == path
    assert up.asked[0].headers["x-stainless-lang"] == "python"


async def test_streams_go_through_byte_for_byte() -> None:
    said = Said(pieces=STREAM, headers={"content-type": "text/event-stream"})
    async with ScriptedUpstream(lambda *_: said) as up, serving(up, mode="off") as bed:
        got = await bed.ask(chat(stream=True))
    assert got.body == b"".join(STREAM)
    assert got.headers["content-type"] == "text/event-stream"


async def test_a_stream_that_breaks_off_does_not_look_whole() -> None:
    said = Said(pieces=STREAM[:2], headers={"content-type": "text/event-stream"}, breaks=True)
    async with ScriptedUpstream(lambda *_: said) as up, serving(up, mode="off") as bed:
        with pytest.raises(Exception, match="broke off"):
            await bed.ask(chat(stream=True))


async def test_an_upstream_that_says_no_more_is_left() -> None:
    for kind in ("text/event-stream", "application/json"):
        said = Said(pieces=[b"data: {}\n\n"], headers={"content-type": kind}, hangs=asyncio.Event())
        async with (
            ScriptedUpstream(lambda *_, said=said: said) as up,
            serving(up, mode="off", upstream={"timeout_seconds": 0.1}) as bed,
        ):
            if kind == "application/json":
                assert (await bed.ask(chat())).status == 504
            else:
                with pytest.raises(Exception, match="broke off"):
                    await bed.ask(chat(stream=True))
            while not up.dropped:
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"modalities": ["text", "audio"], "audio": {"voice": "x"}},
        {"temperature": 0},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}]},
        {"planner": {"mode": "off"}},
    ],
)
async def test_what_cannot_be_planned_is_exactly_one_call(more: dict[str, Any]) -> None:
    async with ScriptedUpstream(lambda *_: Said(body=ODD)) as up, serving(up) as bed:
        got = await bed.ask(chat(**more))
    assert got.body == ODD
    (asked,) = up.asked
    assert asked.json == {name: value for name, value in chat(**more).items() if name != "planner"}


async def test_the_key_of_the_upstream_goes_to_it_and_the_clients_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UP_KEY", "upstream-secret")
    monkeypatch.setenv("APP_KEY", "client-secret")
    async with ScriptedUpstream() as up:
        settings: dict[str, Any] = {"upstream": {"key_variable": "UP_KEY"}}
        async with serving(up, keys={"app": {"key_variable": "APP_KEY"}}, **settings) as bed:
            assert (await bed.ask(chat())).status == 401
            assert (await bed.ask(chat(), headers={"authorization": "Bearer wrong"})).status == 401
            assert not up.asked
            good = {"authorization": "Bearer client-secret", "cookie": "c=1", "x-planner-price": "1"}
            got = await bed.ask(chat(), headers=good)
            got_embeddings = await bed.ask({"model": "tiny"}, path="/v1/embeddings", headers=good)
    assert got.status == got_embeddings.status == 200
    for asked in up.asked:
        assert asked.headers["authorization"] == "Bearer upstream-secret"
        assert "cookie" not in asked.headers
        assert not any(name.startswith("x-planner") for name in asked.headers)
        assert "client-secret" not in str(asked)


async def test_without_keys_of_its_own_the_server_sends_the_clients_on() -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        await bed.ask(chat(), headers={"authorization": "Bearer mine"})
        await bed.ask(chat(n=2), headers={"authorization": "Bearer mine"})
    assert {asked.headers["authorization"] for asked in up.asked} == {"Bearer mine"}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v2/chat/completions",
        "/v1/responses/../../admin",
        "/v1/messages//evil.test",
        "http://e/",
        "/",
    ],
)
async def test_a_caller_chooses_no_other_address(path: str) -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        got = await bed.ask(chat(), path=path, headers={"host": "evil.test"})
    assert got.status == 404
    assert got.json["error"]["code"] == "unknown_url"
    assert not up.asked


async def test_redirects_are_not_followed() -> None:
    said = Said(status=302, headers={"location": "http://127.0.0.1:1/"})
    async with ScriptedUpstream(lambda *_: said) as up, serving(up, mode="off") as bed:
        assert (await bed.ask(chat())).status == 302
        assert len(up.asked) == 1


async def test_an_upstream_that_is_down_is_a_clean_502_and_then_a_503() -> None:
    async with ScriptedUpstream() as gone:
        pass_on = gone.url

    class Dead(ScriptedUpstream):
        @property
        def url(self) -> str:
            return pass_on

    async with serving(Dead(), upstream={"max_retries": 0}) as bed:
        codes = [(await bed.ask(chat(n=2))).status for _ in range(8)]
        planned = await bed.ask(chat())
    assert codes == [502] * 5 + [503] * 3
    assert planned.status == 503
    assert planned.json["error"]["type"] == "service_unavailable"


async def test_a_dead_address_is_passed_over() -> None:
    async with ScriptedUpstream() as gone:
        dead = gone.url

    class Dead(ScriptedUpstream):
        @property
        def url(self) -> str:
            return dead

    async with ScriptedUpstream() as up, serving(Dead(), up, upstream={"max_retries": 0}) as bed:
        codes = {(await bed.ask(body)).status for body in (chat(n=2), chat()) for _ in range(4)}
    assert codes == {200}


async def test_a_client_that_goes_away_takes_the_upstream_call_with_it() -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def behave(asked: Asked, _: int) -> Said:
        reached.set()
        await never.wait()
        return completion(asked.json, "late")

    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        for body in (chat(), chat(n=2)):
            reached.clear()
            work = asyncio.ensure_future(bed.ask(body))
            await reached.wait()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        while up.dropped < 2:
            await asyncio.sleep(0)
        assert bed.service.handler.in_flight == 0


async def test_models_and_health() -> None:
    routes = {
        "small": {"upstream": "up", "mode": "off", "model": "org/small"},
        "large": {"upstream": "up", "mode": "off"},
    }
    async with ScriptedUpstream() as up, serving(up, routes=routes) as bed:
        got = await bed.ask(path="/v1/models", method="GET")
        assert [one["id"] for one in got.json["data"]] == ["small", "large"]
        assert (await bed.ask(path="/health", method="GET")).json == {"status": "ok"}
        assert (await bed.ask(path="/ready", method="GET")).status == 200
        unknown = await bed.ask(chat())
        await bed.ask(chat() | {"model": "small"})
        await bed.ask({"model": "small", "input": "x"}, path="/v1/embeddings")
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert unknown.status == 404
    assert unknown.json["error"]["param"] == "model"
    assert [json.loads(asked.body)["model"] for asked in up.asked] == ["org/small", "org/small"]
    assert 'mode="pass",route="small",status="200"} 1.0' in page
