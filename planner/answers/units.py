r"""Take the unit from behind a number: ``5 cm``, ``12\text{ cm}^2``, ``3 \text{ apples}``, ``60 mph``.

The question says which unit is meant, so that an answer may name it or not; two answers that name different
units differ (`unit_of`). Plain words count only where they are well-known units, words in ``\text{}`` unless
they scale the number (``million``) or go on (``or``).
"""

from __future__ import annotations

import re
from typing import Final

_ALIASES: Final[dict[str, str]] = {
    spelling: symbol
    for symbol, spellings in {
        "mm": "mm millimeter millimeters millimetre millimetres",
        "cm": "cm cms centimeter centimeters centimetre centimetres",
        "m": "m meter meters metre metres",
        "km": "km kms kilometer kilometers kilometre kilometres",
        "in": "inch inches",
        "ft": "ft foot feet",
        "yd": "yd yard yards",
        "mi": "mile miles",
        "mg": "mg milligram milligrams",
        "g": "g gram grams",
        "kg": "kg kgs kilogram kilograms",
        "lb": "lb lbs pound pounds",
        "oz": "oz ounce ounces",
        "ml": "ml mL milliliter milliliters millilitre millilitres",
        "L": "L liter liters litre litres",
        "s": "s sec secs second seconds",
        "min": "min mins minute minutes",
        "h": "h hr hrs hour hours",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "mph": "mph",
        "$": "dollar dollars USD usd bucks",
        "cent": "cent cents",
        "euro": "euro euros EUR",
        "°": "degree degrees deg",
        "%": "percent pct",
        "unit": "unit units",
        "gallon": "gallon gallons",
        "J": "J joule joules",
        "N": "N newton newtons",
        "W": "W watt watts",
        "kJ": "kJ",
        "Hz": "Hz",
        "元": "元 块",
        "个": "个",
    }.items()
    for spelling in spellings.split()
}
_KNOWN: Final = "|".join(
    sorted((name for name in _ALIASES if len(name) > 1 or not name.isascii()), key=len, reverse=True)
)
_POWERED: Final = r"(?:\s?\^\s?\{?-?[1-3]\}?|[23])?"
_WORDS: Final = r"\\(?:text|textrm|textit|mathrm|mbox|rm|operatorname)\s?\{(?P<words>[^{}\\]{1,40})\}"
_PLAIN: Final = (
    rf"(?P<plain>(?:(?:square|sq\.?|cubic)\s)?(?:{_KNOWN}){_POWERED}"
    rf"(?:\s?(?:/|per)\s?(?:{_KNOWN}|[smhg]){_POWERED})?)"
)
_SPACE: Final = r"(?:\s|~|\\[ ,;:!]){0,3}"
_BEFORE: Final = r"(?:(?<=[0-9})])|(?<=\\pi)|(?<=\\pi\s)|(?<=π))"
_UNIT: Final = re.compile(rf"(?:{_SPACE}{_WORDS}{_POWERED}|{_BEFORE}{_SPACE}{_PLAIN})\.?$")
_SQUARES: Final = frozenset({"square", "cubic", "sq", "per"})
_SINGLE: Final = frozenset(name for name in _ALIASES if len(name) == 1) | {"A", "V", "K", "C", "F"}
_NO_UNIT_WORDS: Final = (
    "hundred thousand million billion trillion dozen k and or if for where mod am pm a.m. p.m. pi "
    "half halves to of base th st nd rd i e x y n"
)
_NO_UNITS: Final = frozenset(_NO_UNIT_WORDS.split())
_LONGEST: Final = 80  # characters of a unit with what may stand around it


def without_unit(text: str, *, known_only: bool = False) -> str:
    r"""Return `text` without the unit that follows its number.

    Parameters
    ----------
    text : str
        A number or an expression, and what stands behind it.
    known_only : bool
        Whether words in ``\\text{}`` must be well-known units, as behind an expression.

    Examples
    --------
    >>> without_unit("5 cm"), without_unit(r"12\text{ cm}^2"), without_unit(r"2\text{ million}")
    ('5', '12', '2\\text{ million}')
    """
    unit = _find(text)
    if unit is None or unit.start() == 0:
        return text
    words = set((unit["words"] or "").strip(" .").split())
    if known_only and not words <= _SQUARES | _ALIASES.keys():
        return text
    return text[: unit.start()]


def unit_of(text: str) -> str | None:
    r"""Return the unit that `text` names behind its number, in one spelling; None when it names none.

    Examples
    --------
    >>> unit_of("5 centimeters"), unit_of(r"5\text{ cm}"), unit_of("5")
    ('cm', 'cm', None)
    """
    unit = _find(text.strip())
    if unit is None:
        return None
    written = re.sub(r"\s|\\text|\\mathrm|[{}~]|\\[ ,;:!]", "", unit.group().rstrip("."))
    return re.sub(r"[A-Za-z]+", lambda word: _ALIASES.get(word.group(), word.group()), written)


def _find(text: str) -> re.Match[str] | None:
    """Return where the unit stands."""
    unit = _UNIT.search(text, max(0, len(text) - _LONGEST))
    if unit is None or unit["words"] is None:
        return unit
    words = unit["words"].strip().strip(".").split()
    if not words or _NO_UNITS.intersection(word.lower() for word in words if word not in _SINGLE):
        return None
    if len(words) == 1 and len(words[0]) == 1 and words[0] not in _SINGLE:
        return None
    return unit if any(character.isalpha() for character in unit["words"]) else None
