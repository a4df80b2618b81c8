"""What ``planner collect`` records beside independent samples, from its options and a file of recordings.

It assumes options as they were typed; what recordings mean is left to `planner.collection.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from planner.commands.terminal.options import FILE_TO_READ, fields_of, packed
from policies.course.strategies import strategies_of_kind

if TYPE_CHECKING:
    from planner.collection.plan import Recording

_OPTIONS: Final = (
    click.option(
        "--strategy",
        type=click.Choice([*strategies_of_kind("search"), *strategies_of_kind("revision")]),
        help="Record runs of this strategy too; for several, see --recordings.",
    ),
    click.option(
        "--recordings",
        "file",
        type=FILE_TO_READ,
        help="JSON or TOML file of strategies to record, each with widths, depth, runs and params.",
    ),
    click.option("--widths", default="4", help="Sizes of the strategy: 4,16."),
    click.option("--depth", type=click.IntRange(min=1), help="Attempts per revision chain."),
    click.option("--runs", type=click.IntRange(min=1), default=1, help="Runs of each search."),
    click.option(
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="Parameter of the strategy: beam_width=4.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingOptions:
    """The options as they were given."""

    strategy: str | None
    file: Path | None
    widths: str
    depth: int | None
    runs: int
    params: tuple[str, ...]

    def read(self) -> tuple[Recording, ...]:
        """Return what is recorded beside independent samples: by the options, and what a file asks for.

        Raises
        ------
        UsageError
            When an option has no strategy that it belongs to, or is not of its form.
        """
        from planner.collection.recordings import Entry, grid, read_recordings

        asked = () if self.file is None else read_recordings(self.file)
        if self.strategy is None:
            given = {"--depth": self.depth is not None, "--runs": self.runs > 1, "--param": bool(self.params)}
            for name, is_given in given.items():
                if is_given:
                    raise click.UsageError(f"{name} goes with --strategy")
            return asked
        try:
            sizes = [int(width) for width in self.widths.split(",")]
        except ValueError as error:
            message = f"--widths must be whole numbers such as 4,16; got {self.widths!r}"
            raise click.UsageError(message) from error
        settings = dict(map(_param, self.params))
        entry = Entry(self.strategy, sizes, depth=self.depth, runs=self.runs, params=settings)
        return (*grid(entry), *asked)


recording_options: Final = packed("recordings", fields_of(RecordingOptions), _OPTIONS)
"""What is recorded beside samples, as the argument ``recordings``."""


def _param(text: str) -> tuple[str, str | int | float | bool]:
    """Read NAME=VALUE; values are JSON where they can be, else text."""
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise click.UsageError(f"--param must be NAME=VALUE, got {text!r}")
    try:
        return name, msgspec.json.decode(value, type=int | float | bool)
    except msgspec.DecodeError:
        return name, value.encode().decode("unicode_escape") if "\\" in value else value
