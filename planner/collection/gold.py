r"""Find the final answer in a reference answer or a worked solution.

It assumes the ways in which public benchmarks write them: ``#### 42`` (GSM8K), ``\boxed{42}`` (MATH), or the
answer alone. What was drawn from a model is read by `planner.answers`; comparing the two is left to graders.
"""

from __future__ import annotations

import re
from typing import Final

from planner.answers.boxes import boxed_answer, boxed_contents

_LONGEST: Final = 200
_MARK: Final = re.compile(r"(?<!#)####(?!#)[ \t]*([^\n]*)")
_LABEL: Final = re.compile(r"(?:the\s+)?(?:final\s+)?answer\s*(?:is\b|[:=])?\s*", re.IGNORECASE)
# What stands alone on a line as an answer does, and as a heading of Markdown does not.
_ANSWER: Final = re.compile(
    r"[-+]?\s*[$€£¥]?\s*[-+]?(?:\d[\d,_ ]*)?(?:\.\d+)?(?<=\d)(?:\s*/\s*\d+)?\s*%?"  # a number
    r"|\(?[A-Za-z]\)?|yes|no|true|false"  # a choice
    r"|\$[^$\n]+\$|\\[A-Za-z(\[].*",  # mathematics
    re.IGNORECASE,
)


def gold_of(answer: str) -> str | None:
    r"""Return the final answer in a reference answer or worked solution.

    Taken in turn: what follows ``####`` (GSM8K); the last ``\boxed{}`` (MATH); the text itself where it is
    short and of one line.

    Notes
    -----
    ``####`` is also a heading of Markdown. What stands after it is an answer where nothing follows, or where
    it alone of all such lines is a number, a choice or a formula; otherwise boxes are looked for, and without
    a box there is no final answer.

    Examples
    --------
    >>> gold_of("6 * 7 = 42\n#### 42"), gold_of(r"Hence $\boxed{\frac{1}{2}}$."), gold_of("Tuesday")
    ('42', '\\frac{1}{2}', 'Tuesday')
    >>> gold_of("#### Step 1\nMultiply.\n#### Step 2\nThus \\boxed{42}.")
    '42'
    >>> gold_of("First we note that\nand so on") is None
    True
    """
    boxed = boxed_answer(answer)
    marks = list(_MARK.finditer(answer))
    marked = _marked(answer, marks, boxed=boxed is not None)
    if marked is not None and not boxed_contents(marked):
        return marked
    if boxed is not None:
        return boxed
    text = answer.strip()
    return text if text and not marks and "\n" not in text and len(text) <= _LONGEST else None


def _marked(answer: str, marks: list[re.Match[str]], *, boxed: bool) -> str | None:
    """Return what ``####`` marks as the answer, or None where it marks headings."""
    if not marks:
        return None
    last, after = _content(answer, marks[-1])
    if last and not after and (not boxed or _looks_like_one(last)):
        return last if len(last) <= _LONGEST else None
    found = [content for content, _ in (_content(answer, mark) for mark in marks) if _looks_like_one(content)]
    return found[0] if len(found) == 1 else None


def _content(answer: str, mark: re.Match[str]) -> tuple[str, str]:
    """Return what a mark marks and all after it: its line, or the next one where it only says "answer"."""
    line, after = _plain(mark[1]), answer[mark.end() :].strip()
    if not line:
        line, _, after = after.partition("\n")
        line, after = _plain(line), after.strip()
    return line, after


def _plain(line: str) -> str:
    return _LABEL.sub("", line.strip().strip("*").strip(), count=1).strip().strip("*").strip()


def _looks_like_one(content: str) -> bool:
    return _ANSWER.fullmatch(content.removesuffix(".")) is not None
