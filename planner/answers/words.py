"""Say which answers are words and not mathematics, and when two of them agree.

Letters without an operator are words, since a product of letters would make BCA and ABC one; so are clock
times, ratios and whatever leaves something out ("1, 2, …, n"). Words agree letter by letter, whatever their
case; dates agree in either order of day and month.
"""

from __future__ import annotations

import re
from typing import Final

_ELLIPSIS: Final = re.compile(r"\\[lcvd]?dots(?![A-Za-z])|\.\.\.?|…")
_CLOCK: Final = re.compile(r"[0-9]\s?:\s?[0-9]")
_COMMAND: Final = re.compile(r"\\(?:begin|end)\s?\{[^{}]*\}|\\[A-Za-z]+")
_FREE: Final = frozenset("uvwxyz")  # letters of which a product is likelier than a word
_FUNCTIONS: Final = re.compile(r"pi|oo|inf|infinity|infty")
_MONTH_NAMES: Final = "january february march april may june july august september october november december"
_MONTHS: Final = _MONTH_NAMES.split()
_MONTH: Final = "|".join(f"{month}|{month[:3]}\\.?" for month in _MONTHS)
_DAY: Final = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:,?\s(?P<year>[0-9]{4}))?"
_DATES: Final = [
    re.compile(rf"(?P<month>{_MONTH})\s{_DAY}{_YEAR}", re.IGNORECASE),
    re.compile(rf"{_DAY}\s(?:of\s)?(?P<month>{_MONTH}){_YEAR}", re.IGNORECASE),
]


def are_words(answer: str) -> bool:
    r"""Say whether a canonical answer is to be taken letter by letter.

    Examples
    --------
    >>> [are_words(answer) for answer in ("BCA", "12:00", "1, 2, \\ldots, n", "March 5", "xy", "x+1")]
    [True, True, True, True, False, False]
    """
    if _ELLIPSIS.search(answer) or _CLOCK.search(answer) or _date(answer):
        return True
    if re.search(r"[0-9+*/^=<>\\|_!∞∅±√≤≥∪π]|(?<!\w)-|-(?!\w)", answer):
        return False
    letters = [
        word for word in re.findall(r"[^\W\d_]+", _COMMAND.sub(" ", answer)) if not _FUNCTIONS.fullmatch(word)
    ]
    return any(len(word) > 1 and not _FREE.issuperset(word) for word in letters)


def same_words(first: str, second: str) -> bool:
    """Say whether two answers of words agree.

    Examples
    --------
    >>> same_words("Yes", "yes"), same_words("March 5", "5 March"), same_words("A", "a")
    (True, True, False)
    """
    dates = _date(first), _date(second)
    if dates[0] is not None or dates[1] is not None:
        return dates[0] == dates[1]
    if len(first) == 1 or len(second) == 1:
        return first == second
    return _spaced(first) == _spaced(second)


def _spaced(words: str) -> str:
    return re.sub(r"\s?([,;:])\s?", r"\1", " ".join(words.casefold().split()))


def _date(text: str) -> tuple[int, int, str | None] | None:
    """Return month, day and year of a date."""
    for form in _DATES:
        match = form.fullmatch(text.strip())
        if match:
            return (
                next(k for k, month in enumerate(_MONTHS) if month[:3] == match["month"].lower()[:3]),
                int(match["day"]),
                match["year"],
            )
    return None
