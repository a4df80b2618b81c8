"""Write the characters of an answer in one way: full-width and other digits, minus signs, superscripts, ½.

Unicode's own compatibility forms (NFKC) are not used on whole texts, since they turn ``10²`` into ``102`` and
``1½`` into ``11⁄2``: a superscript becomes ``^{2}`` here, and a vulgar fraction ``1 1/2``. Words and letters
are left alone; what LaTeX writes is left to `planner.answers.text`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_DASHES: Final = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d\u207b\u208b"
_INVISIBLE: Final = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff\u202a\u202b\u202c\u202d\u202e"
)
_OWN: Final = (
    {ord(dash): "-" for dash in _DASHES}
    | dict.fromkeys(map(ord, _INVISIBLE), "")
    | {0x2044: "/", 0x2215: "/", 0xBA: "°", 0x2217: "*", 0x22C5: "·", 0x2219: "·", 0x2236: ":"}
)
_MAPPED_FORMS: Final = ("<wide>", "<narrow>", "<small>", "<font>", "<compat>", "<noBreak>")
# A group of three digits after a space that is no plain space, as in "1\u202f000".
_SPACED_THOUSANDS: Final = re.compile("(?<=\\d)[\u00a0\u2007\u2009\u202f](?=\\d{3}(?!\\d))")
_SCRIPTS: Final = [
    (mark, "".join(chr(code) for code in codes if unicodedata.decomposition(chr(code)).startswith(form)))
    for codes in [(0xB2, 0xB3, 0xB9, *range(0x2070, 0x209D))]
    for mark, form in (("^", "<super>"), ("_", "<sub>"))
]
_SCRIPT_RUN: Final = re.compile("|".join(f"[{characters}]+" for _, characters in _SCRIPTS))
_VULGAR: Final = re.compile("(\\d ?)?([\u00bc-\u00be\u2150-\u215e\u2189])")


class _Table(dict[int, str]):
    """What each character becomes, worked out at its first use."""

    def __missing__(self, code: int) -> str:
        self[code] = written = _written(chr(code))
        return written


def plain(text: str) -> str:
    """Return `text` with one way to write digits, signs, spaces, superscripts and vulgar fractions.

    Examples
    --------
    >>> plain("\u22125, 10\u00b2, 1\u00bd, \uff14\uff12, 1\u202f000")
    '-5, 10^{2}, 1 1/2, 42, 1,000'
    """
    if text.isascii():
        return text
    text = _SPACED_THOUSANDS.sub(",", text)
    text = _VULGAR.sub(_fraction, _SCRIPT_RUN.sub(_script, text))
    return unicodedata.normalize("NFC", text.translate(_TABLE))


def _written(character: str) -> str:
    """Return what one character becomes."""
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.digit(character))
    if unicodedata.decomposition(character).partition(" ")[0] in _MAPPED_FORMS:
        return unicodedata.normalize("NFKC", character)
    return character


def _script(match: re.Match[str]) -> str:
    """Write a run of superscripts as ``^{...}`` and one of subscripts as ``_{...}``."""
    mark = next(mark for mark, characters in _SCRIPTS if match.group()[0] in characters)
    inside = unicodedata.normalize("NFKC", match.group()).replace("\u2212", "-")
    return f"{mark}{{{inside}}}"


def _fraction(match: re.Match[str]) -> str:
    """Write ``½`` as ``1/2``, apart from a whole number before it."""
    whole, fraction = match.groups()
    written = unicodedata.normalize("NFKC", fraction).replace("\u2044", "/")
    return f"{whole.rstrip()} {written}" if whole else written


_TABLE: Final = _Table(_OWN)
