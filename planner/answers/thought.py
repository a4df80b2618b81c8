"""Take out the thought that a reasoning model left in its completion: ``<think>maybe 3?</think>42`` says 42.

It knows the marks of the common families and assumes that a thought that never closes reaches to the end. A
server that separates thought from answer needs none of this.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = r"(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)"
_MARK: Final = re.compile(
    rf"(?P<open><\s?{_NAMES}\s?>|<\|begin_of_thought\|>|\[THINK\]|\u25c1think\u25b7"
    r"|<\|channel\|>\s?analysis\s?<\|message\|>)"
    rf"|(?P<close><\s?/\s?{_NAMES}\s?>|<\|end_of_thought\|>|\[/THINK\]|\u25c1/think\u25b7"
    r"|<\|channel\|>\s?final\s?<\|message\|>)",
    re.IGNORECASE,
)


def without_thought(text: str) -> str:
    """Return `text` without the thought between its marks.

    Parameters
    ----------
    text : str
        A whole completion. A closing mark without an opening one ends a thought that the prompt began.

    Notes
    -----
    A completion that is nothing but thought has no answer: what is left of it is empty.

    Examples
    --------
    >>> without_thought("<think>3? no</think>It is 42."), without_thought("so 3?</think>42")
    ('It is 42.', '42')
    """
    kept: list[str] = []
    start, inside = 0, False
    for mark in _MARK.finditer(text):
        if mark["open"]:
            if not inside:
                kept.append(text[start : mark.start()])
            inside = True
        else:
            if not inside:
                kept.clear()
            inside, start = False, mark.end()
    if not inside:
        kept.append(text[start:])
    return "".join(kept)
