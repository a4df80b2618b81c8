"""Find where a text states its final answer: ``####``, "the answer is", "Final Answer:", 答案是.

A statement that the text takes back afterwards ("wait", "no,") is none. What kind of answer follows the words
is left to the rules in `planner.answers.rules`; the patterns are linear in the length of a text.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["STATEMENT", "last_match", "stated_spans", "taken_back"]

_VERB: Final = (
    r"(?:(?:is|are|was|be|equals?|becomes|as)\b(?:\s{1,4}(?:simply|just|exactly|therefore|thus|indeed|then|now)\b)?"
    r"|(?:must|should|would|will|could|seems\sto|has\sto|appears\sto)\s{1,4}be\b|comes\s(?:out\s)?to\b)"
)
# Between the words and the answer: colons, dashes, bold, spaces.
_GAP: Final = r"[\s*_:=\"']{0,12}"
STATEMENT: Final = re.compile(
    rf"(?:\b(?i:answer|solution|result)(?:\s(?:to|here|for|of|in)(?:\s[\w']{{1,20}}){{0,6}}?|\s?\([^()\n]{{0,30}}\))?(?P<mark>{_GAP}(?i:{_VERB}){_GAP}|{_GAP}[-\u2013\u2014=:]{_GAP}|[*_]{{1,3}}\s{{1,3}})|(?i:<answer>)\s{{0,8}}"
    rf"|(?:【?答案】?|正确选项|正确答案|结果|选项|选择)\s?(?:应该|应|就)?(?:[是为選选]|:|=){{1,3}}{_GAP}|【答案】{_GAP}|(?:故选|所以选|因此选|应选|我选|答)\s?:?{_GAP})"
)
_TAKEN_BACK: Final = re.compile(
    r"(?i:\b(?:wait|hold on|oops|correction|on second thought|let me (?:re|double)|i made a mistake)\b"
    r"|\bthat(?:'s| is) (?:wrong|not right|incorrect)\b|(?:^|[.!?\n]\s{0,3})(?:no|actually|sorry|hmm)\b)"
)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern, or None.

    Examples
    --------
    >>> last_match(re.compile("[0-9]"), "1, 2 and 3")
    <re.Match object; span=(9, 10), match='3'>
    """
    last = None
    for last in pattern.finditer(text):  # noqa: B007 - the last one is what is wanted
        pass
    return last


def stated_spans(text: str) -> list[tuple[int, int]]:
    """Return where each statement of an answer begins, and where what is stated does.

    Examples
    --------
    >>> text = "The answer is 42."
    >>> [text[end:] for _, end in stated_spans(text)]
    ['42.']
    """
    return [match.span() for match in STATEMENT.finditer(text)]


def taken_back(text: str, start: int) -> bool:
    """Say whether a text takes back what it said before `start`.

    Examples
    --------
    >>> taken_back("The answer is 5. Wait, it is 7.", 15), taken_back("The answer is 5. No doubt.", 15)
    (True, True)
    """
    return _TAKEN_BACK.search(text, start) is not None
