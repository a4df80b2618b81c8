"""The sample logs that a command is given, read as one.

Lines that repeat are refused or left out, as the user asked, and what is left out is told. Everything else
about reading is left to `difficulty.log.sample_log`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from planner.commands.terminal.terminal import note

if TYPE_CHECKING:
    from difficulty.log.sample_log import SampleLog


def read_logs(paths: Sequence[Path], on_duplicate: Literal["error", "first"]) -> SampleLog:
    """Read and merge logs.

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

    for path in filter(Path.is_file, paths):
        if kind_of(path) not in ("table", "sample_log"):
            raise InvalidInputError(
                f"{path} is another tool's log; make a sample log of it first: planner import {path}"
            )
    log = SampleLog.read(*paths, on_duplicate=on_duplicate)
    refuse_redacted(log)
    n_left_out = log.about.get("duplicates_left_out")
    if n_left_out:
        note(f"left out: {n_left_out} that repeat the prompt and generator of an earlier line")
    return log


def note_near_duplicates(log: SampleLog) -> None:
    """Say how many prompts of a log are nearly the same question as another one, where any are."""
    near = log.near_duplicates()
    if near.n_prompts:
        note(
            f"{near.n_prompts} of {len(log)} prompts are near-duplicates of another one "
            f"({near.n_groups} groups, which stay together)"
        )
