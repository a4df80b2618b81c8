"""Find the JSON objects in a text in one pass over it, however deep or broken they are.

An object that stands within another is part of it; a broken one is none, but what stands whole within it is.
It knows the grammar of JSON only; which field is the answer is left to `planner.answers.rules`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Final

_DEEPEST: Final = 200  # levels; the decoder recurses
_LONGEST_NUMBER: Final = 300  # characters; a longer one stays as it is written
_TOKEN: Final = re.compile(
    r'[ \t\n\r]*+(?:(?P<string>"[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+")'
    r"|(?P<value>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null|NaN|-?Infinity)"
    r"|(?P<mark>[{}\[\]:,]))"
)


def objects_from_last(text: str) -> Iterator[dict[str, object]]:
    r"""Yield the JSON objects of a text, the last one first.

    Examples
    --------
    >>> list(objects_from_last('{"a": {"b": 1}} or {"a": {"c": 2}, oops'))
    [{'c': 2}, {'a': {'b': 1}}]
    """
    for start, end in reversed(_spans(text)):
        yield _DECODER.decode(text[start:end])


def decoded(text: str) -> object:
    """Return the value that all of a text is in JSON; None where it is none, or too deep.

    Examples
    --------
    >>> decoded('[1, {"a": 2}]'), decoded("[1, oops")
    ([1, {'a': 2}], None)
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _decimal(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of each complete object that stands in no other complete one."""
    spans: list[tuple[int, int]] = []
    position = text.find("{")
    while position >= 0:
        position = text.find("{", _read(text, position, spans))
    return spans


def _read(text: str, start: int, spans: list[tuple[int, int]]) -> int:
    """Add the objects that begin with the brace at `start`; return where to go on."""
    opened = [(start, "{")]
    deepest = 1
    expected, position = "K", start + 1
    string: re.Match[str] | None = None
    while opened:
        token = _TOKEN.match(text, position)
        following = None if token is None else _following(token, expected, opened)
        if token is None or following is None:
            return _after(text, token, position, string)
        string = token if token["string"] else string
        mark = token["mark"]
        if mark in ("{", "["):
            opened.append((token.end() - 1, mark))
            deepest = max(deepest, len(opened))
        elif mark in ("}", "]"):
            begin, _ = opened.pop()
            if mark == "}" and deepest <= _DEEPEST:
                while spans and spans[-1][0] > begin:
                    spans.pop()
                spans.append((begin, token.end()))
        expected, position = following, token.end()
    return position


def _following(token: re.Match[str], expected: str, opened: list[tuple[int, str]]) -> str | None:
    """Return what may follow a token, or None when it may not stand here.

    What may come next is a value (``v``), a value or the end of a list (``V``), a key (``k``), a key or the
    end of an object (``K``), a colon, or a comma or the end (``,``).
    """
    inside = opened[-1][1]
    mark = token["mark"]
    if expected in "kK" and token["string"]:
        return ":"
    if expected in "vV" and (token["string"] or token["value"]):
        return ","
    if expected in "vV" and mark in ("{", "["):
        return "K" if mark == "{" else "V"
    if expected == ":" and mark == ":":
        return "v"
    if expected == "," and mark == ",":
        return "k" if inside == "{" else "v"
    if (mark == "}" and inside == "{" and expected in "K,") or (
        mark == "]" and inside == "[" and expected in "V,"
    ):
        return ","
    return None


def _after(text: str, token: re.Match[str] | None, position: int, key: re.Match[str] | None) -> int:
    """Return where to go on after something that may not stand here.

    What was read is read again at most once: an object can begin within the string before it only right
    before the quote that closed it, as in ``{"so {"a": 1}``.
    """
    if key is not None and key.end() == position:
        brace = text.rfind("{", key.start("string"), position)
        if brace >= 0 and not text[brace + 1 : position - 1].strip():
            return brace
    return position if token is None else token.start()


_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_decimal)
