"""Arguments that many functions and settings take, checked at their door: numbers, and one of several names.

What is wrong is an error that says what is allowed and what was given. What an argument means is left to
whoever takes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from typing import Final, Literal, TypeAlias

from difficulty.errors import InvalidInputError

Range: TypeAlias = Literal["above 0", ">= 0", "in (0, 1]", "in (0, 1)", "in [0, 1)", "in [0, 1]", "finite"]

_WITHIN: Final[Mapping[Range, Callable[[float], bool]]] = {
    "above 0": lambda value: 0 < value < math.inf,
    ">= 0": lambda value: 0 <= value < math.inf,
    "in (0, 1]": lambda value: 0 < value <= 1,
    "in (0, 1)": lambda value: 0 < value < 1,
    "in [0, 1)": lambda value: 0 <= value < 1,
    "in [0, 1]": lambda value: 0 <= value <= 1,
    "finite": math.isfinite,
}


def check_number(
    name: str,
    value: object,
    within: Range,
    *,
    optional: bool = False,
    error: type[InvalidInputError] = InvalidInputError,
) -> None:
    """Refuse what is no finite number of a range.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        What was given.
    within : {"above 0", ">= 0", "in (0, 1]", "in (0, 1)", "in [0, 1)", "in [0, 1]", "finite"}
        What is allowed.
    optional : bool
        Allow None, for an argument that may be left out.
    error : type
        What to raise.

    Examples
    --------
    >>> check_number("threshold", 0.6, "in (0, 1]")
    """
    if optional and value is None:
        return
    if isinstance(value, bool) or not (isinstance(value, Real) and _WITHIN[within](_float(value))):
        sort = "lie" if within.startswith("in") else "be a finite number"
        raise error(f"{name} must {sort}{'' if within == 'finite' else f' {within}'}, got {value!r}")


def _float(value: Real) -> float:
    """Return a number as a float; one that is too large for it is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_whole(
    name: str,
    value: object,
    *,
    least: int = 0,
    most: int | None = None,
    error: type[InvalidInputError] = InvalidInputError,
) -> None:
    """Refuse what is no whole number from `least` to `most`.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        What was given.
    least : int
        The smallest that is allowed.
    most : int, optional
        The largest.
    error : type
        What to raise.

    Examples
    --------
    >>> check_whole("n_trials", 5, least=1)
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise error(f"{name} must be at least {least} and a whole number, got {value!r}")
    if most is not None and int(value) > most:
        raise error(f"{name} must be at most {most:,}, got {value!r}")


def check_choice(
    name: str, value: str, allowed: Collection[str], *, error: type[InvalidInputError] = InvalidInputError
) -> None:
    """Refuse what is none of the allowed names.

    Examples
    --------
    >>> check_choice("scope", "batch", ("prompt", "batch"))
    """
    if value not in allowed:
        raise error(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
