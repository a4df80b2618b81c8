"""The progress bar of ``planner collect``: pieces, rates and failures; it rests while a question is asked.

It assumes that a collection tells how far it is, from its first piece on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.collection.collected import CollectProgress


class CollectingBar:
    """The progress bar: pieces, rate and failures; it rests while a question is asked."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("collecting", total=None, rate="")
        self._begun = False

    def tell(self, progress: CollectProgress) -> None:
        """Show how far the collection is."""
        if not self._begun:
            self._begun = True
            self._progress.start()
        seconds = max(progress.seconds, 1e-9)
        usage = progress.usage
        rate = f"{usage.samples / seconds:,.1f} samples/s {usage.output_tokens / seconds:,.0f} tok/s"
        failed = f", {progress.n_failures} requests failed" if progress.n_failures else ""
        self._progress.update(
            self._task, completed=progress.n_done, total=progress.n_pieces, rate=rate + failed
        )

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Stop drawing the bar for a while."""
        self._progress.stop()
        yield
        self._begun = False


@contextmanager
def collecting_bar() -> Iterator[CollectingBar]:
    """Give the bar, and take it off the screen in the end."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from planner.commands.terminal.console import PlainConsole

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=PlainConsole(stderr=True))
    try:
        yield CollectingBar(progress)
    finally:
        progress.stop()
