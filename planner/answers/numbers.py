"""Write numbers that mean the same in one way: ``1,200.50``, ``1200.5`` and ``2401/2`` become ``1200.5``.

It assumes decimal digits, a comma for thousands and a point for decimals, as English-language models write
them. Finding the number in a completion is left to `planner.answers.rules`, symbolic mathematics to
`planner.answers.mathematics`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

__all__ = ["NUMBER", "canonical_number"]

_MINUS: Final = "-\u2212\u2013"
_DIGITS: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
# A sign counts only where no operand stands before it, so that "5-3" ends in 3 and "(3,4)" never becomes 34.
NUMBER: Final = re.compile(
    rf"(?:(?<![\w)\]}}.])[{_MINUS}+]\s?\$?)?(?:{_DIGITS})(?:[eE][-+]?\d+(?!\w))?(?:\s?/\s?\d+(?![\d.]))?"
)
_MAX_DIGITS: Final = 300  # keeps exact arithmetic cheap for "1e999999999"
_WRAPPING: Final = re.compile(r"^(?:US)?[$€£]\s*|\s*(?:%|\\%|°|\$)$")


def canonical_number(text: str) -> str | None:
    """Return the one way to write the number that `text` is, or None when it is not a number.

    Parameters
    ----------
    text : str
        A number, possibly signed, with thousands separators, a currency sign, a percent sign, an exponent, or
        as a fraction of two numbers.

    Returns
    -------
    str or None
        An integer, a terminating decimal without trailing zeros, or a reduced fraction ``p/q``.

    Notes
    -----
    A percent or currency sign is dropped: ``50%`` is 50, as benchmarks of word problems write it. Numbers of
    more than 300 digits are not evaluated and give None.

    Examples
    --------
    >>> canonical_number("$1,200.50"), canonical_number("6/8"), canonical_number("2/3")
    ('1200.5', '0.75', '2/3')
    >>> canonical_number("(3,4)") is None
    True
    """
    stripped = text.strip()
    sign = ""
    if stripped[:1] and stripped[0] in _MINUS + "+":
        sign = "" if stripped[0] == "+" else "-"
        stripped = stripped[1:].lstrip()
    stripped = _WRAPPING.sub("", _WRAPPING.sub("", stripped))
    if not NUMBER.fullmatch(stripped):
        return None
    parts = [_fraction(part) for part in re.split(r"\s?/\s?", stripped.replace(",", "").translate(_TO_ASCII))]
    if None in parts or (len(parts) == 2 and parts[1] == 0):
        return None
    values = [part for part in parts if part is not None]
    value = values[0] / values[1] if len(values) == 2 else values[0]
    return _write(-value if sign else value)


_TO_ASCII: Final = {ord(sign): "-" for sign in _MINUS} | {ord(" "): None}


def _fraction(text: str) -> Fraction | None:
    """Return the exact value of one decimal literal, or None when it has too many digits."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > _MAX_DIGITS or len(exponent) > 4 or abs(int(exponent or 0)) > _MAX_DIGITS:
        return None
    return Fraction(text)


def _write(value: Fraction) -> str:
    """Write an exact value as integer, terminating decimal or reduced fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
