"""Progress bars for commands that draw from a model here: stages as elsewhere, and the rate of drawing.

It assumes a terminal on standard error, or none. What the stages are is left to whoever calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from planner.progress import stage_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from planner.collection.collected import CollectProgress

__all__ = ["DrawBars", "draw_bars"]


class DrawBars:
    """One bar per stage.

    Parameters
    ----------
    progress : rich.progress.Progress
        With a text field ``rate``.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def tell(self, stage: str, done: int, total: int, rate: str = "") -> None:
        """Move the bar of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage_name(stage), total=total, rate=rate)
        self._progress.update(self._tasks[stage], completed=done, total=total, rate=rate)

    def collected(self, report: CollectProgress) -> None:
        """Move the bar of a collection and show its rate."""
        rate = report.usage.output_tokens / max(report.seconds, 1e-9)
        self.tell("collect", report.n_done, report.n_pieces, f"{rate:,.0f} tokens/s")


@contextmanager
def draw_bars() -> Iterator[DrawBars]:
    """Show bars on standard error while the block runs."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from planner.commands.terminal.console import PlainConsole

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=PlainConsole(stderr=True)) as progress:
        yield DrawBars(progress)
