"""A service in front of scripted upstreams, asked without a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from scripted_upstream import ScriptedUpstream

from planner.serving.build import Service, build
from planner.serving.exchange import Answer, Call
from planner.serving.settings import ServeSettings

CHAT = "/v1/chat/completions"


def chat(text: str = "6 x 7?", **more: Any) -> dict[str, Any]:
    """The body of a request for a chat completion."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}


@dataclass(frozen=True)
class Got:
    """An answer whose pieces have all come."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    @property
    def text(self) -> str:
        if self.body.startswith(b"data: ") or self.body.startswith(b":"):
            choices = [one for event in self.events for one in event.get("choices", ())]
            return "".join(one["delta"].get("content") or "" for one in choices)
        content: str = self.json["choices"][0]["message"]["content"]
        return content


async def whole(answer: Answer) -> Got:
    """Take all pieces of an answer."""
    if isinstance(answer.body, bytes):
        return Got(answer.status, dict(answer.headers), answer.body)
    try:
        pieces = [piece async for piece in answer.body]
    finally:
        await answer.body.aclose()
    return Got(answer.status, dict(answer.headers), b"".join(pieces))


class Bed:
    """A service that is open."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def ask(
        self,
        body: Any = None,
        *,
        path: str = CHAT,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        call = Call(method=method, path=path, headers=dict(headers or {}), body=content)
        return await whole(await self.service.handler.handle(call))


@asynccontextmanager
async def serving(
    *upstreams: ScriptedUpstream,
    limits: Mapping[str, Any] | None = None,
    keys: Mapping[str, Any] | None = None,
    upstream: Mapping[str, Any] | None = None,
    routes: Mapping[str, Any] | None = None,
    **route: Any,
) -> AsyncIterator[Bed]:
    """Open a service with one route for everything, or with `routes`."""
    own = {"upstream": "up", "price": 1e-5, "extract": "last_number", **route}
    own = {name: value for name, value in own.items() if value is not None}
    settings = ServeSettings.from_plain(
        {
            "upstreams": {"up": {"base_urls": [one.url for one in upstreams], **(upstream or {})}},
            "routes": dict(routes or {"*": own}),
            "limits": dict(limits or {}),
            "keys": dict(keys or {}),
        }
    )
    service = build(settings)
    for one in service.opened:
        await one.start()
    try:
        yield Bed(service)
    finally:
        for one in reversed(service.opened):
            await one.close()
