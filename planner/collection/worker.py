"""Who draws the shards of a collection: the port, and the worker of this process.

A worker yields results in any order and writes no log; the session records them. Many workers at once are
left to `planner.collection.ray`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol, final

from planner.collection.plan import CollectPlan, Piece
from planner.collection.shard import ShardResult, draw_shard
from planner.drivers import Limits, RunLog
from planner.drivers.session import DriverName, OnProgress
from planner.ports.ports import Backend, Verifier

# A server sees few stragglers at the end of a large shard; an engine in this process draws a shard in one
# call, so that a kill loses no more than that.
_SHARD_SIZE: Final[Mapping[str, int]] = {"concurrent": 2048, "lockstep": 64}


class Wanted(NamedTuple):
    """What is to be drawn.

    Parameters
    ----------
    plan : CollectPlan
        What is collected.
    shards : sequence of sequence of Piece
        What is drawn together.
    limits : callable
        Asked before each shard what may still be spent; None stops.
    journal : path
        A file for answered requests, for workers that can use it.
    progress : callable
        Called after each prompt, by workers that can.
    """

    plan: CollectPlan
    shards: Sequence[Sequence[Piece]]
    limits: Callable[[], Limits | None]
    journal: Path
    progress: OnProgress


class CollectWorker(Protocol):
    """Draws shards."""

    @property
    def shard_size(self) -> int:
        """Pieces that are drawn together."""
        ...

    def draw(self, wanted: Wanted) -> AsyncGenerator[ShardResult, None]:
        """Yield the result of each shard as it ends."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LocalWorker:
    """Draws shard after shard in this process; implements `CollectWorker`.

    Parameters
    ----------
    backend : Backend
        Draws.
    verifier : Verifier, optional
        Scores.
    driver : {"concurrent", "lockstep"}
        How requests are sent.
    """

    backend: Backend
    verifier: Verifier | None = None
    driver: DriverName = "concurrent"

    @property
    def shard_size(self) -> int:
        """Pieces that are drawn together: many for servers, few for engines that take a shard in one call."""
        return _SHARD_SIZE[self.driver]

    async def draw(self, wanted: Wanted) -> AsyncGenerator[ShardResult, None]:
        """Yield the result of each shard; the journal is dropped once a shard is recorded without a gap."""
        plan, shards, limits, journal, progress = wanted
        for shard in shards:
            left = limits()
            if left is None:
                return
            with RunLog.open(journal, resume=True) as log:
                result = await draw_shard(
                    plan,
                    shard,
                    backend=self.backend,
                    verifier=self.verifier,
                    limits=left,
                    driver=self.driver,
                    journal=log,
                    progress=progress,
                )
            yield result
            if not result.unfinished:
                journal.unlink(missing_ok=True)
