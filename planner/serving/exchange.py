"""What crosses the handler: a call of a client, and the answer to it, whole or as a stream of bytes.

Both are plain values that know no server and no client library, so that one handler serves a socket and a
client in process. Headers of one hop are dropped here once for everybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

_ONE_HOP: Final = frozenset(
    {
        "connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request of a client.

    Parameters
    ----------
    method : str
        In capitals.
    path : str
        From the first slash on, without the query.
    query : str
        What stands after the question mark; empty for none.
    headers : mapping of str to str
        Names in small letters.
    body : bytes
        The whole of it.
    url : str
        The whole address, where a client in process has one; empty behind a socket.
    seconds : float, optional
        How long a client in process waits for its server to say something.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
    seconds: float | None = None


class Pieces(Protocol):
    """The pieces of a body as they come."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the iterator over them."""
        ...

    async def aclose(self) -> None:
        """Drop what has not come yet."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : tuple of pairs
        Names in small letters, and values.
    body : bytes or Pieces
        The whole of it, or its pieces as they come; whoever takes them closes them.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Pieces = b""

    def header(self, name: str) -> str | None:
        """Return the value of a header, None where there is none."""
        return next((value for key, value in self.headers if key == name), None)


def end_to_end(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the headers that are meant for the other end, names in small letters.

    Examples
    --------
    >>> end_to_end([("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("X-Request-Id", "7")])
    (('x-request-id', '7'),)
    """
    given = [(name.lower(), value) for name, value in headers]
    named = {
        part.strip().lower() for name, value in given if name == "connection" for part in value.split(",")
    }
    return tuple((name, value) for name, value in given if name not in _ONE_HOP and name not in named)


def json_answer(value: object, *, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Return a value as an answer in JSON."""
    return Answer(
        status=status,
        headers=(("content-type", "application/json"), *headers),
        body=msgspec.json.encode(value),
    )


def beside(url: str, end: str) -> str:
    """Return the address of another endpoint of the same server; empty where a call has none."""
    for known in ("/chat/completions", "/completions", "/responses"):
        path, mark, query = url.partition("?")
        if path.endswith(known):
            return path.removesuffix(known) + end + mark + query
    return url


async def drop(answer: Answer) -> None:
    """Drop an answer that nobody wants."""
    if not isinstance(answer.body, bytes):
        await answer.body.aclose()
