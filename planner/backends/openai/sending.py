"""What sends one try of a request: our own pool, or a client of the caller's.

Both bound a try in seconds and in bytes and raise the same errors. It assumes one event loop per sender.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from difficulty.errors import InvalidResponseError
from planner.backends.openai.failure import Failed, Way, words_of
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.secret import Secret
from planner.backends.openai.unpacking import ACCEPTED, MAX_REPLY_BYTES, Unpacking

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": ACCEPTED,
}
"""What every request says of itself and of the reply."""


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


class Errors(NamedTuple):
    """What a library raises beside `OSError` where a reply is late, nobody is reached, or one broke off."""

    late: tuple[type[Exception], ...]
    unreachable: tuple[type[Exception], ...]
    broken: type[Exception]


class Sender(ABC):
    """Sends requests, with a cap on those in flight; `users` calls share it.

    Parameters
    ----------
    connection : Connection
        Address, key and bounds.
    errors : Errors
        Of the library that sends.
    """

    def __init__(self, connection: Connection, errors: Errors) -> None:
        self._connection, self._errors = connection, errors
        self.slots = asyncio.Semaphore(connection.max_concurrency)
        self.finding_out = asyncio.Lock()
        self.users = 0

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
        # Raised after the handlers: a client's error holds the request with its key, and must not be chained.
        try:
            async with asyncio.timeout(self._connection.timeout_seconds):
                await self._try(style, body, take)
                return
        except self._errors.late:
            failure = Failed(Way.LATE, "")
        except self._errors.unreachable as error:
            failure = Failed(Way.UNREACHABLE, _said(getattr(error, "os_error", error)))
        except (self._errors.broken, OSError) as error:
            failure = Failed(Way.BROKEN, _said(error))
        raise failure

    @abstractmethod
    async def _try(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        """Send a request, and let `take` have the reply."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is its own."""


async def unpacked(
    pieces: AsyncIterator[bytes], packing: str, length: int, take: Callable[[bytes], bool]
) -> bool:
    """Let `take` have a reply of `length` bytes, where that is known, and return whether it wants no more."""
    if length > MAX_REPLY_BYTES:
        raise InvalidResponseError(f"the reply is larger than {MAX_REPLY_BYTES / 2**20:g} MiB")
    unpacking = Unpacking(packing)
    async for data in pieces:
        done = False
        for piece in unpacking.feed(data):
            done = take(piece)
        if done:
            return True
    return False


def _said(error: BaseException) -> str:
    return words_of(f"{type(error).__name__}: {error}")
