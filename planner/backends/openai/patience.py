"""Whether to try again, and how long to wait: backoff, ``Retry-After``, and servers that were never there.

All requests of a backend share one `Patience`, so that a server which has not answered anybody is given up
after its first requests, and not after each request's full number of tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final, final

from planner.backends.openai.failure import Failed, Way

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0
# A server that was never reached gets this many further tries per request …
_TRIES_UNREACHED: Final = 1
# … and one that refused this many requests to their last try, and never answered, gets none.
_GIVEN_UP: Final = 4


@final
class Patience:
    """Decides about further tries.

    Parameters
    ----------
    max_retries : int
        Tries after the first.
    timeout_seconds : float
        Limit of one try; a ``Retry-After`` above it is not waited for, and the usual wait taken instead.

    Examples
    --------
    >>> patience = Patience(max_retries=2, timeout_seconds=60.0)
    >>> patience.wait(Failed(Way.REFUSED, "busy", status=503, retry_after=3.0), failed=1)
    3.0
    >>> patience.wait(Failed(Way.REFUSED, "busy", status=503), failed=3) is None
    True
    """

    def __init__(self, *, max_retries: int, timeout_seconds: float) -> None:
        self._max_retries = max_retries
        self._timeout_seconds = timeout_seconds
        self._answered = False
        self._given_up = 0
        self._jitter = Random()

    def answered(self) -> None:
        """Note that the server has answered a request."""
        self._answered = True

    def wait(self, failure: Failed, *, failed: int) -> float | None:
        """Return seconds until the next try of a request that failed `failed` times, None to give it up."""
        if not failure.retryable:
            return None
        most = self._max_retries
        if not self._answered:
            if failure.way is Way.UNREACHABLE:
                most = min(most, _TRIES_UNREACHED)
            if self._given_up >= _GIVEN_UP:
                most = 0
        if failed > most:
            self._given_up += 1
            return None
        if failure.retry_after is not None and failure.retry_after <= self._timeout_seconds:
            return failure.retry_after
        longest = min(_FIRST_WAIT * 2.0 ** min(failed - 1, 16), _LONGEST_WAIT, self._timeout_seconds)
        return longest * (1 - 0.25 * self._jitter.random())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server wants to be left alone, None where it says nothing readable.

    Examples
    --------
    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "1"}), retry_after({})
    (2.0, 0.001, None)
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            try:
                then = parsedate_to_datetime(text)
            except ValueError:
                continue
            then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
            seconds = max(then.timestamp() - datetime.now(UTC).timestamp(), 0.0)
        if seconds >= 0:
            return seconds
    return None
