r"""Say what a number is and write it in one way: ``1,200.50``, ``2401/2`` and ``\frac{2401}{2}`` give 1200.5.

It assumes a comma, a LaTeX comma or a narrow space for thousands and a point for decimals, as models write
English. Characters are made plain by `planner.answers.characters`, symbolic mathematics is left to
`planner.answers.mathematics`; all patterns are linear in the length of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from planner.answers.characters import plain
from planner.answers.units import without_unit

_MAX_DIGITS: Final = 300  # keeps exact arithmetic cheap for "1e999999999"
_DECIMAL: Final = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})++(?![0-9])|[0-9]++)(?:\.[0-9]++)?|(?<![0-9])\.[0-9]++)"
_TIMES: Final = r"\s{0,3}(?:×|\\times|\\cdot|\*|·|x)\s{0,3}"
_EXPONENT: Final = (
    r"\s?(?:\^|\*\*)\s?(?:\{\s?[-+]?[0-9]{1,9}\s?\}|\([-+]?[0-9]{1,9}\)|[-+]?[0-9]{1,9})(?![0-9])"
)
_PART: Final = rf"\{{\s{{0,3}}-?\s?{_DECIMAL}\s{{0,3}}\}}"
_FRACTION: Final = rf"\\[dtc]?frac\s{{0,3}}(?:{_PART}|[0-9])\s{{0,3}}(?:{_PART}|[0-9])"
_RATIO: Final = rf"{_DECIMAL}\s?/\s?{_DECIMAL}(?!\.?[0-9])(?!\s?/\s?[0-9])"
_MIXED: Final = (
    rf"[0-9]{{1,9}}+(?:\s{{0,2}}{_FRACTION}|\s{{1,2}}[0-9]{{1,9}}\s?/\s?[0-9]{{1,9}}(?![0-9]|\.[0-9]|\s?/))"
)
_POWER: Final = rf"(?:{_DECIMAL}{_TIMES}(?={_DECIMAL}\s?[*^]))?{_DECIMAL}{_EXPONENT}"
_SCIENTIFIC: Final = rf"{_DECIMAL}(?:[eE][-+]?[0-9]++(?!\w))?"
_BODY: Final = rf"(?:{_MIXED}|{_FRACTION}|{_POWER}|{_RATIO}|{_SCIENTIFIC})"
# A sign counts only where no operand stands before it, so that "5-3" ends in 3 and "(3,4)" is never 34; a
# space may follow it only after an operator, so that "10 - 7" and "Answer - 5" hold no negative number.
_SIGN: Final = r"(?:(?<![A-Za-z0-9_)\]}.^!%])[-+]|(?<=[=(<>:]\s)[-+]\s)"
_CURRENCY: Final = r"(?:\\?\$|[€£¥])"
_MIXED_IN_TEXT: Final = (
    r"(?P<whole>[0-9]{1,9}+)\s{1,2}(?P<top>[0-9]{1,9}+)\s?/\s?(?P<bottom>[0-9]{1,9}+)"
    r"(?![0-9]|\.[0-9]|\s?/)"
)
_FOUND: Final = (
    rf"(?P<passed>(?:\^|(?<=[A-Za-z}})])_)\s?(?:\{{[^{{}}]{{0,80}}\}}|[-+]?[0-9A-Za-z]++)|\b(?:[cdkm]?m|ft|in|yd)[23]\b)"
    rf"|(?P<number>(?<![0-9])(?:{_SIGN}(?:{_CURRENCY}\s?)?)?"
    rf"(?:{_MIXED_IN_TEXT}|[0-9]{{1,4}}:[0-9]{{1,4}}(?::[0-9]{{1,4}})?(?![0-9])|(?<![0-9]/){_BODY}|[0-9]++))"
)
# Nothing of it begins in another way: most of a text is passed over in a sixth of the time.
_IN_TEXT: Final = re.compile(rf"(?=[0-9.+\-\\$€£¥^_]|[cdkmfiy][mtnd]?[23])(?:{_FOUND})")
_SHAPES: Final = [re.compile(shape) for shape in (_MIXED, _FRACTION, _POWER, _RATIO, _SCIENTIFIC)]
_THOUSANDS: Final = re.compile(r"(?<=[0-9])(?:\{,\}|,?\\[,!:; ]|~|['\u2019])\s{0,3}(?=[0-9]{3}(?![0-9]))")
_DEGREES: Final = r"(?:°|\^\s*\{?\s*\\circ\s*\}?)\s*(?:[CF]|\\(?:text|mathrm)\{\s?[CF]\})?"
_ORDINAL: Final = r"(?<=[0-9])(?:st|nd|rd|th|\^\{?\\text\{(?:st|nd|rd|th)\}\}?)"
_WRAPPING: Final = re.compile(
    rf"^(?:(?:US|C|A)?\\?[$€£¥]\s*)|(?:\s*(?:\\?%|\\?\$|€|£|{_DEGREES}|{_ORDINAL}))$"
)
_REPEATING: Final = re.compile(
    r"(?P<whole>[0-9]{0,50})\.(?P<fixed>[0-9]{0,50})\\(?:overline|dot|bar)\s?\{?(?P<period>[0-9]{1,50})\}?"
)


def numbers_in(text: str) -> Iterator[tuple[int, int]]:
    r"""Yield where the numbers of a text begin and end, in order.

    Exponents, indices and the 2 of ``m2`` are none; of "2 3/2" only the fraction is, since it is improper.

    Parameters
    ----------
    text : str
        Plain characters, thousands joined (`plain`, `join_thousands`).

    Examples
    --------
    >>> text = r"11 5/6 h, 5-3, x^2 at 12:30, \frac{3}{4} of 5 × 10^3 cm^2"
    >>> [text[start:end] for start, end in numbers_in(text)]
    ['11 5/6', '5', '3', '12:30', '\\frac{3}{4}', '5 × 10^3']
    """
    for match in _IN_TEXT.finditer(text):
        if match["number"]:
            whole, top, bottom = match.group("whole", "top", "bottom")
            improper = whole is not None and not 0 < int(top) < int(bottom)
            yield match.start("top") if improper else match.start(), match.end()


def join_thousands(text: str) -> str:
    r"""Write the thousands of LaTeX with commas.

    Examples
    --------
    >>> join_thousands(r"1{,}000, 10\,000 and 11,\! 111")
    '1,000, 10,000 and 11,111'
    """
    return _THOUSANDS.sub(",", text)


def canonical_number(text: str) -> str | None:
    r"""Return the one way to write the number that `text` is, or None when it is not a number.

    Parameters
    ----------
    text : str
        A number, possibly signed, with thousands separators, a currency or percent sign, degrees, a unit, an
        exponent or a power, as a fraction of two numbers or as a mixed number.

    Returns
    -------
    str or None
        An integer, a terminating decimal without trailing zeros, or a reduced fraction ``p/q``.

    Notes
    -----
    A unit, percent or currency sign is dropped: ``50%`` is 50, as benchmarks of word problems write it.
    Numbers of more than 300 digits are not evaluated and give None.

    Examples
    --------
    >>> canonical_number("$1,200.50"), canonical_number("6/8"), canonical_number("2 1/2")
    ('1200.5', '0.75', '2.5')
    >>> canonical_number("(3,4)") is None
    True
    """
    rest, sign = join_thousands(plain(text)).strip(), 1
    rest = without_unit(rest)
    for _ in range(2):  # "-$3" and "$-3"
        if rest[:1] in ("-", "+"):
            sign, rest = (-sign if rest[0] == "-" else sign), rest[1:].lstrip()
        rest = _WRAPPING.sub("", _WRAPPING.sub("", rest)).strip()
    value = _value(rest)
    return None if value is None else _write(sign * value)


def _value(body: str) -> Fraction | None:
    """Return the exact value of an unsigned number, or None when it is none or has too many digits."""
    if len(body) > 3 * _MAX_DIGITS:
        return None
    repeating = _REPEATING.fullmatch(body)
    if repeating:
        whole, fixed, period = repeating.group("whole", "fixed", "period")
        tail = Fraction(int(period), 10 ** len(fixed) * (10 ** len(period) - 1))
        return Fraction(f"{whole or 0}.{fixed or 0}") + tail
    shape = next((place for place, shape in enumerate(_SHAPES) if shape.fullmatch(body)), None)
    if shape is None:
        return None
    parts = [
        _decimal(part) for part in re.findall(rf"-?\s?{_DECIMAL}(?:[eE][-+]?[0-9]+)?", _spread(body, shape))
    ]
    numbers = [part for part in parts if part is not None]
    if len(numbers) < len(parts):
        return None
    match shape, numbers:
        case 0, [whole, top, bottom]:  # a mixed number has a proper fraction
            return whole + top / bottom if 0 < top < bottom else None
        case 1 | 3, [top, bottom]:
            return top / bottom if bottom else None
        case 2, [*factor, base, exponent]:
            power = _power(base, exponent)
            return power if power is None or not factor else factor[0] * power
        case 4, [value]:
            return value
    return None


def _spread(body: str, shape: int) -> str:
    """Put the parts of a number apart, so that the digits of ``\\frac12`` are two."""
    body = body.replace("**", "^")
    if shape <= 1:
        body = re.sub(r"(frac\s*(?:\{[^{}]*\})?[0-9])([0-9])", r"\1 \2", body.replace("frac", "frac "))
    return body.replace("/", " ").replace("^", " ")


def _decimal(text: str) -> Fraction | None:
    """Return the exact value of one decimal literal, or None when it has too many digits."""
    mantissa, _, exponent = text.lower().replace(",", "").replace(" ", "").partition("e")
    if len(mantissa) > _MAX_DIGITS or len(exponent) > 4 or abs(int(exponent or 0)) > _MAX_DIGITS:
        return None
    return Fraction(f"{mantissa}e{exponent or 0}")


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Return a power of moderate size, or None."""
    size = max(len(str(base.numerator)), len(str(base.denominator)))
    if exponent.denominator != 1 or abs(exponent) * size > _MAX_DIGITS or (base == 0 and exponent <= 0):
        return None
    return base ** int(exponent)


def _write(value: Fraction) -> str:
    """Write an exact value as integer, terminating decimal or reduced fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    # A terminating decimal has no more places than its denominator has bits.
    places = value.denominator.bit_length()
    shifted = abs(value) * 10**places
    if shifted.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(shifted.numerator).zfill(places + 1)
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:].rstrip('0')}"
