"""What sends one try of a request: our own pool, or a client of the caller's.

Both bound a try in seconds and in bytes and raise the same errors. It assumes one event loop per sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from planner.backends.openai.request import RequestStyle


class Sender(Protocol):
    """Sends requests; `users` calls share it."""

    slots: asyncio.Semaphore
    finding_out: asyncio.Lock
    users: int

    async def send(
        self, style: RequestStyle, body: Mapping[str, object], take: Callable[[bytes], bool]
    ) -> None:
        """Send a request once; see `planner.backends.openai.client.Line.send`."""
        ...

    async def close(self) -> None:
        """Close what is its own."""
        ...
