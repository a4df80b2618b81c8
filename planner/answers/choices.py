r"""Find the letter of a choice that a text commits itself to: ``\boxed{B}``, "Answer: **B**", "B. Paris".

A letter that only occurs in a text is never a guess, and two letters at once ("A or B") are no choice. Texts
come with plain characters; the patterns are linear in their length.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from planner.answers.boxes import boxed_contents
from planner.answers.statements import STATEMENT, last_match

_OPEN: Final = (
    r"(?:\\(?:text|textbf|textit|mathrm|mathbf|boxed|fbox|mbox)\s?\{|\\[(\[]|[\s*_`\"'$(\[{<]){0,8}"
)
_CLOSE: Final = r"[\s*_`\"'$)\]}>]{0,8}"
_WORDS: Final = (
    r"(?:(?i:the\s|option|choice|letter|answer|(?:therefore|thus|hence|so),?\s|it'?s\s|it\sis\s|选项|选)"
    r"\s{0,2}:?\s{0,2}){0,3}"
)


class _Patterns(NamedTuple):
    stated: re.Pattern[str]
    named: re.Pattern[str]
    bold: re.Pattern[str]
    whole: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(choices: str) -> _Patterns:
    """Return the patterns for one set of letters."""
    letter, either = f"[{choices}]", f"[{choices}{choices.lower()}]"
    small = rf"[{choices.lower()}](?=[)\]}}`\"'$]|\s{{0,3}}[*_.]{{0,3}}\s{{0,3}}(?:\n|$))"
    end = rf"(?![\w'\u2019]|-\w|{_CLOSE}\+)"
    # Two letters are no choice; "B and C is wrong" begins another sentence.
    end += rf"(?!{_CLOSE}\s?(?:or|and|或|和)\s{{1,3}}\W{{0,3}}{letter}(?![\w'])(?!\s(?:is|was|are)\b))"
    end += rf"(?!{_CLOSE},\s{{0,3}}{letter}\s{{0,3}}(?:[.\n]|$))"
    return _Patterns(
        stated=re.compile(rf"{STATEMENT.pattern}{_OPEN}{_WORDS}{_OPEN}(?P<letter>{letter}|{small}){end}"),
        named=re.compile(
            rf"(?:(?<![\w'])(?:(?i:option|choice)\s)?[(*]{{0,3}}(?P<before>{letter})[)*.]{{0,3}}\s(?:is|was)"
            rf"\s(?:the\s|therefore\s)?(?:only\s|most\s)?(?i:correct|right|best|answer|appropriate)"
            rf"|\b(?i:correct|right|best|choose|select|pick)\s(?i:option|choice|letter|one)?\s?(?:is|was)?"
            rf"\s?:?{_OPEN}(?P<after>{letter}){end}"
            rf"|\b(?i:option|choice)\s{{0,2}}(?:is|=|:)\s{{0,2}}{_OPEN}(?P<option>{letter}){end}"
            rf"|(?<=[选選]){_OPEN}(?P<chosen>{letter}){end})"
        ),
        bold=re.compile(rf"\*\*\s?{_OPEN}(?P<letter>{letter})(?:[).:]{{1,2}}(?:\s[^*\n]{{0,200}})?)?\s?\*\*"),
        whole=re.compile(
            rf"{_OPEN}{_WORDS}{_OPEN}(?P<letter>{either}){_CLOSE}(?!,\s{{0,3}}{either}\b)"
            rf"(?:[.,;!]?{_CLOSE}|(?:[).:,、]|\s[-\u2013\u2014])\s{{0,3}}\S.{{0,300}})",
            re.DOTALL,
        ),
    )


def choice_of(answer: str, choices: str) -> str | None:
    r"""Return the capital letter that a short answer is, or None when it is anything else.

    Examples
    --------
    >>> choice_of("(b)", "ABCD"), choice_of("B. Paris", "ABCD"), choice_of("BCA", "ABCD")
    ('B', 'B', None)
    """
    answer = answer.strip()
    match = _patterns(choices).whole.fullmatch(answer) if len(answer) <= 400 else None
    return match["letter"].upper() if match else None


def choice_in(text: str, choices: str) -> str | None:
    """Return the letter that a text commits itself to, or None.

    Notes
    -----
    Taken in turn: the last box that holds a letter; the last statement ("the answer is"); the last "B is
    correct"; a last line that is a letter, alone or with its text, unless the line before is another choice;
    the only letter in bold; a first line that is a letter alone.
    """
    for content in reversed(boxed_contents(text)):
        letter = choice_of(content, choices)
        if letter is not None:
            return letter
    patterns = _patterns(choices)
    stated = last_match(patterns.stated, text)
    if stated:
        return stated["letter"].upper()
    named = last_match(patterns.named, text)
    if named:
        return str(named["before"] or named["after"] or named["option"] or named["chosen"])
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if lines:
        letter = choice_of(lines[-1], choices)
        if letter is not None and (len(lines) == 1 or choice_of(lines[-2], choices) is None):
            return letter
    bold = {match["letter"] for match in patterns.bold.finditer(text)}
    if len(bold) == 1:
        return bold.pop()
    alone = len(lines) > 1 and len(lines[0]) <= 8 and choice_of(lines[1], choices) is None
    return choice_of(lines[0], choices) if alone else None
