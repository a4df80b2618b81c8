"""The handler behind a socket: an ASGI application, for uvicorn or any other server of that kind.

Bodies are read up to a limit, of clients that may come in; a client that goes away takes its work with it;
when the server ends, whoever still waits is told, and all is closed. What is answered is left to the handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

from difficulty.errors import PlannerError
from planner.serving.exchange import Answer, Call
from planner.serving.handler import Handler
from planner.serving.refusal import Refusal
from planner.serving.settings import Limits

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MOST_HEADERS: Final = 200
_LAST_SECONDS: Final = 2.0
_ENDING: Final = Refusal(503, "the server is stopping; try again", code="server_stopping", retry_after=1)
MOST_HEADER_BYTES: Final = 2**16
"""Size of all headers of a request."""


class Opened(Protocol):
    """What is opened before the first call and closed after the last."""

    async def start(self) -> None:
        """Open it."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Application:
    """An ASGI application.

    Parameters
    ----------
    handler : Handler
        Answers calls.
    opened : sequence of Opened
        Opened in order, closed in the opposite order.
    limits : Limits
        Sizes of bodies, and how long clients may take.
    """

    def __init__(self, handler: Handler, opened: Sequence[Opened], *, limits: Limits) -> None:
        self._handler, self._opened, self._limits = handler, tuple(opened), limits
        self._held_bytes = 0
        self._serving = set[asyncio.Task[None]]()
        self.failed: PlannerError | None = None  # why it could not be opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the protocol."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    for one in self._opened:
                        await one.start()
                except PlannerError as error:
                    self.failed = error
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._serving:  # they were cancelled, and have only to say so
                    await asyncio.wait(self._serving, timeout=_LAST_SECONDS)
                for one in reversed(self._opened):
                    await one.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, task = _Size(), asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve_one(scope, receive, send, size)
        finally:
            self._serving.discard(task)
            self._held_bytes -= size.held

    async def _serve_one(self, scope: Scope, receive: Receive, send: Send, size: _Size) -> None:
        seconds = self._limits.client_seconds
        try:
            call = self._head(scope)
            self._handler.greet(call)
            async with asyncio.timeout(seconds):
                body = await self._body(receive, size)
        except TimeoutError:
            body, refusal = None, Refusal(408, f"the request did not come within {seconds:g} seconds")
            await self._send(refusal.answer(), send)
        except Refusal as refusal:
            body = None
            await self._send(refusal.answer(), send)
        if body is None:
            return
        call = replace(call, body=body)
        begun = False

        async def begin(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        work = asyncio.create_task(self._answer(call, begin))
        gone = asyncio.create_task(_gone(receive))
        ending = False
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the server has waited for as long as it does when it ends
            ending = True
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if ending and not begun:
            await self._send(_ENDING.answer(), send)
        elif not work.cancelled():
            work.result()

    async def _answer(self, call: Call, send: Send) -> None:
        await self._send(await self._handler.handle(call), send)

    def _head(self, scope: Scope) -> Call:
        """Return the call without its body."""
        if len(scope["headers"]) > _MOST_HEADERS:
            raise Refusal(431, f"there are more than {_MOST_HEADERS} headers")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            raise Refusal(431, f"the headers are larger than {MOST_HEADER_BYTES} bytes")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        length = headers.get("content-length", "")
        if length and "transfer-encoding" in headers:
            raise Refusal(400, "the body comes in chunks and with a length; servers differ in what they read")
        if length.isascii() and length.isdigit() and int(length) > self._limits.max_body_bytes:
            raise self._too_large()
        return Call(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
        )

    async def _body(self, receive: Receive, size: _Size) -> bytes | None:
        """Return the body, None where the client went away."""
        pieces = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            size.held += len(piece)
            self._held_bytes += len(piece)
            if size.held > self._limits.max_body_bytes:
                raise self._too_large()
            if self._held_bytes > self._limits.max_held_bytes:
                raise Refusal(503, "too much is in flight; try again later", code="overloaded", retry_after=1)
            pieces.append(piece)
            if not message.get("more_body"):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._limits.max_body_bytes} bytes")

    async def _send(self, answer: Answer, send: Send) -> None:
        """Send an answer; a client that takes none of it for too long is left."""
        seconds = self._limits.client_seconds

        async def out(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(seconds):
                await send(message)

        headers = [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers
        ]
        if isinstance(answer.body, bytes):
            headers.append((b"content-length", str(len(answer.body)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        pieces = answer.body
        try:
            await out({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for piece in pieces:
                await out({"type": "http.response.body", "body": piece, "more_body": True})
        except (Refusal, TimeoutError):
            return  # it broke off half-way: without its end, the server drops the connection
        finally:
            await pieces.aclose()
        await send({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class _Size:
    """Bytes of its body that one request holds."""

    held: int = 0


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
