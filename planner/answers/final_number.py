"""Find the number that a text gives as its answer: the one it states, or else the last one.

A number that is stated and then taken back counts as any other. What a number is, is said in
`planner.answers.numbers`.
"""

from __future__ import annotations

import re
from typing import Final

from planner.answers.characters import plain
from planner.answers.numbers import join_thousands, numbers_in
from planner.answers.statements import stated_spans, taken_back

__all__ = ["final_number"]

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
    """Return the number of the last line that begins with ``####``."""
    marks = [match.span("rest") for match in _MARKED.finditer(text)]
    for begin, end in reversed(marks):
        for number in _from(numbers, begin):
            lead = text[begin : number[0]]
            if number[1] <= end and not lead.strip(" *$\\") and _REST.fullmatch(text, number[1], end):
                return number
            break
    return None


def _stated(text: str, numbers: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the number that directly follows the last statement, unless it is taken back or goes on."""
    spans = stated_spans(text)
    if not spans:
        return None
    begin = spans[-1][1]
    lead = _LEAD.match(text, begin)
    following = _from(numbers, begin)
    if lead is None or not following or taken_back(text, begin):
        return None
    first = following[0]
    if first[0] > lead.end():
        return None
    if not _GOES_ON.match(text, first[1]):
        return first
    line = text.find("\n", first[1])
    stop = len(text) if line < 0 else line
    return [number for number in following if number[0] < stop][-1]


def _from(numbers: list[tuple[int, int]], place: int) -> list[tuple[int, int]]:
    """Return the numbers that begin at `place` or after it."""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if numbers[middle][0] < place else (low, middle)
    return numbers[low:]
