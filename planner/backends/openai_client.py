"""One open connection pool to an OpenAI-compatible server, and what its failures are called here.

The official client retries on 408, 409, 429, 5xx, timeouts and disconnects with backoff and ``Retry-After``;
each try is counted. It assumes one event loop per pool. What is sent and how replies are read is left to the
neighbours.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, NamedTuple

from difficulty.errors import BackendError, RetryableBackendError, require

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
        openai, tries = self._openai, [0]
        _tries.set(tries)
        fields = dict(body)
        endpoint, key = (
            (self.client.chat.completions, "messages")
            if "messages" in fields
            else (self.client.completions, "prompt")
        )
        try:
            content = {key: fields.pop(key)}
            raw = await endpoint.with_raw_response.create(model=model, **content, extra_body=fields)
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
        return Sent(raw.http_response.content, max(0, tries[0] - 1))


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
