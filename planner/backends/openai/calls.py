"""Calls of tools in a choice, whole or in pieces of a stream, and without the server's key.

They are kept as the server sent them; what they mean is left to `planner.answers.tool_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from difficulty.errors import InvalidResponseError
from planner.backends.openai.secret import Secret


def read_calls(value: object) -> tuple[dict[str, Any], ...]:
    """Return the calls of tools of a choice, or what an event adds to them."""
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidResponseError("tool_calls must be a list of objects")
    return tuple(value)


def add_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Take a call, or what an event adds to one: its arguments come in pieces."""
    place = part.get("index")
    known = next((one for one in calls if place is not None and one.get("index") == place), None)
    if known is None:
        calls.append({**part, **({"function": {**part["function"]}} if _is_function(part) else {})})
        return
    for name, value in part.items():
        if name == "function" and _is_function(part) and _is_function(known):
            inner = known["function"]
            more = value.get("arguments")
            inner |= {key: one for key, one in value.items() if key != "arguments" and one}
            if isinstance(more, str):
                inner["arguments"] = (inner.get("arguments") or "") + more
        elif value is not None:
            known[name] = value


def _is_function(call: dict[str, Any]) -> bool:
    return isinstance(call.get("function"), dict)


def sent_call(call: Mapping[str, object], secret: Secret) -> Mapping[str, object]:
    """Return a call as it is handed on: without its place in a stream, and without the server's key."""
    kept = {name: value for name, value in call.items() if name != "index"}
    written = msgspec.json.encode(kept).decode()
    clean = secret.removed_from(written)
    if clean == written:
        return kept
    return msgspec.json.decode(clean, type=dict[str, object])
