"""What the commands print with: results to standard output, notes to standard error.

It assumes a terminal of any width, or none. Which tables there are is left to
`planner.commands.tables.shared`.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click
import msgspec

from difficulty.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


def results(*, error: bool = False) -> Console:
    """Return the console of standard output, or of standard error; figures in text are not coloured."""
    from planner.commands.terminal.console import PlainConsole

    return PlainConsole(stderr=error)


def say(message: str, *, error: bool = False) -> None:
    """Print a line for people, without what would steer their terminal; to standard error where asked.

    A terminal gets it broken between words, whatever reads a pipe or a file in one piece.
    """
    text = printable(message)
    if (sys.stderr if error else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(
            textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
            for line in text.split("\n")
        )
    click.echo(text, err=error)


def note(message: str) -> None:
    """Print a remark for people to standard error."""
    say(f"note: {message}", error=True)


def print_json(document: object) -> None:
    """Print one JSON document to standard output."""
    say_json(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def say_json(document: bytes) -> None:
    """Print JSON, or lines of it, to standard output as it is, with its line ends."""
    click.echo(printable_json(document.decode()), nl=False)
