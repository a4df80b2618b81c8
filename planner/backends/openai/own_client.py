"""One try of a request over an HTTP client that the caller brought: `httpx.AsyncClient`, or httpx2's.

Its proxies, certificates and transports are used as they are; bounds in seconds and in bytes, redirects and
refusals are treated as over our own pool (`planner.backends.openai.client`). The client is the caller's: it
is never closed here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError, InvalidResponseError
from planner.backends.openai.client import Connection, read_refusal
from planner.backends.openai.failure import Failed, Way, words_of
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.unpacking import ACCEPTED, MAX_REPLY_BYTES, Unpacking

_LIBRARIES: Final = ("httpx", "httpx2")


def check_client(client: object) -> None:
    """Refuse what is no asynchronous client of httpx or httpx2.

    Raises
    ------
    InvalidInputError
        When it is none.
    """
    _library(client)


class ClientLine:
    """Sends over a client of the caller's, with a cap on the requests in flight.

    Parameters
    ----------
    connection : Connection
        Address, key and bounds.
    client : httpx.AsyncClient
        Of httpx or httpx2.
    """

    def __init__(self, connection: Connection, client: Any) -> None:
        self._connection, self._client, self._library = connection, client, _library(client)
        self.slots = asyncio.Semaphore(connection.max_concurrency)
        self.finding_out = asyncio.Lock()
        self.users = 0

    async def close(self) -> None:
        """Leave the client open: it is the caller's."""

    async def send(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        """Send a request once; see `planner.backends.openai.client.Line.send`."""
        library = self._library
        # Raised after the handlers: a client's error holds the request with its key, and must not be chained.
        try:
            async with asyncio.timeout(self._connection.timeout_seconds):
                await self._try(style, body, take)
                return
        except (TimeoutError, library.TimeoutException):
            failure = Failed(Way.LATE, "")
        except (library.ConnectError, library.ProxyError) as error:
            failure = Failed(Way.UNREACHABLE, words_of(f"{type(error).__name__}: {error}"))
        except (library.HTTPError, OSError) as error:
            failure = Failed(Way.BROKEN, words_of(f"{type(error).__name__}: {error}"))
        raise failure

    async def _try(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        connection = self._connection
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": ACCEPTED,
            **({"Authorization": connection.secret.header()} if connection.secret.known else {}),
            **style.headers,
        }
        async with self._client.stream(
            "POST",
            connection.url(style.path) if style.url is None else style.url,
            content=msgspec.json.encode(body),
            headers=headers,
            timeout=None,
            follow_redirects=False,
        ) as response:
            # A transport may hand over a response that has been read, and unpacked, already.
            read = bool(response.is_stream_consumed)
            packing = "" if read else response.headers.get("Content-Encoding", "")
            pieces = _whole(response.content) if read else response.aiter_raw()
            if not 200 <= response.status_code < 300:
                raise await read_refusal(
                    response.status_code,
                    {**response.headers, "content-encoding": packing},
                    pieces,
                    broken=self._library.HTTPError,
                )
            length = response.headers.get("Content-Length", "")
            if length.isdigit() and int(length) > MAX_REPLY_BYTES:
                raise InvalidResponseError(f"the reply is larger than {MAX_REPLY_BYTES / 2**20:g} MiB")
            unpacking = Unpacking(packing)
            async for data in pieces:
                done = False
                for piece in unpacking.feed(data):
                    done = take(piece)
                if done:
                    break


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _library(client: object) -> Any:
    """Return the module whose asynchronous client it is."""
    for base in type(client).__mro__:
        name = base.__module__.partition(".")[0]
        if base.__name__ == "AsyncClient" and name in _LIBRARIES:
            return sys.modules[name]
    raise InvalidInputError(
        f"client must be an httpx.AsyncClient or httpx2.AsyncClient, got {type(client).__name__}"
    )
