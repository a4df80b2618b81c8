"""Find where a text states its final answer: ``####``, "the answer is", "Final Answer:", 答案是.

A statement that the text takes back or goes on from ("wait", "no,", "then") is not its last word. What kind
of answer follows the words is left to the rules in `planner.answers.rules`; the patterns are linear in the
length of a text.
"""

from __future__ import annotations

import re
from typing import Final

_VERB: Final = (
    r"(?:(?:is|are|was|be|equals?|becomes|as)\b"
    r"(?:\s{1,4}(?:simply|just|exactly|therefore|thus|indeed|then|now)\b)?"
    r"|(?:must|should|would|will|could|seems\sto|has\sto|appears\sto)\s{1,4}be\b|comes\s(?:out\s)?to\b)"
)
# Between the words and the answer: colons, dashes, bold, spaces.
_GAP: Final = r"[\s*_:=\"']{0,12}"
_OF_WHAT: Final = r"(?:\s(?:to|here|for|of|in)(?:\s[\w']{1,20}){0,6}?|\s?\([^()\n]{0,30}\))?"
_MARK: Final = rf"(?:{_GAP}(?i:{_VERB}){_GAP}|{_GAP}[-\u2013\u2014=:]{_GAP}|[*_]{{1,3}}\s{{1,3}})"
_CHINESE: Final = (
    rf"(?:【?答案】?|正确选项|选项|选择)\s?(?:应该|应|就)?(?:[是为選选]|:|=){{1,3}}{_GAP}|【答案】{_GAP}"
    rf"|(?:故选|所以选|因此选|应选|我选|答)\s?:?{_GAP}"
)
STATEMENT: Final = re.compile(rf"(?:\b(?i:answer){_OF_WHAT}{_MARK}|(?i:<answer>)\s{{0,8}}|{_CHINESE})")
"""The words that introduce a final answer, up to the answer itself."""
_TAKEN_BACK: Final = re.compile(
    r"(?i:\b(?:wait|hold on|oops|correction|on second thought|let me (?:re|double)|i made a mistake)\b"
    r"|\bthat(?:'s| is) (?:wrong|not right|incorrect)\b)"
)
# Another conclusion, at the beginning of a sentence.
_GOES_ON: Final = re.compile(
    r"(?:^|[.!?\n])\s{0,3}(?i:no|actually|sorry|hmm|so|thus|therefore|hence|then|next|finally|now|but)\b"
)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern, or None.

    Examples
    --------
    >>> last_match(re.compile("[0-9]"), "1, 2 and 3")
    <re.Match object; span=(9, 10), match='3'>
    """
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def end_of_statement(text: str) -> int | None:
    """Return where the words of the last statement of an answer end, unless it is not the text's last word.

    Examples
    --------
    >>> text = "The answer is 42."
    >>> text[end_of_statement(text) :], end_of_statement("The answer is 5. Wait, it is 7.")
    ('42.', None)
    """
    statement = last_match(STATEMENT, text)
    if (
        statement is None
        or _TAKEN_BACK.search(text, statement.end())
        or _GOES_ON.search(text, statement.end())
    ):
        return None
    return statement.end()
