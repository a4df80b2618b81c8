"""One open connection pool to an OpenAI-compatible server, and one try of a request over it.

A try is bounded in seconds, from connecting to the last byte, and in bytes. It assumes one event loop per
pool. Whether to try again, what is sent and how replies are read is left to the neighbours.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from io import BytesIO
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from difficulty.errors import InvalidResponseError, require
from planner.backends.openai.failure import Failed, Way, words_of
from planner.backends.openai.patience import retry_after
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.sending import HEADERS, Connection, Errors, Sender, unpacked
from planner.backends.openai.unpacking import Unpacking

_LONGEST_REFUSAL: Final = 2**16
_LARGE: Final = 2**20
_KEPT_SECONDS: Final = 3.0  # how long an idle connection is kept: many servers drop theirs after five
# A stream that has said that it is done is given this long to end, so that its connection can be used again.
_SECONDS_TO_END: Final = 0.05


class Line(Sender):
    """A pool that is open on one event loop, with a cap on the requests in flight."""

    def __init__(self, connection: Connection) -> None:
        aiohttp: Any = require("aiohttp", extra="openai")
        super().__init__(
            connection, Errors((TimeoutError,), (aiohttp.ClientConnectorError,), aiohttp.ClientError)
        )
        self._proxy = _proxy(urlsplit(connection.base_url))
        self._session = open_session(aiohttp, headers={**HEADERS, "User-Agent": "ttc-planner"})
        self._addresses: dict[str, Any] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _try(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        connection = self._connection
        async with self._session.post(
            self._address(style.path) if style.url is None else style.url,
            data=in_parts(msgspec.json.encode(body)),
            headers={"Authorization": connection.secret.header(), **style.headers},
            allow_redirects=False,  # a redirect could carry the prompt, or the key, to another host
            proxy=self._proxy,
        ) as response:
            if not 200 <= response.status < 300:
                raise await read_refusal(
                    response.status, response.headers, response.content.iter_any(), broken=self._errors.broken
                )
            packing, length = response.headers.get("Content-Encoding", ""), response.content_length or 0
            if await unpacked(response.content.iter_any(), packing, length, take):
                await self._end(response)

    def _address(self, path: str) -> Any:
        """Return the address of an endpoint, read once."""
        known = self._addresses.get(path)
        if known is None:
            from yarl import URL

            known = self._addresses[path] = URL(self._connection.url(path))
        return known

    async def _end(self, response: Any) -> None:
        """Wait a moment for the end of a reply that has said all, so that the connection can be kept."""
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await response.content.readany()
        except (TimeoutError, self._errors.broken):
            response.close()


def open_session(aiohttp: Any, *, headers: Mapping[str, str] | None = None, **limits: float) -> Any:
    """Open a pool that sends what it is given and nothing of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(), keepalive_timeout=_KEPT_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, **limits),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a .netrc would send its password in the place of the key
        headers=headers,
    )


def in_parts(content: bytes) -> bytes | BytesIO:
    """Return a body as it is given to the client: a large one in parts, and the loop goes on meanwhile."""
    return content if len(content) <= _LARGE else BytesIO(content)


async def read_refusal(
    status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes], *, broken: type[Exception]
) -> Failed:
    """Read what a refusal says, as far as it comes.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : mapping of str to str
        Of the reply, in any case.
    pieces : async iterator of bytes
        Its body.
    broken : type
        What the client raises where the connection breaks.
    """
    plain = {name.lower(): value for name, value in headers.items()}
    said = bytearray()
    try:
        unpacking = Unpacking(plain.get("content-encoding", ""), max_bytes=_LONGEST_REFUSAL)
        async for data in pieces:
            for piece in unpacking.feed(data):
                said += piece
    except (InvalidResponseError, broken):
        pass  # the status says enough
    try:
        words = words_of(msgspec.json.decode(said))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        words = words_of(said.decode("utf-8", "replace"))
    return Failed(Way.REFUSED, words, status=status, retry_after=retry_after(plain))


def _proxy(address: SplitResult) -> str | None:
    """Return the proxy that the environment names for an address; a server on this machine needs none."""
    host = address.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    found = getproxies().get(address.scheme)
    return None if found is None or proxy_bypass(host) else found


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates once; a new context for each pool would cost 40 ms."""
    return ssl.create_default_context()
