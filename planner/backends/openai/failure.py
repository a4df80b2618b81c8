"""How one try of a request fails, and what that is called once there are no further tries.

A try fails in transport (no connection, no answer in time, a reply that breaks off) or by a refusal (an HTTP
status, or an error in the place of a reply). Whether to try again is left to
`planner.backends.openai.patience`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from difficulty.errors import BackendError, RetryableBackendError

_RETRYABLE: Final = frozenset({408, 409, 429})
_SHORT: Final = 300
_MOST_WORDS: Final = 4000
# What servers say in the place of a status, within HTTP 200.
_BUSY: Final = ("rate limit", "rate_limit", "ratelimit", "too many requests", "overloaded", "throttl")


class Way(Enum):
    """How a try failed."""

    UNREACHABLE = "no connection to {where}, {tries} ({words})"
    LATE = "no answer in time from {where}, {tries}; raise timeout_seconds or lower max_concurrency"
    BROKEN = "the reply of {where} broke off, {tries} ({words})"
    REFUSED = "{where} refused with HTTP {status}: {words}"


class Failed(Exception):
    """One try failed.

    Parameters
    ----------
    way : Way
        How.
    words : str
        What the server, or the transport, said.
    status : int, optional
        HTTP status of a refusal.
    retry_after : float, optional
        Seconds after which the server wants to be asked again.
    """

    def __init__(
        self, way: Way, words: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.way, self.words, self.status, self.retry_after = way, words, status, retry_after
        super().__init__(words)

    @property
    def retryable(self) -> bool:
        """Whether another try may mend it."""
        return self.status is None or self.status in _RETRYABLE or self.status >= 500

    def error(self, where: str, tries: int) -> BackendError:
        """Return the error that a caller sees after `tries` failed tries."""
        kind = RetryableBackendError if self.retryable else BackendError
        words = self.words if len(self.words) <= _SHORT else self.words[:_SHORT] + " …"
        times = "1 try" if tries == 1 else f"{tries} tries"
        reason = self.way.value.format(where=where, tries=times, words=words, status=self.status)
        return kind(reason, status=self.status, failed_requests=tries, retry_after=self.retry_after)


def words_of(body: object) -> str:
    """Return what a server says in the body of an error, in printable characters.

    Examples
    --------
    >>> words_of({"error": {"message": "slow down", "code": 429}})
    'slow down'
    >>> words_of({"detail": [{"loc": ["body", "seed"]}]})
    "[{'loc': ['body', 'seed']}]"
    """
    said: object = body
    if isinstance(body, dict):
        error = body.get("error")
        inner = error if isinstance(error, dict) else body
        said = inner.get("message") or inner.get("detail") or error or body
    text = said if isinstance(said, str) else str(said)
    return "".join(c if c.isprintable() else " " for c in text[:_MOST_WORDS]).strip()


def refusal_in(body: dict[str, Any]) -> Failed | None:
    """Return the refusal that a reply with HTTP 200 is, or None where it names no status of one.

    Examples
    --------
    >>> refusal_in({"error": {"message": "Rate limit exceeded", "code": 429}}).status
    429
    >>> refusal_in({"error": "out of memory"}) is None
    True
    """
    error = body.get("error")
    places = [part for part in (error, body) if isinstance(part, dict)]
    for part in places:
        for name in ("code", "status", "status_code"):
            status = part.get(name)
            if isinstance(status, str) and status.isascii() and status.isdigit() and len(status) == 3:
                status = int(status)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600:
                return Failed(Way.REFUSED, words_of(body), status=status)
    said = " ".join(
        str(part.get(name))[:_SHORT] for part in places for name in ("message", "type", "code", "error")
    ).lower()
    if any(word in said for word in _BUSY):
        return Failed(Way.REFUSED, words_of(body), status=429)
    return None
