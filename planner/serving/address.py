"""One address of an upstream, and whether it answers: one that fails several times in a row rests.

After the rest it gets requests again, and rests longer where it fails again. Which address is asked next is
left to `planner.serving.upstream`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# Failures in a row after which an address rests, and for how long at first and at most.
_FAILURES: Final = 5
_REST: Final = (1.0, 30.0)


class Address:
    """One address of an upstream, and whether it answers.

    Parameters
    ----------
    base_url : str
        Up to ``/v1``.
    clock : callable
        Monotonic seconds.

    Examples
    --------
    >>> address = Address("http://127.0.0.1:8000/v1", clock=lambda: 0.0)
    >>> for _ in range(5):
    ...     address.failed()
    >>> address.rests
    True
    """

    def __init__(self, base_url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it gets no requests now."""
        return self._failures >= _FAILURES and self._clock() < self._rests_until

    @property
    def seconds_left(self) -> float:
        """Seconds until it is tried again."""
        return max(self._rests_until - self._clock(), 0.0) if self.rests else 0.0

    def answered(self) -> None:
        """Note that it has answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that it could not be reached, broke off or failed."""
        if self.rests:
            return  # one of many that were in flight: it says nothing new
        self._failures += 1
        if self._failures >= _FAILURES:
            rest = min(_REST[0] * 2.0 ** min(self._failures - _FAILURES, 8), _REST[1])
            self._rests_until = self._clock() + rest
