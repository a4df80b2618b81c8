"""The two drivers under names of their own, as tests of what both must do ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.drivers import drive
from planner.ports.outcome import Outcome
from planner.strategies.task import Task


async def run_lockstep(tasks: Sequence[Task], **settings: Any) -> list[Outcome]:
    """Run tasks in rounds."""
    return await drive(tasks, driver="lockstep", **settings)


async def run_concurrently(tasks: Sequence[Task], **settings: Any) -> list[Outcome]:
    """Run tasks as replies come."""
    return await drive(tasks, driver="concurrent", **settings)
