"""Requests that are meant to do harm: read differently by two servers, too wide, or paid by nobody."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import chat, serving

from planner.serving.body import check_once, read_object
from planner.serving.refusal import Refusal
from planner.serving.single import usage_in

MESSAGES = {"model": "tiny", "max_tokens": 20, "messages": [{"role": "user", "content": "?"}]}


def behave(asked: Asked, place: int) -> Said:
    return completion(asked.json, "it is 42")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "dear", "messages": [{"role": "user", "content": "?"}], "n": 2, "model": "tiny"}',
        b'{"model":"dear","messages":[{"role":"user","content":"?"}],"n":2,"mod\\u0065l":"tiny"}',
        b'{"model":"tiny","messages":[{"role":"user","content":"?"}],"n":2,"n":3}',
        b'{"model":"tiny","x":' + b"9" * 5000 + b',"messages":[{"role":"user","content":"?"}],"n":2,"n":3}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"])
async def test_what_is_said_twice_is_not_sent_on(body: bytes, path: str) -> None:
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        got = await bed.ask(body, path=path)
    assert got.status == 400
    assert not up.asked


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", ":\t")])
def test_what_is_said_once_is_taken_however_it_is_written(separators: tuple[str, str]) -> None:
    body = {"model": "é", "messages": [{"a": 1, "b": [1, 2.5]}], "n": 10**400, "x": {"model": "é"}}
    for ascii_only in (False, True):
        check_once(json.dumps(body, separators=separators, ensure_ascii=ascii_only).encode())
    for other in (b"", b"null", b"[1]", b"\xff", b"{}"):
        check_once(other)


def test_no_depth_is_too_much_to_look_for_what_is_said_twice() -> None:
    deepest = sys.getrecursionlimit() + 9
    for depth in range(deepest - 60, deepest):
        try:
            check_once(b'{"x": ' + b"[" * depth + b"]" * depth + b', "y": 1}')
        except Refusal as refusal:
            assert refusal.status == 400


@pytest.mark.parametrize("part", [b"[]", b"{}", b'{"":0}'])
def test_bodies_of_too_many_parts_are_not_read(part: bytes) -> None:
    body = b'{"model":"tiny","x":[' + b",".join([part] * 300_000) + b"]}"
    for read in (partial(read_object, max_depth=64), check_once):
        with pytest.raises(Refusal) as refused:
            read(body + b" ")
        assert refused.value.status == 413
    # What stands in a text is no part.
    assert read_object(json.dumps({"x": part.decode() * 300_000}).encode(), max_depth=64)


@pytest.mark.parametrize("mode", ["plan", "off"])
@pytest.mark.parametrize("name", ["n", "best_of"])
async def test_no_more_choices_than_the_operator_lets_a_request_have(name: str, mode: str) -> None:
    async with ScriptedUpstream(behave) as up, serving(up, limits={"max_samples": 8}, mode=mode) as bed:
        refused = await bed.ask(chat(**{name: 10**9}))
        taken = await bed.ask(chat(**{name: 8}))
    assert (refused.status, taken.status) == (400, 200)
    assert json.loads(refused.body)["error"]["param"] == name
    assert len(up.asked) == 1


async def test_a_key_that_asks_once_is_not_sent_with_each_sample() -> None:
    headers = {"idempotency-key": "once", "x-own": "1"}
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        await bed.ask(chat(), headers=headers)
        await bed.ask(chat(n=2), headers=headers)
    samples, passed = up.asked[:-1], up.asked[-1]
    assert len(samples) >= 2
    assert all("idempotency-key" not in one.headers and one.headers["x-own"] == "1" for one in samples)
    assert passed.headers["idempotency-key"] == "once"


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("APP_KEY", "app-secret")
    return {"app": {"key_variable": "APP_KEY", "limit": 100.0}}


KEY = {"authorization": "Bearer app-secret"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_pays_for_the_endpoint_for_messages(poor: dict[str, Any], stream: bool) -> None:
    sent: list[bytes] = []

    def answers(asked: Asked, place: int) -> Said:
        written = min(asked.json["max_tokens"], 18)
        if not stream:
            usage = {"input_tokens": 9, "output_tokens": written}
            sent.append(json.dumps({"type": "message", "usage": usage}).encode())
            return Said(body=sent[-1])
        events = [
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "message_delta", "usage": {"output_tokens": written}},
        ]
        pieces = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events]
        sent.append(b"".join(pieces))
        return Said(pieces=pieces, headers={"content-type": "text/event-stream"})

    body = {**MESSAGES, "stream": stream}
    async with ScriptedUpstream(answers) as up, serving(up, keys=poor) as bed:
        got = [await bed.ask(body, path="/v1/messages", headers=KEY) for _ in range(8)]
        route = bed.service.routes["*"]
        assert route.keys is not None
        spent = [purse.spent for _, purse in route.keys._purses.values()]
    # The sixth is sent with what is left as its cap.
    assert [one.status for one in got] == [200] * 6 + [402] * 2
    assert [one.json["max_tokens"] for one in up.asked] == [20] * 5 + [10]
    assert spent == [100.0]
    assert [one.body for one in got[:6]] == sent


async def test_a_key_that_is_spent_cannot_embed(poor: dict[str, Any]) -> None:
    said = Said(body=b'{"object": "list", "usage": {"prompt_tokens": 2, "total_tokens": 2}}')
    body = {"model": "tiny", "input": "?"}
    async with ScriptedUpstream(lambda *_: said) as up, serving(up, keys=poor) as bed:
        assert (await bed.ask(body, path="/v1/embeddings", headers=KEY)).status == 200
        route = bed.service.routes["*"]
        assert route.keys is not None
        (purse,) = (purse for _, purse in route.keys._purses.values())
        purse._ledger.total_cost = 100.0
        assert (await bed.ask(body, path="/v1/embeddings", headers=KEY)).status == 402
        assert (await bed.ask(path="/v1/models", method="GET", headers=KEY)).status == 402


@pytest.mark.parametrize("name", ["n_predict", "max_new_tokens"])
@pytest.mark.parametrize("more", [{}, {"n": 2}, {"planner": {"price": 1}}])
async def test_a_cap_of_another_name_does_not_lift_the_one_that_is_held(
    poor: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    body = chat(max_tokens=9, **{name: 100_000}, **more)
    async with ScriptedUpstream(behave) as up, serving(up, keys=poor) as bed:
        refused = await bed.ask(body, headers=KEY)
    async with ScriptedUpstream(behave) as free, serving(free) as bed:
        taken = await bed.ask(body)
    assert (refused.status, refused.json["error"]["param"]) == (400, name)
    assert not up.asked
    assert taken.status == 200


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"max_output_tokens": 5, "n": 2}, "max_output_tokens"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "priority", "n": 2}, "service_tier"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_two_caps_and_dearer_tokens_are_not_paid_for(
    poor: dict[str, Any], more: dict[str, Any], named: str, path: str
) -> None:
    async with ScriptedUpstream(behave) as up, serving(up, keys=poor) as bed:
        refused = await bed.ask(chat(max_tokens=90, **more), headers=KEY, path=path)
        assert (refused.status, refused.json["error"]["param"]) == (400, named)
        assert not up.asked
        usual = chat(max_tokens=30, max_completion_tokens=None, service_tier="auto")
        assert (await bed.ask(usual, headers=KEY, path=path)).status == 200
    async with ScriptedUpstream(behave) as free, serving(free) as bed:
        assert (await bed.ask(chat(max_tokens=90, **more), path=path)).status == 200


async def test_texts_that_are_asked_for_together_are_held_together(poor: dict[str, Any]) -> None:
    body = {"model": "tiny", "prompt": ["a", "b", "c", "d"], "max_tokens": 30}
    async with ScriptedUpstream(behave) as up, serving(up, keys=poor) as bed:
        got = await bed.ask(body, path="/v1/completions", headers=KEY)
    assert got.status == 402
    assert not up.asked


def test_the_usage_of_messages_is_read() -> None:
    usage, *_ = usage_in(b'{"type": "message_start", "message": {"usage": {"input_tokens": 3}}}')
    assert usage is not None
    assert usage.prompt_tokens == 3


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An upstream whose key is the operator's."""
    monkeypatch.setenv("UP_KEY", "upstream-secret")
    return {"upstream": {"key_variable": "UP_KEY"}}


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PUT", "PATCH", "get"])
async def test_an_upstream_is_not_asked_to_show_what_it_was_sent(method: str) -> None:
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        got = await bed.ask(method=method, path="/v1/models")
    assert got.status == 405
    assert not up.asked


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/responses"),
        ("DELETE", "/v1/models/tiny"),
        ("POST", "/v1/models"),
    ],
)
async def test_nobody_lists_the_requests_of_others_or_deletes_their_models(
    method: str, path: str, shared: dict[str, Any]
) -> None:
    said = Said(body=b'{"object": "list", "data": []}')
    async with ScriptedUpstream(lambda *_: said) as up, serving(up, **shared) as bed:
        assert (await bed.ask(method=method, path=path)).status == 403
        assert not up.asked
        for way, one in (
            ("GET", "/v1/models"),
            ("GET", "/v1/responses/r-1"),
            ("DELETE", "/v1/responses/r-1"),
        ):
            assert (await bed.ask(method=way, path=one)).status == 200
    # With a key of its own a client sees its own.
    async with ScriptedUpstream(lambda *_: said) as up, serving(up) as bed:
        assert (await bed.ask(method=method, path=path)).status == 200


async def test_a_client_does_not_choose_which_account_pays(shared: dict[str, Any]) -> None:
    given = {"openai-organization": "org-2", "openai-project": "p", "x-goog-api-key": "k", "x-own": "1"}
    bodies = (chat(), chat(n=2), chat(planner={"price": 1}))
    async with ScriptedUpstream(behave) as up, serving(up, **shared) as bed:
        for body in bodies:
            assert (await bed.ask(body, headers=given)).status == 200
    assert all(one.headers["x-own"] == "1" for one in up.asked)
    assert not any(name in one.headers for one in up.asked for name in given if name != "x-own")
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        await bed.ask(chat(n=2), headers=given)
    assert given.items() <= up.asked[0].headers.items()


async def test_the_key_that_an_upstream_refuses_is_not_shown(shared: dict[str, Any]) -> None:
    def refuses(asked: Asked, place: int) -> Said:
        key = asked.headers["authorization"]
        return Said(status=401, body=json.dumps({"error": {"message": f"bad: {key} ☃"}}).encode())

    async with ScriptedUpstream(refuses) as up, serving(up, **shared) as bed:
        for body in (chat(n=2), chat(planner={"price": 1}), chat()):
            got = await bed.ask(body)
            assert b"upstream-secret" not in got.body
            assert got.status == 401
            assert "error" in got.json


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/messages", "/v1/responses"])
async def test_what_is_no_text_is_not_sent_on(path: str) -> None:
    body = b'{"model": "tiny", "max_tokens": 5, "input": "\xff\xfe", "x": "\xc0\xaf"}'
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        got = await bed.ask(body, path=path)
    assert got.status == 400
    assert not up.asked
