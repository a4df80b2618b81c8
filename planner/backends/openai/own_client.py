"""One try of a request over an HTTP client that the caller brought: `httpx.AsyncClient`, or httpx2's.

Its proxies, certificates and transports are used as they are; bounds in seconds and in bytes, redirects and
refusals are treated as over our own pool (`planner.backends.openai.client`). The client is the caller's: it
is never closed here.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError
from planner.backends.openai.client import read_refusal
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.sending import HEADERS, Connection, Errors, Sender, unpacked

_LIBRARIES: Final = ("httpx", "httpx2")


class ClientLine(Sender):
    """Sends over a client of the caller's, with a cap on the requests in flight.

    Parameters
    ----------
    connection : Connection
        Address, key and bounds.
    client : httpx.AsyncClient
        Of httpx or httpx2.
    """

    def __init__(self, connection: Connection, client: Any) -> None:
        library = library_of(client)
        unreachable = (library.ConnectError, library.ProxyError)
        super().__init__(
            connection, Errors((TimeoutError, library.TimeoutException), unreachable, library.HTTPError)
        )
        self._client = client

    async def close(self) -> None:
        """Leave the client open: it is the caller's."""

    async def _try(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        connection = self._connection
        headers = {
            **HEADERS,
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
                    broken=self._errors.broken,
                )
            length = response.headers.get("Content-Length", "")
            await unpacked(pieces, packing, int(length) if length.isdigit() else 0, take)


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def library_of(client: object, *kinds: str) -> Any:
    """Return the library that a client is of: httpx or httpx2.

    Parameters
    ----------
    client : object
        The client.
    *kinds : str
        What it may be; by default ``"AsyncClient"``.

    Raises
    ------
    InvalidInputError
        When it is none.
    """
    kinds = kinds or ("AsyncClient",)
    for base in type(client).__mro__:
        name = base.__module__.partition(".")[0]
        if base.__name__ in kinds and name in _LIBRARIES:
            return sys.modules[name]
    allowed = " or ".join(f"{name}.{kind}" for name in _LIBRARIES for kind in kinds)
    raise InvalidInputError(f"client must be an {allowed}, got {type(client).__name__}")
