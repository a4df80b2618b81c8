"""One open connection pool to an OpenAI-compatible server, and what its failures are called here.

The official client retries on 408, 409, 429, 5xx, timeouts and disconnects with backoff and ``Retry-After``;
each try is counted. It assumes one event loop per pool. What is sent and how replies are read is left to the
other `openai_*` modules.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from difficulty.errors import BackendError, RetryableBackendError, require
from planner.backends.openai.stream import Pieces

__all__ = ["Connection", "Line", "Sent"]

_RETRYABLE: Final = frozenset({408, 409, 429})
_tries: Final[ContextVar[list[int]]] = ContextVar("_tries")  # HTTP tries of the request that this task sends


class Connection(NamedTuple):
    """Where and how to connect; never shown, since it holds the key."""

    base_url: str
    api_key: str | None
    max_retries: int
    timeout_seconds: float
    max_concurrency: int


class Sent(NamedTuple):
    """Body of a successful reply, and how many tries failed before it."""

    content: bytes
    failed_requests: int


class Line:
    """A client that is open on one event loop, with a cap on the requests in flight."""

    def __init__(self, connection: Connection) -> None:
        openai = require("openai", extra="openai")
        self._openai: Any = openai
        # Whichever httpx this release of the client is built on; its errors reach us while a reply streams.
        names = [base.__module__.partition(".")[0] for base in openai.DefaultAsyncHttpxClient.__mro__]
        transport = import_module(next(name for name in names if name != "openai"))
        self._transport_error: type[Exception] = transport.TransportError
        self.client: Any = openai.AsyncOpenAI(
            base_url=connection.base_url,
            api_key=connection.api_key or "none",
            max_retries=connection.max_retries,
            timeout=connection.timeout_seconds,
            http_client=openai.DefaultAsyncHttpxClient(
                verify=_tls(),
                follow_redirects=False,  # a redirect could carry the prompt, or a key, to another host
                timeout=connection.timeout_seconds,
                event_hooks={"request": [_count_try]},
            ),
        )
        self.slots = asyncio.Semaphore(connection.max_concurrency)
        self.users = 0

    async def send(self, model: str, body: Mapping[str, object]) -> Sent:
        """Send one request and return the body of the reply.

        Raises
        ------
        RetryableBackendError
            When all tries ended in a timeout, a disconnect, 408, 409, 429 or 5xx.
        BackendError
            On any other refusal; `status` has the HTTP status.
        """
        tries = [0]
        _tries.set(tries)
        with self._typed(tries):
            raw = await self._call(model, body, streaming=False)
            return Sent(raw.http_response.content, max(0, tries[0] - 1))

    async def stream(self, model: str, body: Mapping[str, object], pieces: Pieces) -> int:
        """Send one request whose reply comes in pieces, and return how many tries failed before it.

        Parameters
        ----------
        model : str
            The server's name of the model.
        body : mapping
            Fields, those of `planner.backends.openai.stream.stream_fields` among them.
        pieces : Pieces
            Takes the reply; after a cancellation it knows what has come.

        Raises
        ------
        RetryableBackendError, BackendError
            As `send`; a reply that breaks off is not asked for again.
        """
        tries = [0]
        _tries.set(tries)
        with self._typed(tries):
            async with self._call(model, body, streaming=True) as raw:
                async for line in raw.iter_lines():
                    pieces.take(line)
        return max(0, tries[0] - 1)

    def _call(self, model: str, body: Mapping[str, object], *, streaming: bool) -> Any:
        """Start the client's call."""
        fields = dict(body)
        chat = "messages" in fields
        endpoint = self.client.chat.completions if chat else self.client.completions
        content = {key: fields.pop(key) for key in ("messages" if chat else "prompt",)}
        way = endpoint.with_streaming_response if streaming else endpoint.with_raw_response
        return way.create(model=model, **content, extra_body=fields)

    @contextmanager
    def _typed(self, tries: list[int]) -> Iterator[None]:
        """Give the client's errors our names."""
        openai = self._openai
        try:
            yield
        except openai.APIStatusError as error:
            status: int = error.status_code
            kind = RetryableBackendError if status in _RETRYABLE or status >= 500 else BackendError
            reason = f"the server refused with HTTP {status}: {_short(error.message)}"
            raise kind(reason, status=status, failed_requests=tries[0]) from error
        except openai.APITimeoutError as error:
            reason = f"no answer in time, {tries[0]} tries; raise timeout_seconds or lower max_concurrency"
            raise RetryableBackendError(reason, failed_requests=tries[0]) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            reason = f"no connection, {tries[0]} tries ({_short(f'{type(cause).__name__}: {cause}')})"
            raise RetryableBackendError(reason, failed_requests=tries[0]) from error
        except openai.OpenAIError as error:
            raise BackendError(
                f"the client failed: {_short(str(error))}", failed_requests=tries[0]
            ) from error
        except self._transport_error as error:
            reason = f"the reply broke off ({_short(f'{type(error).__name__}: {error}')})"
            raise RetryableBackendError(reason, failed_requests=tries[0]) from error


async def _count_try(_request: object) -> None:
    """Count one HTTP try for the task that makes it."""
    _tries.get()[0] += 1


def _short(text: str) -> str:
    """Cut what a server says to a length that fits a message."""
    return text if len(text) <= 300 else text[:300] + " …"


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates once; a new context for each pool would cost 40 ms."""
    return ssl.create_default_context()
