"""Arguments that many functions take, checked at their door: whole numbers, and a log that was read.

What is wrong is an error that says what is allowed and what was given. What an argument means is left to
whoever takes it.
"""

from __future__ import annotations

from numbers import Integral

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog


def check_whole(name: str, value: object, *, least: int = 0) -> None:
    """Refuse what is no whole number from `least` on.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        What was given.
    least : int
        The smallest that is allowed.

    Raises
    ------
    InvalidInputError
        When it is another kind of value, or smaller.

    Examples
    --------
    >>> check_whole("n_trials", 5, least=1)
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InvalidInputError(f"{name} must be at least {least} and a whole number, got {value!r}")


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
