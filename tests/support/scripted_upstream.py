"""An OpenAI-like server on the loopback in the loop of a test: counts what it is asked, and can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is sent back; pieces are a stream, and `breaks` ends the connection instead of the stream."""

    status: int = 200
    body: bytes = b""
    pieces: Sequence[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    hangs: asyncio.Event | None = None


Behave = Callable[[Asked, int], Said | Awaitable[Said]]


def completion(body: dict[str, Any], text: str, *, finish: str = "stop", reasoning: int = 0) -> Said:
    """Answer a request with one text, whole or in pieces, one token per character."""
    chat = "messages" in body
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": max(len(text), 1) + reasoning,
        "total_tokens": 11 + max(len(text), 1) + reasoning,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    outside = {"id": "up-1", "created": 1, "model": body.get("model")}
    if not body.get("stream"):
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        kind = "chat.completion" if chat else "text_completion"
        whole = outside | {"object": kind, "choices": [choice], "usage": usage}
        return Said(body=json.dumps(whole).encode(), headers={"content-type": "application/json"})
    events = []
    outside |= {"object": "chat.completion.chunk" if chat else "text_completion"}
    for letter in text:
        delta = {"delta": {"content": letter}} if chat else {"text": letter}
        events.append(outside | {"choices": [{"index": 0, "finish_reason": None, **delta}]})
    end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    events.append(outside | {"choices": [{"index": 0, "finish_reason": finish, **end}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(outside | {"choices": [], "usage": usage})
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return Said(pieces=[*pieces, b"data: [DONE]\n\n"], headers={"content-type": "text/event-stream"})


class ScriptedUpstream:
    """Serves on a free port; `asked` has what arrived, `dropped` how often a client went away half-way."""

    def __init__(self, behave: Behave | None = None) -> None:
        self.behave: Behave = behave or (lambda asked, _: completion(asked.json, "answer: 42"))
        self.asked: list[Asked] = []
        self.dropped = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024, limit=2**26)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method=method, path=path, headers=headers, body=body)
        self.asked.append(asked)
        made = self.behave(asked, len(self.asked) - 1)
        work = asyncio.ensure_future(_said(made))
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            self.dropped += 1
            work.cancel()
            return False
        said = work.result()
        lines = [f"HTTP/1.1 {said.status} X", *(f"{name}: {value}" for name, value in said.headers.items())]
        lines.append(
            f"content-length: {len(said.body)}" if said.pieces is None else "transfer-encoding: chunked"
        )
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        if said.pieces is None:
            writer.write(said.body[: len(said.body) // 2] if said.breaks else said.body)
        else:
            for piece in said.pieces:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
            if said.hangs is not None:
                waits = asyncio.ensure_future(said.hangs.wait())
                await asyncio.wait((waits, gone), return_when=asyncio.FIRST_COMPLETED)
                self.dropped += gone.done() and not waits.done()
                waits.cancel()
            if not said.breaks:
                writer.write(b"0\r\n\r\n")
        if said.breaks or gone.done():
            return False
        await writer.drain()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        return True


async def _said(made: Said | Awaitable[Said]) -> Said:
    return made if isinstance(made, Said) else await made
