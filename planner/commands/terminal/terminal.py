"""What the commands print with: results to standard output, progress and notes to standard error.

It assumes a terminal of any width, or none. Which tables there are is left to
`planner.commands.tables.shared`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import click
import msgspec

from difficulty.printable import printable, printable_json
from planner.progress import stage_name

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Tell", "note", "print_json", "progress_bars", "results", "say", "say_json"]

Tell: TypeAlias = Callable[[str, int, int], None]


def results(*, error: bool = False) -> Console:
    """Return the console of standard output, or of standard error; figures in text are not coloured."""
    from planner.commands.terminal.console import PlainConsole

    return PlainConsole(stderr=error)


def say(message: str, *, error: bool = False) -> None:
    """Print a line for people, without what would steer their terminal; to standard error where asked."""
    click.echo(printable(message), err=error)


def note(message: str) -> None:
    """Print a remark for people to standard error."""
    say(f"note: {message}", error=True)


def print_json(document: object) -> None:
    """Print one JSON document to standard output."""
    say_json(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def say_json(document: bytes) -> None:
    """Print JSON, or lines of it, to standard output as it is, with its line ends."""
    click.echo(printable_json(document.decode()), nl=False)


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Show one bar per stage on standard error while the block runs.

    Yields
    ------
    callable
        To be called with (stage, done, total).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from planner.commands.terminal.console import PlainConsole

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=PlainConsole(stderr=True)) as progress:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage_name(stage), total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield tell
