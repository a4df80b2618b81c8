"""Find the formula or number that a text gives as its answer, where nothing is boxed.

A formula stands between math delimiters or directly behind "the answer is". Whether it has a value is left to
`planner.answers.mathematics`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from planner.answers.characters import plain
from planner.answers.final_number import final_number
from planner.answers.numbers import join_thousands, numbers_in
from planner.answers.statements import end_of_statement

_FORMULA: Final = re.compile(
    r"\$\$(?P<display>[^$]{1,2000}+)\$\$|\$(?P<inline>[^$\n]{1,2000}+)\$"
    r"|\\\((?P<round>(?:[^\\\n]|\\[^()\n]){1,1000}+)\\\)"
    r"|\\\[(?P<square>(?:[^\\]|\\[^\[\]]){1,1000}+)\\\]"
)
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}|[\u4e00-\u9fff]{2,}")
_COMMANDS: Final = re.compile(r"\\[A-Za-z]+(?:\s?\{[A-Za-z ]*\})?")
_SENTENCE: Final = re.compile(
    r"(?P<said>[^\n]{1,300}?)(?:[.;]?\s{0,3}(?:\n|$)|\.\s|,?\s(?:because|since|which|so|as|where|when)\s)"
)


def final_formula(text: str) -> str | None:
    """Return the answer as it stands in the text, or None.

    Examples
    --------
    >>> final_formula("Therefore the answer is $x^2 + 1$."), final_formula("The answer is 11 5/6.")
    ('x^2 + 1', '11 5/6')
    """
    text = join_thousands(plain(text))
    formulas = [
        match for match in _FORMULA.finditer(text) if not _PROSE.search(_COMMANDS.sub("", _inside(match)))
    ]
    stated = _stated(text, formulas)
    if stated is not None:
        return stated
    last = next(iter(deque(numbers_in(text), maxlen=1)), None)
    if formulas and (last is None or last[0] < formulas[-1].end()):
        return _answer_of(_inside(formulas[-1]))
    return final_number(text)


def _stated(text: str, formulas: list[re.Match[str]]) -> str | None:
    """Return what directly follows the last statement of an answer, where it is mathematics."""
    begin = end_of_statement(text)
    if begin is None:
        return None
    for formula in formulas:
        if formula.start() >= begin and not text[begin : formula.start()].strip(" *_:\n"):
            return _answer_of(_inside(formula))
    sentence = _SENTENCE.match(text, begin)
    if sentence is None:
        return None
    said = sentence["said"].strip(" *_`$")
    return said if said and not _PROSE.search(_COMMANDS.sub("", said)) else None


def _inside(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None)


def _answer_of(formula: str) -> str:
    """Return the last side of a chain of equal sides, or of a calculation with numbers."""
    sides = re.split(r"(?<![<>!:])=", formula)
    if len(sides) > 2 or (len(sides) == 2 and not re.search(r"[A-Za-z]", _COMMANDS.sub("", sides[0]))):
        return sides[-1].strip(" .,;")
    return formula.strip(" .,;\n")
