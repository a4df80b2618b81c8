"""Say of what is wrong in which file it was found, where whoever found it sees only a part.

It assumes that nobody knows better: a path or a line that an error already names stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from difficulty.errors import InvalidFileError, InvalidLogError


@contextmanager
def found_in(path: str | os.PathLike[str], line: int | None = None, *, what: str = "") -> Iterator[None]:
    """Let errors that are raised inside name a file.

    Parameters
    ----------
    path : path-like
        The file, or another word for where records come from.
    line : int, optional
        Line number, counted from 1.
    what : str, optional
        What in the file is wrong; put before the reason.

    Raises
    ------
    InvalidLogError
        For a file or a log that is wrong.

    Examples
    --------
    >>> with found_in("log.jsonl", 3):
    ...     raise InvalidLogError("the answer is missing")
    Traceback (most recent call last):
    difficulty.errors.InvalidLogError: log.jsonl, line 3: the answer is missing
    """
    try:
        yield
    except (InvalidFileError, InvalidLogError) as error:
        reason = f"{what}: {error.reason}" if what else error.reason
        raise InvalidLogError(
            reason, path=error.path or os.fspath(path), line=line if error.line is None else error.line
        ) from error


@contextmanager
def read_from(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of what the system refuses inside that the file cannot be read.

    Raises
    ------
    InvalidLogError
        When it cannot.
    """
    try:
        yield
    except OSError as error:
        raise InvalidLogError(
            f"cannot read the file: {error.strerror or error}", path=os.fspath(path)
        ) from error
