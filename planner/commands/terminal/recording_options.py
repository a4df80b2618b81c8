"""What ``planner collect`` records beside independent samples, from its options and a file of recordings.

It assumes options as they were typed; what recordings mean is left to `planner.collection.plan`.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from planner.collection.plan import Recording
from planner.collection.recordings import Entry, grid, read_recordings


def recordings_of(
    strategy: str | None,
    widths: str,
    depth: int | None,
    runs: int,
    params: tuple[str, ...],
    file: Path | None,
) -> tuple[Recording, ...]:
    """Return what is recorded beside independent samples: by the options, and what a file asks for.

    Raises
    ------
    UsageError
        When an option has no strategy that it belongs to, or is not of its form.
    """
    asked = () if file is None else read_recordings(file)
    return _by_options(strategy, widths, depth, runs, params) + asked


def _by_options(
    strategy: str | None, widths: str, depth: int | None, runs: int, params: tuple[str, ...]
) -> tuple[Recording, ...]:
    if strategy is None:
        for name, given in (("--depth", depth is not None), ("--runs", runs > 1), ("--param", bool(params))):
            if given:
                raise click.UsageError(f"{name} goes with --strategy")
        return ()
    try:
        sizes = [int(width) for width in widths.split(",")]
    except ValueError as error:
        raise click.UsageError(f"--widths must be whole numbers such as 4,16; got {widths!r}") from error
    settings = dict(_param(param) for param in params)
    return tuple(grid(Entry(strategy, sizes, depth=depth, runs=runs, params=settings)))


def _param(text: str) -> tuple[str, str | int | float | bool]:
    """Read NAME=VALUE; values are JSON where they can be, else text."""
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise click.UsageError(f"--param must be NAME=VALUE, got {text!r}")
    try:
        return name, msgspec.json.decode(value, type=int | float | bool)
    except msgspec.DecodeError:
        return name, value.encode().decode("unicode_escape") if "\\" in value else value
