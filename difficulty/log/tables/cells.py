"""Read one cell of a row of somebody's table: a name, a text, a count, a number, a verdict, or nothing.

It assumes what CSV readers, dataframes and JSON make of values: numbers as text, whole numbers as floats, NaN
and the usual words for what is missing. Which column means what is left to `difficulty.log.tables.choice`,
how numbers are written to `difficulty.log.tables.numbers`.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np

from difficulty.errors import InvalidLogError
from difficulty.log.tables.numbers import number_of

MISSING: Final = frozenset({"", "nan", "NaN", "null", "None", "<NA>", "NA", "N/A", "n/a", "#N/A"})
"""Texts that mean that there is no value, in any column but one whose answers they are."""

_NOTHING: Final = frozenset(
    ("", "nan", "null", "none", "nil", "<na>", "na", "n/a", "#n/a", "-", "--", "\u2013", "\u2014", "?")
)
"""What stands in the place of a number or a verdict that nobody knows; an answer may be such a word."""

_RIGHT: Final = (
    "c correct right true t yes y pass passed ok success successful succeeded solved accept accepted "
    "\u2713 \u2714 \u2705 "
    "wahr vrai verdadero vero waar verdadeiro prawda sant sand tosi истина"  # as spreadsheets write TRUE
)
_WRONG: Final = (
    "i incorrect wrong false f no n fail failed failure unsuccessful unsolved reject rejected \u2717 \u2718 "
    "\u2716 \u274c \u2715 falsch faux falso onwaar fałsz falskt falsk usann epätosi ложь"
)
_WORDS: Final = {
    **dict.fromkeys(_RIGHT.split(), 1.0),
    **dict.fromkeys(_WRONG.split(), 0.0),
    "p": 0.5,  # partly right, as inspect_ai writes it
}
# Of these words, those that mean nothing else; "true" may be an answer and "ok" a status.
_CLEAR: Final = frozenset((
    "correct", "right", "pass", "passed", "\u2713", "\u2714", "\u2705",
    "incorrect", "wrong", "fail", "failed", "\u2717", "\u2718", "\u2716", "\u274c", "\u2715",
))  # fmt: skip
_PLAIN: Final = frozenset((str, int, float, bool, type(None)))  # what most cells are
_MOST: Final = 2**53
_LONGEST_LIST: Final = 1_000_000  # characters of a list that is written in one cell


class Row(NamedTuple):
    """One row of a table, and where it stands.

    Attributes
    ----------
    place : int
        Number of the row, or of its line in a file, counted from 1.
    cells : mapping of str to object
        Values by column; a column that is not there is empty.
    path : str, optional
        The file.
    """

    place: int
    cells: Mapping[str, Any]
    path: str | None = None


def plain(value: Any) -> Any:
    """Return a cell as plain Python: arrays become lists, scalars of numpy numbers, decimals floats."""
    if value.__class__ in _PLAIN:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return float(value) if isinstance(value, Decimal) else value


def is_missing(value: Any) -> bool:
    """Say whether a plain cell holds nothing.

    Examples
    --------
    >>> [is_missing(value) for value in (None, float("nan"), " ", "NaN", 0, "0")]
    [True, True, True, True, False, False]
    """
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip() in MISSING
    return isinstance(value, float) and math.isnan(value)


def _is_unknown(value: Any) -> bool:
    return value.strip().lower() in _NOTHING if isinstance(value, str) else is_missing(value)


def is_records(cell: Any) -> bool:
    """Say whether a cell is a list of objects."""
    return isinstance(cell, list) and bool(cell) and all(isinstance(one, Mapping) for one in cell)


def as_text(value: Any) -> str | None:
    """Return a name, an answer or another text; whole numbers lose the ``.0`` that a table gave them.

    Raises
    ------
    InvalidLogError
        When the cell holds bytes that are no text.

    Examples
    --------
    >>> as_text(17.0), as_text("17.0"), as_text(0.5), as_text(float("nan"))
    ('17', '17.0', '0.5', None)
    """
    if isinstance(value, str):
        return None if value.strip() in MISSING else str(value)
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):  # columns of Parquet that do not say that they are texts
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InvalidLogError(f"a text is not UTF-8: {str(value)[:60]}") from error
    return str(value)


def as_number(value: Any, what: str, *, decimal_comma: bool = False) -> float | None:
    """Return a finite number, or None where the cell holds none.

    Raises
    ------
    InvalidLogError
        When the cell holds something that is no number, or an infinite one.
    """
    if _is_unknown(value):
        return None
    try:
        number = number_of(value, decimal_comma=decimal_comma) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidLogError(f"{what} must be a number, got {str(value)[:60]!r}") from error
    if math.isinf(number):
        raise InvalidLogError(
            f"{what} must be finite, got {number}; leave cells empty where nothing is known"
        )
    return None if math.isnan(number) else number


def as_count(value: Any, what: str, *, decimal_comma: bool = False) -> int | None:
    """Return a whole number; below 0, which tools write where they did not count, is None.

    Raises
    ------
    InvalidLogError
        When the cell holds something that is no whole number.

    Examples
    --------
    >>> as_count("1,024", "tokens"), as_count(33.0, "tokens"), as_count(-1, "tokens")
    (1024, 33, None)
    """
    number = as_number(value, what, decimal_comma=decimal_comma)
    if number is None or number < 0:
        return None
    if isinstance(value, bool) or not number.is_integer():
        raise InvalidLogError(f"{what} must be a whole number, got {value!r}")
    if number > _MOST:
        raise InvalidLogError(f"{what} must be at most 2**53, got {value!r}")
    return int(number)


def as_verdict(
    value: Any, what: str, *, threshold: float | None = None, decimal_comma: bool = False
) -> bool | None:
    """Read a recorded verdict as right, wrong, or (NaN, null and empty) unknown.

    Parameters
    ----------
    value : object
        A boolean, 0 or 1, or a usual word, alone or before a colon: true, yes, correct, pass, C and their
        opposites.
    what : str
        What the value is, for messages.
    threshold : float, optional
        The least mark that counts as right, where marks lie between 0 and 1 or on another scale.
    decimal_comma : bool
        How numbers are written; see `difficulty.log.tables.numbers`.

    Raises
    ------
    InvalidLogError
        When the value is neither right nor wrong: partial credit is no verdict without a threshold.

    Examples
    --------
    >>> [as_verdict(value, "accuracy") for value in (1.0, "C", False, None, "true", "0")]
    [True, True, False, None, True, False]
    >>> as_verdict("P", "score", threshold=0.5), as_verdict(0.4, "score", threshold=0.5)
    (True, False)
    >>> as_verdict("failed: timed out", "result"), as_verdict("N/A", "result")
    (False, None)
    """
    if _is_unknown(value):
        return None
    if isinstance(value, bool):
        return value
    mark = _WORDS.get(value.partition(":")[0].strip().lower()) if isinstance(value, str) else None
    if mark is None:
        try:
            mark = number_of(value, decimal_comma=decimal_comma) if isinstance(value, str) else float(value)
        except (TypeError, ValueError, OverflowError):
            mark = None
    if mark is not None and threshold is not None:
        return mark >= threshold
    if mark not in (0.0, 1.0):
        raise InvalidLogError(
            f"{what} must be 0 or 1 (or true, false, yes, no, C, I) to say whether a sample is correct, got "
            f"{str(value)[:60]!r}; choose another one, or say from which mark on a sample is right with "
            "threshold=... (--threshold)"
        )
    return mark == 1.0


def clear_verdicts(cells: Iterable[Any]) -> frozenset[float]:
    """Return the verdicts of cells that hold nothing but words which can only be verdicts; else none.

    Examples
    --------
    >>> sorted(clear_verdicts(["pass", None, "failed: timed out"])), sorted(clear_verdicts(["pass", "yes"]))
    ([0.0, 1.0], [])
    """
    found: set[float] = set()
    for cell in cells:
        word = cell.partition(":")[0].strip().lower() if isinstance(cell, str) else ""
        if word in _CLEAR:
            found.add(_WORDS[word])
        elif not is_missing(cell):
            return frozenset()
    return frozenset(found)


def as_list(value: Any) -> Any:
    """Return the list that is written in a cell of text, in JSON or in Python; anything else as it is.

    Examples
    --------
    >>> as_list("['4', None]"), as_list("[1, 0]"), as_list("4"), as_list("[x]")
    (['4', None], [1, 0], '4', '[x]')
    """
    if not isinstance(value, str) or not value.lstrip().startswith("[") or len(value) > _LONGEST_LIST:
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return value
