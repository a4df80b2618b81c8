"""Read the body of a call: bounded in bytes and in depth before anything looks into it.

It assumes JSON, as all planned endpoints take. What the fields mean is left to `planner.serving.plannable`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from planner.backends.openai.stated import BROKEN_JSON
from planner.serving.refusal import Refusal

# Objects, lists and fields of a body, and values of its lists: 16 MiB may hold millions, and each takes
# about a hundred bytes once it is read.
_MOST_PARTS, _MOST_VALUES = 2**18, 2**20

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
    _bound(body, b"[{:", _MOST_PARTS)
    if too_deep(body, max_depth):
        raise Refusal(400, f"the body is nested deeper than {max_depth} levels; send a flatter one")
    try:
        value = msgspec.json.decode(body)
    except BROKEN_JSON:
        raise Refusal(400, "the body is not JSON in UTF-8; send one JSON object") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body must be one JSON object, got {type(value).__name__}")
    return value


def check_once(body: bytes) -> None:
    """Refuse an object that says something twice: servers differ in what they take of it.

    Raises
    ------
    Refusal
        400, naming the field; 413, when there is too much in it to look through.

    Examples
    --------
    >>> check_once(b'{"model": "a", "planner": {}}')
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except BROKEN_JSON:
        return  # whoever reads it refuses it
    # Written without spaces, a field that is left out of these would make the body longer.
    known = sum(len(name.encode()) + len(bytes(raw)) + len(b'"":,') for name, raw in fields.items())
    if len(body) == known + len(b"{}") - bool(fields):
        return
    _bound(body, b"[{:", _MOST_PARTS)
    _bound(body, b",", _MOST_VALUES)
    try:
        pairs = json.loads(body, object_pairs_hook=list, parse_int=float)
    except RecursionError:
        raise Refusal(400, "the body is nested too deep; send a flatter one") from None
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refusal(400, f"{twice[:80]!r} is given twice; say it once", param=twice[:80])


def _bound(body: bytes, marks: bytes, most: int) -> None:
    """Refuse a body with more of these marks outside of strings."""

    def count(part: bytes) -> int:
        return sum(part.count(mark) for mark in marks)

    if count(body) > most and count(_STRING.sub(b"", body)) > most:
        raise Refusal(413, f"the body has more than {most} parts; send fewer")


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
