"""Read the body of a call: bounded in bytes and in depth before anything looks into it.

It assumes JSON, as all planned endpoints take. What the fields mean is left to `planner.serving.plannable`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from planner.backends.openai.stated import BROKEN_JSON
from planner.serving.refusal import Refusal

__all__ = ["read_object", "too_deep"]

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NO_BRACKET: Final = re.compile(rb"[^\[\]{}]+")


def read_object(body: bytes, *, max_depth: int) -> dict[str, Any]:
    """Return the object that a body holds.

    Raises
    ------
    Refusal
        400, when it is no JSON object or too deep.

    Examples
    --------
    >>> read_object(b'{"model": "tiny"}', max_depth=8)
    {'model': 'tiny'}
    """
    if too_deep(body, max_depth):
        raise Refusal(400, f"the body is nested deeper than {max_depth} levels; send a flatter one")
    try:
        value = msgspec.json.decode(body)
    except BROKEN_JSON:
        raise Refusal(400, "the body is not JSON in UTF-8; send one JSON object") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body must be one JSON object, got {type(value).__name__}")
    return value


def too_deep(body: bytes, most: int) -> bool:
    """Return whether brackets are nested deeper than `most`; those inside of strings do not count.

    Examples
    --------
    >>> too_deep(b'{"a": [1, "[[["]}', 2), too_deep(b"[" * 99, 8)
    (False, True)
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth = 0
    for bracket in _NO_BRACKET.sub(b"", _STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False
