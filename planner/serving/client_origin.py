"""A client's own server as an origin: calls and samples go out over the HTTP client that it brought.

Its proxies, certificates, hooks and headers are used as they are, and samples go to the address that the call
itself was for. Synchronous clients send from threads. It assumes httpx or httpx2, whichever the client uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urlsplit

from planner.backends.openai import OpenAIBackend
from planner.ports.ports import Backend, Completion, SampleRequest
from planner.serving.exchange import Answer, Call, Pieces, end_to_end

# What the samples' requests write themselves, or what was meant for one request alone.
_WRITTEN: Final = ("content-type", "accept", "accept-encoding", "content-encoding", "idempotency-key")
# A thread that waits for a server cannot be cancelled: it waits no longer than the client would.
_SECONDS: ContextVar[float | None] = ContextVar("seconds", default=None)


class ClientOrigin:
    """Sends over an HTTP client; implements `planner.serving.origin.Origin`.

    Parameters
    ----------
    http_client : httpx.Client or httpx.AsyncClient
        Of httpx or httpx2; never closed here.
    library : module
        The one of both that it is from.
    executor : Executor, optional
        Threads that a synchronous client sends from; None for an asynchronous one.
    """

    def __init__(self, http_client: Any, library: Any, *, executor: Executor | None = None) -> None:
        self._inner, self._library, self._executor = http_client, library, executor
        self.logprobs = False  # plans that select by them ask for them
        self._backends: dict[tuple[str, str], OpenAIBackend] = {}
        self._sender = http_client if executor is None else _over_threads(library, http_client, executor)

    async def forward(self, call: Call, *, body: bytes | None = None) -> Answer:
        """Send a call on; what the client's library raises comes out as it is."""
        request = self._inner.build_request(
            call.method,
            call.url,
            headers=dict(end_to_end(call.headers.items())),
            content=call.body if body is None else body,
            timeout=call.seconds,
        )
        response = await self.send(request)
        if response.is_stream_consumed:
            unpacked = [
                (name, value)
                for name, value in response.headers.multi_items()
                if name.lower() != "content-encoding"
            ]
            return Answer(status=response.status_code, headers=end_to_end(unpacked), body=response.content)
        headers, pieces = end_to_end(response.headers.multi_items()), _Pieces(response, self._executor)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return Answer(status=response.status_code, headers=headers, body=pieces)
        whole = b"".join([piece async for piece in pieces])
        await pieces.aclose()
        return Answer(status=response.status_code, headers=headers, body=whole)

    async def send(self, request: Any) -> Any:
        """Send a request of the library and return its response, unread."""
        if self._executor is None:
            return await self._inner.send(request, stream=True)
        return await _in_thread(self._executor, lambda: self._inner.send(request, stream=True))

    def drawing(self, call: Call, fields: Mapping[str, object]) -> Backend:
        """Return what draws samples from the address of a call."""
        headers = {
            name: value
            for name, value in end_to_end(call.headers.items())
            if name not in _WRITTEN and not name.startswith("x-planner-")
        }
        return _Sampling(self, call, fields, headers)

    def backend(self, call: Call) -> OpenAIBackend:
        """Return what draws from the host of a call."""
        address = urlsplit(call.url)
        api: Literal["chat", "completions"] = (
            "chat" if call.path.endswith("/chat/completions") else "completions"
        )
        base = f"{address.scheme}://{address.netloc}"
        known = self._backends.get((base, api))
        if known is None:
            known = self._backends[base, api] = OpenAIBackend(
                base_url=base,
                api=api,
                n_choices="single",
                logprobs=self.logprobs,
                client=self._sender,
                max_concurrency=1024,
                max_retries=2,
            )
        return known


class _Sampling:
    """Draws the samples of one call."""

    draws_singly = True

    def __init__(
        self, origin: ClientOrigin, call: Call, fields: Mapping[str, object], headers: Mapping[str, str]
    ) -> None:
        self._origin, self._call, self._fields, self._headers = origin, call, fields, headers

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request."""
        backend = self._origin.backend(self._call)
        _SECONDS.set(self._call.seconds)
        rows: list[list[Completion]] = []
        for request in requests:
            view = backend.sending(
                fields=self._fields,
                headers=self._headers,
                url=_for_model(self._call.url, request.generator.model),
            )
            rows += await view.sample([request])
        return rows


class _Pieces:
    """The body of a response as it comes, in the encoding that it came in."""

    def __init__(self, response: Any, executor: Executor | None) -> None:
        self._response, self._executor = response, executor
        self._iterator: Any = response.aiter_raw() if executor is None else response.iter_raw()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._executor is None:
            piece: bytes = await anext(self._iterator)
            return piece
        found: bytes | None = await _in_thread(self._executor, lambda: next(self._iterator, None))
        if found is None:
            raise StopAsyncIteration
        return found

    async def aclose(self) -> None:
        """Close the response."""
        if self._executor is None:
            await self._response.aclose()
        else:
            await _in_thread(self._executor, self._response.close)


async def _in_thread(executor: Executor, work: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


@cache
def byte_stream(library: Any) -> Any:
    """Return the class of the library's asynchronous streams over pieces."""

    class Stream(library.AsyncByteStream):  # type: ignore[misc]  # a class of whichever library it is
        def __init__(self, pieces: Pieces) -> None:
            self._pieces = pieces

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._pieces:
                yield piece

        async def aclose(self) -> None:
            await self._pieces.aclose()

    return Stream


def _over_threads(library: Any, inner: Any, executor: Executor) -> Any:
    """Return an asynchronous client over a synchronous one, whose calls are made in threads."""

    class Transport(library.AsyncBaseTransport):  # type: ignore[misc]  # a class of whichever library it is
        async def handle_async_request(self, request: Any) -> Any:
            content = await request.aread()
            own = inner.build_request(
                request.method,
                request.url,
                headers=request.headers.raw,
                content=content,
                timeout=_SECONDS.get(),
            )
            response = await _in_thread(executor, lambda: inner.send(own, stream=True))
            stream = byte_stream(library)(_Pieces(response, executor))
            return library.Response(response.status_code, headers=response.headers.raw, stream=stream)

    return library.AsyncClient(transport=Transport())


def _for_model(url: str, model: str | None) -> str:
    """Return an address whose deployment, where it names one as Azure's do, is the model.

    Examples
    --------
    >>> _for_model("https://x.example/openai/deployments/a/chat/completions?api-version=1", "b")
    'https://x.example/openai/deployments/b/chat/completions?api-version=1'
    """
    before, mark, after = url.partition("/deployments/")
    if not mark or model is None:
        return url
    return f"{before}{mark}{quote(model, safe='')}/{after.partition('/')[2]}"
