"""Pieces of an answer whose end is told, however it comes: read out, dropped or broken off.

What is done at the end is left to whoever watches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import final

from planner.serving.exchange import Pieces


@final
class Watched:
    """Pieces that say once when they have ended, been dropped or broken off."""

    def __init__(self, pieces: Pieces, ended: Callable[[], None]) -> None:
        self._pieces, self._iterator, self._ended = pieces, aiter(pieces), ended
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._iterator)
        except Exception:  # a cancelled reader drops the pieces, and they have ended only then
            self._close()
            raise

    async def aclose(self) -> None:
        """Drop what has not come yet."""
        try:
            await self._pieces.aclose()
        finally:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._ended()
