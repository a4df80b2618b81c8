"""Calls of tools that a server sends, whole or in pieces, reach the text that votes and the completion."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer, Response

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.answers.rules import ToolCalls
from planner.backends.openai import OpenAIBackend
from planner.ports.ports import Completion, SampleRequest

USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2.0}'}}
KEY = '[{"arguments": {"a": 1, "b": 2}, "name": "add"}]'


def whole(calls: object) -> Response:
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    return Response(body=json.dumps({"choices": [choice], "usage": USAGE}).encode())


def pieces() -> Response:
    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
    body = b"".join(
        [
            event({"role": "assistant", "content": "I add."}),
            event({"tool_calls": [first]}),
            event({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1,'}}]}),
            event({"tool_calls": [{"index": 0, "function": {"arguments": ' "b": 2.0}'}}]}),
            event({}, "tool_calls"),
            b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n",
            b"data: [DONE]\n\n",
        ]
    )
    return Response(body=body, headers={"Content-Type": "text/event-stream"})


def draw(server: FakeOpenAIServer, *, revocable: bool = False, api_key: str | None = None) -> Completion:
    backend = OpenAIBackend(base_url=server.url, model="m", api_key=api_key, logprobs=False, max_retries=0)
    request = SampleRequest(
        prompt=Prompt(text="1 + 2?"), generator=Generator(name="g"), n=1, seed=0, revocable=revocable
    )
    ((completion,),) = asyncio.run(backend.sample([request]))
    return completion


def test_calls_that_come_whole() -> None:
    with FakeOpenAIServer(lambda body, _: whole([CALL])) as server:
        one = draw(server)
    assert one.finish_reason == "stop"
    assert one.tool_calls == (CALL,)
    assert ToolCalls().extract(one.text, one.finish_reason) == KEY
    assert one.output_tokens == 9


def test_calls_that_come_in_pieces() -> None:
    with FakeOpenAIServer(lambda body, _: pieces()) as server:
        one = draw(server, revocable=True)
    assert one.tool_calls == (CALL,)
    assert one.text.startswith("I add.\n<tool_call>")
    assert ToolCalls().extract(one.text, one.finish_reason) == KEY


def test_the_key_is_taken_out_of_calls() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"k": "sk-secret-123"}'},
    }
    with FakeOpenAIServer(lambda body, _: whole([call])) as server:
        one = draw(server, api_key="sk-secret-123")
    assert "sk-secret" not in repr(one)


@pytest.mark.parametrize("calls", [{"a": 1}, ["x"], 3])
def test_calls_of_a_wrong_kind_break_their_choice_alone(calls: object) -> None:
    with FakeOpenAIServer(lambda body, _: whole(calls)) as server:
        one = draw(server)
    assert one.finish_reason == "error"
    assert "tool_calls must be a list" in (one.error or "")
