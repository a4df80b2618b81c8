"""An upstream that behaves badly, in a process of its own, and keeps books of all that it has written.

It delays, resets, refuses, babbles, sends no choices, dies and comes back; what it writes is one token per
character. The books are per client (the field ``user``) and apart for what was surely read, what broke off,
and what was written to a connection that closed next, which nobody can say was read. Which proxy is in front
of it is not its affair.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

BABBLE = b"<html>a proxy of somebody else</html>"
EMPTY = b'{"choices":[]}'

_NONCE = re.compile(r"nonce-\d{7}")
# Shares of each way to misbehave.
_REFUSES, _FAILS, _BABBLES, _EMPTY, _RESETS, _DAWDLES = 0.04, 0.04, 0.03, 0.03, 0.04, 0.01
_TOKENS_OF_PROMPT = 11


@dataclass
class Books:
    """What was written, by client.

    Parameters
    ----------
    read, unsure, broken : Counter
        Output tokens that were read, perhaps read, and broken off.
    samples : Counter
        Whole answers by nonce.
    requests, streams_broken, wrong_keys : int
        Requests, streams that were broken off, and requests without the upstream's own key.
    """

    read: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    streams_broken: int = 0
    wrong_keys: int = 0


class _Upstream:
    def __init__(self, seed: int, key: str) -> None:
        self._rng, self._key = random.Random(seed), f"Bearer {key}"
        self.books = Books()
        self._server: asyncio.Server | None = None
        # What was written last to each open connection: its next request shows that it was read.
        self._last: dict[asyncio.StreamWriter, tuple[str, int]] = {}
        self.port = 0

    async def live(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    def die(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._last):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._last[writer] = ("", 0)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r")[0])
                body = json.loads(await reader.readexactly(length))
                user, n = self._last[writer]
                self.books.read[user] += n
                self._last[writer] = ("", 0)
                self.books.requests += 1
                self.books.wrong_keys += self._key.lower() not in head
                written = await self._answer(reader, writer, body)
                if written is None:
                    break
                self._last[writer] = written
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            user, n = self._last.pop(writer)
            self.books.unsure[user] += n
            writer.close()

    def closed_books(self) -> Books:
        """Return the books at a moment when nothing is in flight: what stands open was read."""
        books = replace(self.books, read=Counter(self.books.read))
        for user, n in self._last.values():
            books.read[user] += n
        return books

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]
    ) -> tuple[str, int] | None:
        """Return who has been answered by how many tokens; None where the connection has to go."""
        rng, draw = self._rng, self._rng.random()
        gone = asyncio.ensure_future(reader.read(1))
        seconds = 2.0 if rng.random() < _DAWDLES else rng.expovariate(20.0)
        await asyncio.wait([gone], timeout=seconds)
        if gone.done():
            return None
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        user = body.get("user", "")
        for share, status, text in (
            (_REFUSES, 429, b'{"error": {"message": "slow down"}}'),
            (_FAILS, 500, b"oops"),
            (_BABBLES, 200, BABBLE),
            (_EMPTY, 200, EMPTY),
        ):
            if 0 <= draw < share:
                more = b"retry-after: 0\r\n" if status == 429 else b""
                writer.write(_whole(text, status, more))
                return user, 0
            draw -= share
        breaks = 0 <= draw < _RESETS
        nonce = _NONCE.findall(body["messages"][-1]["content"])[0]
        whole = f"{nonce} is {rng.choice((41, 42, 42, 42))}"
        text = whole[: body.get("max_tokens", 99)]
        finish = "stop" if text == whole else "length"
        if body.get("stream"):
            return await self._stream(writer, body, user, nonce, text, finish, breaks=breaks)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        data = _whole(json.dumps(reply | {"usage": _usage(text)}).encode())
        if breaks:
            self.books.broken[user] += len(text)
            writer.write(data[: rng.randrange(len(data))])
            await writer.drain()
            return None
        self.books.samples[nonce] += 1
        writer.write(data)
        return user, len(text)

    async def _stream(
        self,
        writer: asyncio.StreamWriter,
        body: dict[str, Any],
        user: str,
        nonce: str,
        text: str,
        finish: str,
        *,
        breaks: bool,
    ) -> tuple[str, int] | None:
        outside = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        pieces: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": letter}, "finish_reason": None}]}
            for letter in text
        ]
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            pieces.append({"choices": [], "usage": _usage(text)})
        events = [b"data: " + json.dumps(outside | piece).encode() + b"\n\n" for piece in pieces]
        events = events[: self._rng.randrange(1, len(text))] if breaks else [*events, b"data: [DONE]\n\n"]
        for at, event in enumerate(events):
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            if at % 8 == 7:  # a connection that was aborted raises here
                await writer.drain()
        if breaks:
            self.books.broken[user] += len(events)
            self.books.streams_broken += 1
            await writer.drain()
            return None
        self.books.samples[nonce] += 1
        writer.write(b"0\r\n\r\n")
        return user, len(text)


def _usage(text: str) -> dict[str, Any]:
    return {
        "prompt_tokens": _TOKENS_OF_PROMPT,
        "completion_tokens": len(text),
        "total_tokens": _TOKENS_OF_PROMPT + len(text),
    }


def _whole(body: bytes, status: int = 200, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def serve(pipe: Connection, seed: int, key: str) -> None:
    """Serve until told to stop; sends its port, and obeys ``die``, ``live`` and ``books``."""

    async def main() -> None:
        upstream = _Upstream(seed, key)
        await upstream.live()
        pipe.send(upstream.port)
        loop = asyncio.get_running_loop()
        while True:
            order = await loop.run_in_executor(None, pipe.recv)
            if order == "die":
                upstream.die()
            elif order == "live":
                await upstream.live()
            pipe.send(upstream.closed_books())

    asyncio.run(main())
