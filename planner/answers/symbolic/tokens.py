r"""Cut an expression into tokens: numbers, commands, letters, marks; names of functions become commands.

A word is refused, since it would be read as a product of its letters. The order of tokens is left to
`planner.answers.symbolic.expressions`.
"""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 2000  # characters
_TOKEN: Final = re.compile(
    r"\s+|(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<letters>[A-Za-z]+)|(?P<mark>\*\*|[-+*/^_!|(){}\[\]·×÷√π∞°])"
)
TRIGONOMETRIC: Final = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
FUNCTIONS: Final = {
    **{name: name for name in (*TRIGONOMETRIC, "sinh", "cosh", "tanh", "exp")},
    **{f"arc{name}": f"a{name}" for name in TRIGONOMETRIC},
    **{f"a{name}": f"a{name}" for name in ("sin", "cos", "tan")},
    "ln": "log",
    "abs": "Abs",
}
"""Names of functions, and those of sympy."""
CONSTANTS: Final = {
    **dict.fromkeys(("pi", "π"), "pi"),
    **dict.fromkeys(("infty", "infinity", "oo", "inf", "∞"), "oo"),
}
"""Names of constants, and those of sympy."""
NAMES: Final = frozenset(FUNCTIONS) | {"log", "lg", "sqrt"}
"""Names of functions that need no backslash."""
_VOWELS: Final = frozenset("aeiouAEIOU")


class UnreadableError(Exception):
    """A text that is no expression, has no value, or has two readings; it stays in the answer layer."""


def tokens_of(text: str) -> list[str]:
    r"""Cut a text into tokens; a run of letters is a name or single letters, a word is refused.

    Raises
    ------
    UnreadableError
        When something in the text is no token, or a word.

    Examples
    --------
    >>> tokens_of(r"2xy + sqrt(\pi)")
    ['2', 'x', 'y', '+', '\\sqrt', '(', '\\pi', ')']
    """
    if len(text) > _LONGEST:
        raise UnreadableError("too long")
    tokens: list[str] = []
    position = 0
    for match in _TOKEN.finditer(text):
        if match.start() != position:
            break
        position = match.end()
        letters = match["letters"]
        if letters is None:
            tokens += [match.group()] if match.lastgroup else []
        elif letters in NAMES or letters in CONSTANTS:
            tokens.append(f"\\{letters}")
        elif len(letters) > 2 and _VOWELS.intersection(letters):
            raise UnreadableError(f"{letters!r} is a word")
        else:
            tokens += letters
    if position != len(text) or not tokens:
        raise UnreadableError(text)
    return tokens
