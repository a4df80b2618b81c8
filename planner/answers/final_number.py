"""Find the number that a text gives as its answer: the one it states, or else the last one.

A number that is stated and then taken back counts as any other. What a number is, is said in
`planner.answers.numbers`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from planner.answers.characters import plain
from planner.answers.numbers import join_thousands, numbers_in
from planner.answers.statements import end_of_statement

# What may stand between "the answer is" and the number.
_LEAD: Final = re.compile(
    r"(?:[\s*_`\"'(\[{:=]|\\[(\[{]|\\?\$(?!\\?\$\d)|\\(?:text|textbf|mathbf|boxed)\{"
    r"|\b(?:about|approximately|roughly|exactly|only|just)\b|\b[A-Za-z]\s?=){0,8}"
)
_GOES_ON: Final = re.compile(
    r"\s?(?:[-+*/×÷=^·]|\\(?:cdot|times|div|sqrt|pi|pm)|[A-Za-z](?![A-Za-z])\s?[-+=^])"
)
# A GSM8K mark and its number, with at most two more words; "#### 2. Solve" is a heading.
_MARKED: Final = re.compile(r"^####\s{0,3}(?P<rest>[^\n]{1,60})$", re.MULTILINE)
_REST: Final = re.compile(r"\s?(?:\\?[%$])?(?:\s[A-Za-z]+){0,2}[.\s*]{0,3}")


def final_number(text: str) -> str | None:
    """Return the number that is the answer, as it stands in the text, or None.

    Examples
    --------
    >>> final_number("The answer is 72, found in 3 steps."), final_number("6, then 7"), final_number("none")
    ('72', '7', None)
    """
    text = join_thousands(plain(text))
    numbers = list(numbers_in(text))
    if not numbers:
        return None
    start, end = _marked(text, numbers) or _stated(text, numbers) or numbers[-1]
    return text[start:end]


def _marked(text: str, numbers: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the number of the last line that is ``####`` and a number."""
    for begin, end in reversed([match.span("rest") for match in _MARKED.finditer(text)]):
        place = bisect_left(numbers, (begin, 0))
        if place == len(numbers) or numbers[place][1] > end:
            continue
        first, last = numbers[place]
        if not text[begin:first].strip(" *$\\") and _REST.fullmatch(text, last, end):
            return first, last
    return None


def _stated(text: str, numbers: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the number that follows the last statement; of a calculation, the last one in its line."""
    begin = end_of_statement(text)
    lead = None if begin is None else _LEAD.match(text, begin)
    if begin is None or lead is None:
        return None
    place = bisect_left(numbers, (begin, 0))
    if place == len(numbers) or numbers[place][0] > lead.end():
        return None
    first = numbers[place]
    if not _GOES_ON.match(text, first[1]):
        return first
    line = text.find("\n", first[1])
    return numbers[bisect_left(numbers, (line if line > 0 else len(text), 0)) - 1]
