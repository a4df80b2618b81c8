"""A log that was read, checked at the door of functions that take one: the name of a file is none."""

from __future__ import annotations

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog


def check_log(log: object) -> None:
    """Refuse what is no sample log, such as the name of its file.

    Raises
    ------
    InvalidInputError
        When it is something else.
    """
    if not isinstance(log, SampleLog):
        raise InvalidInputError(
            f"a SampleLog is needed, got {type(log).__name__} {str(log)[:80]!r}; read the files of one with "
            "SampleLog.read(path), other tables with read_table(path)"
        )
