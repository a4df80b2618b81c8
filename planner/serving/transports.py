"""The handler as the transport of an HTTP client in this process: for asynchronous and for synchronous ones.

Requests that can be planned go to the handler, all others to the client's own HTTP client as they are. A
synchronous client waits for an event loop on a thread of its own. Which clients are wrapped is left to
`planner.serving.wrapping`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

from planner.serving.client_origin import ClientOrigin, byte_stream
from planner.serving.exchange import Answer, Call, Pieces
from planner.serving.handler import Handler

_Result = TypeVar("_Result")


def _call_of(request: Any, body: bytes) -> Call | None:
    """Return a request as a call, None where nothing of it can be planned."""
    path = request.url.path
    if request.method != "POST":
        return None
    for end in ("/chat/completions", "/completions", "/responses"):
        # The older addresses of Azure know no chat beside their responses.
        if path.endswith(end) and not path.endswith("/openai/responses"):
            headers = {name.lower(): value for name, value in request.headers.items()}
            return Call(
                method="POST",
                path=f"/v1{end}",
                headers=headers,
                body=body,
                url=str(request.url),
                seconds=_seconds(request),
            )
    return None


def _seconds(request: Any) -> float | None:
    """Return the client's own limit on a request."""
    limit = request.extensions.get("timeout", {}).get("read")
    return None if limit is None else float(limit)


def asynchronous(library: Any, handler: Handler, origin: ClientOrigin, inner: Any) -> Any:
    """Return an asynchronous HTTP client whose transport is the handler."""

    class Transport(library.AsyncBaseTransport):  # type: ignore[misc]  # a class of whichever library it is
        async def handle_async_request(self, request: Any) -> Any:
            call = _call_of(request, await request.aread())
            if call is None:
                response = await origin.send(request)
                return library.Response(
                    response.status_code, headers=response.headers.raw, stream=response.stream
                )
            try:
                async with asyncio.timeout(call.seconds):
                    answer = await handler.handle(call)
            except TimeoutError:
                raise library.ReadTimeout("no answer in time", request=request) from None
            return _response(library, answer, byte_stream(library))

    return library.AsyncClient(
        transport=Transport(), timeout=inner.timeout, follow_redirects=inner.follow_redirects
    )


def synchronous(library: Any, handler: Handler, origin: ClientOrigin, inner: Any) -> Any:
    """Return a synchronous HTTP client whose transport is the handler, on a loop of its own."""
    loop = _Loop()

    class Stream(library.SyncByteStream):  # type: ignore[misc]  # a class of whichever library it is
        def __init__(self, pieces: Pieces) -> None:
            self._pieces, self._iterator = pieces, aiter(pieces)

        def __iter__(self) -> Iterator[bytes]:
            while (piece := loop.run(self._next())) is not None:
                yield piece

        async def _next(self) -> bytes | None:
            return await anext(self._iterator, None)

        def close(self) -> None:
            loop.run(self._pieces.aclose())

    class Transport(library.BaseTransport):  # type: ignore[misc]  # a class of whichever library it is
        def handle_request(self, request: Any) -> Any:
            call = _call_of(request, request.read())
            if call is None:
                response = inner.send(request, stream=True)
                return library.Response(
                    response.status_code, headers=response.headers.raw, stream=response.stream
                )
            try:
                answer: Answer = loop.run(_in_time(partial(handler.handle, call), call.seconds))
            except TimeoutError:
                raise library.ReadTimeout("no answer in time", request=request) from None
            return _response(library, answer, Stream)

    return library.Client(
        transport=Transport(), timeout=inner.timeout, follow_redirects=inner.follow_redirects
    )


async def _in_time(work: Any, seconds: float | None) -> Any:
    async with asyncio.timeout(seconds):
        return await work()


class _Loop:
    """An event loop on a thread of its own, started with the first call; it ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return the result of a coroutine; where the caller is interrupted, it is cancelled."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="planner-wrap", daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _response(library: Any, answer: Answer, stream: Callable[[Pieces], Any]) -> Any:
    """Return an answer of the handler as the library's own; pieces come as its kind of stream."""
    body = answer.body
    if isinstance(body, bytes):
        return library.Response(answer.status, headers=list(answer.headers), content=body)
    return library.Response(answer.status, headers=list(answer.headers), stream=stream(body))
