r"""Write answers that mean the same in one way: spaces, LaTeX decoration, fractions and numbers.

It assumes a short final answer, not a solution. Symbolic equality (``x+1`` and ``1+x``) is left to
`planner.answers.mathematics`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from planner.answers.numbers import canonical_number

__all__ = ["boxed_contents", "canonical_answer"]

_DELIMITERS: Final = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_DROPPED: Final = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|\\[,;:!]|\\(?:q?quad|displaystyle)(?![a-z])|\^\{?\\circ\}?"
)
_TEXT: Final = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}")
_FRACTION: Final = re.compile(
    r"^([-+]?)\s*\\[dt]?frac\s*(?:\{\s*(-?[\d.,]+)\s*\}|(\d))\s*(?:\{\s*(-?[\d.,]+)\s*\}|(\d))$"
)
_BOXED: Final = re.compile(r"\\f?boxed\s*(?=\{)|\\boxed\s+(?=[^\s{])")


def canonical_answer(text: str) -> str | None:
    r"""Return the one way to write a short answer, or None when nothing is left of it.

    Parameters
    ----------
    text : str
        A final answer, already extracted.

    Notes
    -----
    Applied in turn: Unicode NFKC, math delimiters, LaTeX spacing and text commands, a closing full stop;
    numbers and plain fractions as `canonical_number` writes them. Case is kept, since ``X`` and ``x`` may
    differ.

    Examples
    --------
    >>> canonical_answer(r" $\dfrac{6}{8}$. "), canonical_answer(r"\text{ Tuesday }"), canonical_answer("  ")
    ('0.75', 'Tuesday', None)
    """
    answer = unicodedata.normalize("NFKC", text).strip().removesuffix(".").strip()
    for opening, closing in _DELIMITERS:
        if (
            len(answer) > len(opening) + len(closing)
            and answer.startswith(opening)
            and answer.endswith(closing)
        ):
            answer = answer[len(opening) : -len(closing)].strip()
    answer = _TEXT.sub(r"\1", _DROPPED.sub("", answer)).replace(r"\$", "$").replace(r"\%", "%")
    answer = re.sub(r"\s+", " ", answer).strip()
    fraction = _FRACTION.match(answer)
    if fraction:
        sign, *parts = fraction.groups()
        top, bottom = (part for part in parts if part is not None)
        number = canonical_number(f"{top}/{bottom}") if "-" not in bottom else None
        if number is not None:
            return canonical_number(f"-{number}") if sign == "-" and not number.startswith("-") else number
    return canonical_number(answer) or answer or None


def boxed_contents(text: str) -> tuple[str, ...]:
    r"""Return what stands in each complete ``\boxed{...}``, in order.

    Examples
    --------
    >>> boxed_contents(r"so \boxed{\frac{1}{2}} and then \boxed{3")
    ('\\frac{1}{2}',)
    """
    contents = []
    for match in _BOXED.finditer(text):
        start = match.end()
        if text[start] != "{":
            contents.append(re.split(r"[\s$]", text[start:], maxsplit=1)[0])
            continue
        depth = 0
        for index in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[index], 0) if text[index - 1] != "\\" else 0
            if depth == 0:
                contents.append(text[start + 1 : index])
                break
    return tuple(contents)
