"""Write JSON values in one way, so that those that mean the same are equal texts: objects, fields, arguments.

Keys are sorted and numbers lose what is only a way of writing; how texts inside are compared is the caller's
choice. It assumes values of a decoder. Finding objects in a text is left to `planner.answers.json_objects`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from planner.answers.text import canonical_answer


def canonical_json(value: object, *, text: Callable[[str], str] = str) -> str:
    """Return the one way to write a value.

    Parameters
    ----------
    value : object
        Of `json.loads`.
    text : callable
        The one way to write a text inside; as it is by default.

    Examples
    --------
    >>> canonical_json({"b": 2.0, "a": ["x", None]})
    '{"a": ["x", null], "b": 2}'
    """
    return json.dumps(_plain(value, text), sort_keys=True, ensure_ascii=False)


def as_answer(text: str) -> str:
    """Return a text inside of an answer as answers are compared: ``" 42.0"`` and ``"42"`` are one.

    Examples
    --------
    >>> as_answer(" 42.0 "), as_answer("")
    ('42', '')
    """
    return canonical_answer(text) or ""


def field_of(value: object, path: str) -> object:
    """Return a field of an object, None where it has none; dots go into nested objects.

    Examples
    --------
    >>> field_of({"a": {"b": 3}}, "a.b"), field_of({"a": 1}, "a.b")
    (3, None)
    """
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _plain(value: object, text: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, text) for one in value]
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
