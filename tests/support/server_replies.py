"""Replies of an OpenAI-compatible server, piece by piece, and how they are asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from backend_contract import request
from fake_openai_server import FakeOpenAIServer, Response

from difficulty.generator import Generator
from planner.backends.openai import OpenAIBackend
from planner.ports.ports import Completion, SampleRequest

USAGE = {"prompt_tokens": 5, "completion_tokens": 3}


CAPPED = Generator(name="g", model="m", temperature=1.0, max_output_tokens=50)


def backend(server: FakeOpenAIServer, **options: Any) -> OpenAIBackend:
    return OpenAIBackend(base_url=server.url, **({"max_retries": 1, "timeout_seconds": 20.0} | options))


def ask(**more: Any) -> SampleRequest:
    return request(generator=CAPPED, **more)


def revocable(**more: Any) -> SampleRequest:
    return replace(ask(**more), revocable=True)


def choice(text: Any = "42", *, index: int = 0, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"index": index, "message": {"content": text}, "finish_reason": finish} | more


def whole(*choices: dict[str, Any], usage: Any = USAGE) -> Response:
    return Response(body=json.dumps({"choices": choices, "usage": usage}).encode())


def events(*items: Any) -> Response:
    lines = [
        item if isinstance(item, str) else f"data: {json.dumps(item, ensure_ascii=False)}\n\n"
        for item in items
    ]
    return Response(body="".join(lines).encode(), headers={"Content-Type": "text/event-stream"})


def piece(text: Any = None, *, end: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": end}]} | more


COUNTS = {"choices": [], "usage": USAGE}


DONE = "data: [DONE]\n\n"


async def one_reply(reply: Response, *, streamed: bool = False, **options: Any) -> Completion:
    """Return the sample that one reply makes; a second request is a mistake."""
    with FakeOpenAIServer(lambda _body, _index: reply) as server:
        [[sample]] = await backend(server, **options).sample([revocable() if streamed else ask()])
        assert len(server.requests) == 1
    return sample
