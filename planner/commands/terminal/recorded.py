"""The sample logs that a command is given, read as one.

Lines that repeat are refused or left out, as the user asked, and what is left out is told. Everything else
about reading is left to `difficulty.log.sample_log`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from planner.commands.terminal.options import FILE_TO_READ, fields_of, packed
from planner.commands.terminal.terminal import note

if TYPE_CHECKING:
    from difficulty.log.sample_log import SampleLog

_LOGS: Final = (
    click.argument("paths", metavar="LOG...", nargs=-1, required=True, type=FILE_TO_READ),
    click.option(
        "--on-duplicate",
        type=click.Choice(["error", "first"]),
        default="error",
        help="Lines that repeat a prompt and generator: refuse the log, or keep the first of them.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logs:
    """The files of logs that were given, and what is done about lines that repeat."""

    paths: tuple[Path, ...]
    on_duplicate: Literal["error", "first"]

    def read(self) -> SampleLog:
        """Read and merge the logs.

        Raises
        ------
        InvalidInputError
            When a file is a log of another tool.
        InvalidLogError
            When a file is not a valid log, has lines that repeat and `on_duplicate` is ``"error"``, or is a
            server's with too much taken out.
        """
        from difficulty.errors import InvalidInputError
        from difficulty.importers.kind import kind_of
        from difficulty.log.redaction import refuse_redacted
        from difficulty.log.sample_log import SampleLog

        for path in filter(Path.is_file, self.paths):
            if kind_of(path) not in ("table", "sample_log"):
                raise InvalidInputError(
                    f"{path} is another tool's log; make a sample log of it first: planner import {path}"
                )
        log = SampleLog.read(*self.paths, on_duplicate=self.on_duplicate)
        refuse_redacted(log)
        n_left_out = log.about.get("duplicates_left_out")
        if n_left_out:
            note(f"left out: {n_left_out} that repeat the prompt and generator of an earlier line")
        return log

    def __str__(self) -> str:
        return " ".join(map(str, self.paths))


logs_argument: Final = packed("logs", fields_of(Logs), _LOGS)
"""Files of sample logs, as the argument ``logs``."""


def note_near_duplicates(log: SampleLog) -> None:
    """Say how many prompts of a log are nearly the same question as another one, where any are."""
    near = log.near_duplicates()
    if near.n_prompts:
        note(
            f"{near.n_prompts} of {len(log)} prompts are near-duplicates of another one "
            f"({near.n_groups} group{'s' * (near.n_groups > 1)}, which stay together)"
        )
