"""The handler behind a socket: an ASGI application, for uvicorn or any other server of that kind.

Bodies are read up to a limit; a client that goes away takes its work with it; the end of the application
waits for nothing and closes what is open. What is answered is the handler's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from planner.serving.exchange import Answer, Call
from planner.serving.handler import Handler
from planner.serving.refusal import Refusal

__all__ = ["Application", "Opened"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MOST_HEADERS: Final = 200


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
    max_body_bytes : int
        Size of a body.
    """

    def __init__(self, handler: Handler, opened: Sequence[Opened], *, max_body_bytes: int) -> None:
        self._handler, self._opened, self._most = handler, tuple(opened), max_body_bytes

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
                for one in self._opened:
                    await one.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                for one in reversed(self._opened):
                    await one.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = await self._read(scope, receive)
        except Refusal as refusal:
            await _send(refusal.answer(), send)
            return
        if call is None:
            return
        work = asyncio.create_task(self._answer(call, send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def _answer(self, call: Call, send: Send) -> None:
        await _send(await self._handler.handle(call), send)

    async def _read(self, scope: Scope, receive: Receive) -> Call | None:
        """Return the call, None where the client went away."""
        if len(scope["headers"]) > _MOST_HEADERS:
            raise Refusal(400, f"there are more than {_MOST_HEADERS} headers")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._most:
            raise Refusal(413, f"the body is larger than {self._most} bytes")
        pieces, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._most:
                raise Refusal(413, f"the body is larger than {self._most} bytes")
            pieces.append(piece)
            if not message.get("more_body"):
                break
        return Call(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=pieces[0] if len(pieces) == 1 else b"".join(pieces),
        )


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Answer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers]
    if isinstance(answer.body, bytes):
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        return
    pieces = answer.body
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except Refusal:
        return  # it broke off half-way: without its end, the server drops the connection
    finally:
        await pieces.aclose()
    await send({"type": "http.response.body", "body": b""})
