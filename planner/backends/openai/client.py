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
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from difficulty.errors import InvalidResponseError, require
from planner.backends.openai.failure import Failed, Way, words_of
from planner.backends.openai.patience import retry_after
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.secret import Secret
from planner.backends.openai.unpacking import ACCEPTED, MAX_REPLY_BYTES, Unpacking

_LONGEST_REFUSAL: Final = 2**16
_LARGE: Final = 2**20
KEPT_SECONDS: Final = 3.0
"""How long an idle connection is kept: many servers drop theirs after five seconds."""
# A stream that has said that it is done is given this long to end, so that its connection can be used again.
_SECONDS_TO_END: Final = 0.05


class Connection(NamedTuple):
    """Where and how to connect."""

    base_url: str
    secret: Secret
    timeout_seconds: float
    max_concurrency: int

    @property
    def where(self) -> str:
        """The address, as messages show it: a query may hold what is nobody's business."""
        return urlsplit(self.base_url)._replace(query="", fragment="").geturl()

    def url(self, path: str) -> str:
        """Return the address of an endpoint."""
        address = urlsplit(self.base_url)
        return address._replace(path=address.path.rstrip("/") + path, fragment="").geturl()


class Line:
    """A pool that is open on one event loop, with a cap on the requests in flight."""

    def __init__(self, connection: Connection) -> None:
        aiohttp = require("aiohttp", extra="openai")
        self._aiohttp: Any = aiohttp
        self._connection = connection
        self._proxy = _proxy(urlsplit(connection.base_url))
        self._session: Any = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(), keepalive_timeout=KEPT_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # a .netrc would send its password in the place of the key
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "Accept-Encoding": ACCEPTED,
                "User-Agent": "ttc-planner",
            },
        )
        self.slots = asyncio.Semaphore(connection.max_concurrency)
        self.finding_out = asyncio.Lock()
        self.users = 0
        self._addresses: dict[str, Any] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        """Send a request once.

        Parameters
        ----------
        style : RequestStyle
            Names the endpoint and further headers.
        body : mapping
            Fields of the request.
        take : callable
            Takes the bytes of a reply with HTTP 200 as they come, and says whether it has all that it wants.

        Raises
        ------
        Failed
            When the server cannot be reached, is late, breaks off or refuses.
        InvalidResponseError
            When the reply is too large or packed in a way that was not asked for; and what `take` raises.
        """
        aiohttp = self._aiohttp
        # Raised after the handlers: a client's error holds the request with its key, and must not be chained.
        try:
            async with asyncio.timeout(self._connection.timeout_seconds):
                await self._try(style, body, take)
                return
        except TimeoutError:
            failure = Failed(Way.LATE, "")
        except aiohttp.ClientConnectorError as error:
            failure = Failed(Way.UNREACHABLE, _said(error.os_error))
        except (aiohttp.ClientError, OSError) as error:
            failure = Failed(Way.BROKEN, _said(error))
        raise failure

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
                    response.status,
                    response.headers,
                    response.content.iter_any(),
                    broken=self._aiohttp.ClientError,
                )
            if (response.content_length or 0) > MAX_REPLY_BYTES:
                raise InvalidResponseError(f"the reply is larger than {MAX_REPLY_BYTES / 2**20:g} MiB")
            unpacking = Unpacking(response.headers.get("Content-Encoding", ""))
            async for data in response.content.iter_any():
                done = False
                for piece in unpacking.feed(data):
                    done = take(piece)
                if done:
                    await self._end(response)
                    break

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
        except (TimeoutError, self._aiohttp.ClientError):
            response.close()


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


def _said(error: BaseException) -> str:
    return words_of(f"{type(error).__name__}: {error}")


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
