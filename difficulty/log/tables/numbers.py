"""Read numbers as tables write them: with decimal points or commas, and marks or blanks between thousands.

It assumes that a table keeps to one way of writing: one cell that can be read in one way only decides for
all. Numbers that are numbers already, and which columns hold any, are left to the callers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# Thousands: 1.024 and 1.024.000, but not 0.125. What fits neither thousands nor decimals is no number.
_GROUPS: Final = r"[-+]?[1-9]\d{{0,2}}(?:{0}\d{{3}})+"
_BY_POINTS: Final = re.compile(_GROUPS.format(r"\."))
_BY_COMMAS: Final = re.compile(_GROUPS.format(","))
_MANY_BY_POINTS: Final = re.compile(_GROUPS.format(r"\.") + r"(?:\.\d{3}|,\d+)")
_MANY_BY_COMMAS: Final = re.compile(_GROUPS.format(",") + r"(?:,\d{3}|\.\d+)")
_WITH_POINT: Final = re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?")
_WITH_COMMA: Final = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_BETWEEN: Final = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")


def decimals_are_commas(columns: Iterable[Iterable[object]], *, counts: Iterable[Iterable[object]]) -> bool:
    """Say whether numbers that are texts have decimal commas, as spreadsheets of many countries write them.

    Parameters
    ----------
    columns : iterable of columns
        Cells of numbers of any kind.
    counts : iterable of columns
        Cells of whole numbers: where some of them are like ``512`` and others like ``1.024``, the point
        stands between thousands.

    Examples
    --------
    >>> decimals_are_commas([["0,83", "1,0"]], counts=[]), decimals_are_commas([["0.83", "1,024"]], counts=[])
    (True, False)
    >>> decimals_are_commas([], counts=[["512", "1.024"]]), decimals_are_commas([], counts=[["12.000"]])
    (True, False)
    """
    with_comma = False
    for cell in _texts(columns):
        if _MANY_BY_COMMAS.fullmatch(cell) or (
            _WITH_POINT.fullmatch(cell) and not _BY_POINTS.fullmatch(cell)
        ):
            return False
        with_comma |= bool(
            _MANY_BY_POINTS.fullmatch(cell)
            or (_WITH_COMMA.fullmatch(cell) and not _BY_COMMAS.fullmatch(cell))
        )
    if with_comma:
        return True
    for column in counts:
        cells = set(_texts([column]))
        if any(map(_BY_POINTS.fullmatch, cells)) and any(
            cell.isdecimal() and len(cell) < 4 for cell in cells
        ):
            return True
    return False


def number_of(text: str, *, decimal_comma: bool = False) -> float:
    """Return the number that a text writes.

    Raises
    ------
    ValueError
        When it writes none.

    Examples
    --------
    >>> number_of("1,024.5"), number_of("1 024"), number_of("1.024,5", decimal_comma=True)
    (1024.5, 1024.0, 1024.5)
    >>> number_of("0,83")
    Traceback (most recent call last):
    ValueError: no number: 0,83
    """
    plain = _BETWEEN.sub("", text.strip())
    if decimal_comma:
        plain = plain.translate({ord("."): ",", ord(","): "."})
    if "," in plain:
        if not (_BY_COMMAS.fullmatch(plain) or _MANY_BY_COMMAS.fullmatch(plain)):
            raise ValueError(f"no number: {text}")
        plain = plain.replace(",", "")
    return float(plain)


def _texts(columns: Iterable[Iterable[object]]) -> Iterable[str]:
    for column in columns:
        for cell in column:
            if isinstance(cell, str) and cell:
                yield cell.strip()
