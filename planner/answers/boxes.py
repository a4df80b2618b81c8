r"""Find what stands in boxes: ``\boxed{...}``, ``\fbox{...}``, ``\boxed 5``.

Braces are matched in one pass over the text, whatever a model repeats; an escaped brace is a character. What
the content means is left to `planner.answers.text`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Up to four backslashes: some models escape them. A box without braces holds what comes before a space.
_TOKEN: Final = re.compile(
    r"\\{1,4}(?P<box>f?boxed|fbox)(?![A-Za-z])\s{0,8}(?:(?P<brace>\{)|(?P<bare>(?:[^\s{}$]|\{[^\s{}$]{0,80}\}){1,80}))?"
    r"|\\.|[{}]",
    re.DOTALL,
)
_COMMAND: Final = re.compile(r"\\{1,4}(?:boxed|fbox)\s{0,8}(?=\{)")
# Between two boxes that are one answer: "2 and 3", "$2$, $3$".
_NAMED: Final = r"(?:[A-Za-z]_?\d? ?=)?[\s$]{0,8}"
_JOINT: Final = re.compile(
    r"[\s$]{0,8}(?:[,;]|\\quad|\\text\{ ?(?:and|or) ?\})?[\s$]{0,8}(?:and|or|[和或、])?[\s$]{0,8}" + _NAMED
)
_LONGEST_JOINT: Final = 40  # characters
_JOINS: Final = re.compile(r"[,;和或、]|\b(?:and|or)\b")


class _Box(NamedTuple):
    """Where a box stands, and what it holds."""

    start: int
    end: int
    inside: slice


def boxed_contents(text: str) -> tuple[str, ...]:
    r"""Return what stands in each complete box, in order; a box within a box is part of it.

    Examples
    --------
    >>> boxed_contents(r"so \boxed{\frac{1}{2}}, \fbox{2} and then \boxed{3")
    ('\\frac{1}{2}', '2')
    """
    return tuple(_content(text, box) for box in _boxes(text))


def boxed_answer(text: str) -> str | None:
    r"""Return what the last box holds, with the boxes before it that are joined to it by a comma or "and".

    Examples
    --------
    >>> boxed_answer(r"\boxed{1}? No: \boxed{2}"), boxed_answer(r"$\boxed{2}$ and $\boxed{3}$")
    ('2', '2, 3')
    """
    boxes = _boxes(text)
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _joined(text, boxes[first - 1].end, boxes[first].start):
        first -= 1
    return ", ".join(dict.fromkeys(_content(text, box).strip() for box in boxes[first:]))


def _joined(text: str, end: int, start: int) -> bool:
    """Say whether what stands between two boxes makes them one answer."""
    if start - end > _LONGEST_JOINT:
        return False
    between = text[end:start]
    return bool(_JOINT.fullmatch(between)) and bool(_JOINS.search(between))


def _content(text: str, box: _Box) -> str:
    """Return what a box holds, without the commands of boxes in it."""
    return _COMMAND.sub("", text[box.inside])


def _boxes(text: str) -> list[_Box]:
    """Return the complete outermost boxes that are not empty."""
    boxes: list[_Box] = []
    opened: list[tuple[int, int] | None] = []  # per open brace: start of the box and of its content, or None
    for token in _TOKEN.finditer(text):
        if token["brace"]:
            opened.append((token.start(), token.end()))
        elif token["bare"]:
            content = token["bare"].rstrip(".,;:)\\")
            if content and not (content.isalpha() and len(content) > 1):  # "put it in \boxed form"
                start = token.start("bare")
                boxes.append(_Box(token.start(), token.end(), slice(start, start + len(content))))
        elif token.group() == "{":
            opened.append(None)
        elif token.group() == "}" and opened:
            box = opened.pop()
            if box is not None:
                while boxes and boxes[-1].start > box[0]:  # a box in a box
                    boxes.pop()
                boxes.append(_Box(box[0], token.end(), slice(box[1], token.start())))
    return [box for box in boxes if not text[box.inside].isspace() and box.inside.start < box.inside.stop]
