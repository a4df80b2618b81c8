r"""Write answers that mean the same in one way: spaces, LaTeX decoration, fractions and numbers.

It assumes a short final answer, not a solution: a text of more than 1,000 characters keeps all but its
spaces. Symbolic equality (``x+1`` and ``1+x``) is left to `planner.answers.mathematics`.
"""

from __future__ import annotations

import re
from typing import Final

from planner.answers.characters import plain
from planner.answers.numbers import canonical_number, join_thousands
from planner.answers.units import without_unit

LAYOUT: Final = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])(?:\s?\.)?"
    r"|\\(?:q?quad|displaystyle|textstyle|limits)(?![A-Za-z])|(?<!\\)\\[,;:! ]|(?<!\\)~"
)
"""Commands of LaTeX that set sizes and spaces."""
_LONGEST: Final = 1000  # characters of a short answer
_PAIRS: Final = (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("__", "__"), ("`", "`"))
_DEGREES: Final = re.compile(r"\s?\^\s?(?:\{\s?\\circ\s?\}|\\circ(?![A-Za-z]))")
_TEXT: Final = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf)|mbox|operatorname|boldsymbol|bm|boxed|fbox)\s?\{([^{}]*)\}"
)
_APPROXIMATELY: Final = re.compile(r"^(?:\\approx(?![A-Za-z])|≈|=)\s?")
_NAMED: Final = re.compile(r"^([A-Za-z](?:_\{?\w\}?)?)\s?(?:=|≈|\\approx(?![A-Za-z]))\s?(?=[^=])")
# What is only close stands behind the value, unless a variable stands before it.
_CLOSE: Final = re.compile(r"(?<=[0-9}iπ)])\s?(?:≈|\\approx(?![A-Za-z])).*$")


def canonical_answer(text: str) -> str | None:
    r"""Return the one way to write a short answer, or None when nothing is left of it.

    Parameters
    ----------
    text : str
        A final answer, already extracted.

    Notes
    -----
    Applied until nothing changes: plain characters; delimiters of mathematics and Markdown; LaTeX spacing,
    sizes and text commands; a closing full stop or comma; numbers as `canonical_number` writes them, that of
    ``x = 5`` too. Case is kept, since ``X`` and ``x`` may differ.

    Examples
    --------
    >>> canonical_answer(r" $\dfrac{6}{8}$. "), canonical_answer(r"\text{ Tuesday }"), canonical_answer("  ")
    ('0.75', 'Tuesday', None)
    """
    answer = " ".join(plain(text).split())
    if len(answer) > _LONGEST:
        return answer
    before = None
    while answer != before:
        before, answer = answer, _lighter(answer)
    return answer or None


def undressed(text: str) -> str:
    r"""Return a short answer without delimiters and closing punctuation, its mathematics as written.

    Examples
    --------
    >>> undressed(r"**$\frac{\sqrt{2}}{2}$**.")
    '\\frac{\\sqrt{2}}{2}'
    """
    answer, before = " ".join(plain(text).split()), None
    while len(answer) <= _LONGEST and answer != before:
        before, answer = answer, _without_pairs(_without_stop(answer))
    return answer


def variable_of(text: str) -> str | None:
    """Return the variable whose value a short answer gives, or None.

    Examples
    --------
    >>> variable_of("$x = 5$"), variable_of("5")
    ('x', None)
    """
    named = _NAMED.match(undressed(text))
    return named[1] if named else None


def _lighter(answer: str) -> str:
    """Take one layer of decoration off, or write the number that is left."""
    answer = _CLOSE.sub("", _APPROXIMATELY.sub("", undressed(answer)))
    number = canonical_number(_NAMED.sub("", answer))
    if number is not None:
        return number
    answer = LAYOUT.sub("", join_thousands(without_unit(answer, known_only=True)))
    answer = _DEGREES.sub("°", answer).replace(r"\$", "$").replace(r"\%", "%")
    answer = _TEXT.sub(r"\1", answer)
    return " ".join(answer.split())


def _without_stop(answer: str) -> str:
    """Take off a closing full stop, comma or semicolon, but no ellipsis."""
    if answer.endswith((",", ";", "。")) or (answer.endswith(".") and not answer.endswith("..")):
        return answer[:-1].rstrip()
    return answer


def _without_pairs(answer: str) -> str:
    """Take off what stands around all of an answer."""
    for opening, closing in _PAIRS:
        inside = answer[len(opening) : len(answer) - len(closing)]
        whole = len(answer) > len(opening) + len(closing) and closing not in inside.strip("$")
        if whole and answer.startswith(opening) and answer.endswith(closing):
            return inside.strip()
    # Braces that only group: with a comma or a colon in them they are a set or an object.
    grouped = len(answer) > 2 and answer[0] == "{" and not re.search("[,:]", answer)
    if grouped and _closing_brace(answer) == len(answer) - 1:
        return answer[1:-1].strip()
    return answer


def _closing_brace(answer: str) -> int:
    """Return where the brace that opens `answer` closes, or -1."""
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", answer):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return -1
