"""What the commands print with: results to standard output, progress and notes to standard error.

It assumes a terminal of any width, or none. Which tables there are is left to
`planner.commands.tables.shared`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Tell", "note", "print_json", "progress_bars", "results", "stage_name"]

Tell: TypeAlias = Callable[[str, int, int], None]

_STAGES: Final = {
    "curves": "what allocations are worth",
    "predictor": "difficulty predictor",
    "trials": "policy trials",
    "stopping": "stop rules",
    "stopping trials": "trials of stop rules",
    "bootstrap": "bootstrap",
    "figures": "figures",
    "verifier": "learned verifier",
    "model": "load the model",
    "collect": "collect samples",
    "rehearsals": "rehearse on recorded samples",
    "live": "run live",
}


def stage_name(stage: str) -> str:
    """Return what a stage is called beside its bar."""
    return _STAGES.get(stage, stage)


def results() -> Console:
    """Return the console of standard output; figures in text are not coloured, paths are not wrapped."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def note(message: str) -> None:
    """Print a remark for people to standard error."""
    click.echo(f"note: {message}", err=True)


def print_json(document: object) -> None:
    """Print one JSON document to standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Show one bar per stage on standard error while the block runs.

    Yields
    ------
    callable
        To be called with (stage, done, total).
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage_name(stage), total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield tell
