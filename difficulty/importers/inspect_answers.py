"""Short answers where a scorer of inspect_ai recorded the whole completion as the answer.

``match``, ``includes`` and ``model_graded_*`` do so, and votes over whole texts never agree. It assumes the
ways in which models are told to end: ``ANSWER: …``, a box, or a number where the target is one.
"""

from __future__ import annotations

import re
from typing import Final

_STATED: Final = re.compile(r"(?im)^.*\banswer\s*(?:is\s*)?:\s*(\S.*?)\s*$")
_BOXED: Final = re.compile(r"\\boxed\{([^{}]+)\}")
_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LONG: Final = 4  # words from which on an answer is a text


def is_whole_text(answer: str, completion: str | None) -> bool:
    """Say whether an answer is the whole completion, and longer than an answer is.

    Examples
    --------
    >>> is_whole_text("so it must be 4", "So it must be 4"), is_whole_text("4", "4")
    (True, False)
    """
    if completion is None or len(answer.split()) < 2:
        return False
    return answer.strip().casefold() == completion.strip().casefold()


def is_number(text: str) -> bool:
    """Say whether a text is a number and nothing else.

    Examples
    --------
    >>> is_number("1,200"), is_number("12 fish")
    (True, False)
    """
    return _NUMBER.fullmatch(text.strip()) is not None


def short_answer(completion: str, target: str | None) -> str | None:
    """Return the answer that a completion ends with, or None where none can be told.

    Examples
    --------
    >>> short_answer("Let me see. 2 + 2.\\nANSWER: 4", "4"), short_answer("That makes 5 of 7", "4")
    ('4', '7')
    >>> short_answer("It is a fish", "whale") is None
    True
    """
    for pattern in (_STATED, _BOXED):
        found = pattern.findall(completion)
        if found:
            return str(found[-1]).strip().rstrip(".") or None
    if target is not None and is_number(target):
        numbers = _NUMBER.findall(completion)
        return str(numbers[-1]).replace(",", "") if numbers else None
    return completion.strip() if len(completion.split()) < _LONG else None
