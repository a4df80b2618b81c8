"""Answers that are calls of tools: equal where names and arguments are, whatever their order and spelling.

Calls stand in a text as models write them, ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``;
`calls_text` writes those that a server sends apart from the text in the same way. Carrying calls out is left
to the application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from planner.answers.json_objects import decoded
from planner.answers.json_values import canonical_json
from planner.answers.rule import AnswerRule

_BLOCK: Final = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_ARGUMENTS: Final = ("arguments", "parameters", "input")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCalls(AnswerRule):
    """The calls in a text, sorted; a text without any, or with a broken one, abstains.

    Examples
    --------
    >>> call = '<tool_call>{"name": "add", "arguments": {"b": 2.0, "a": 1}}</tool_call>'
    >>> ToolCalls().extract("I add them. " + call, "stop")
    '[{"arguments": {"a": 1, "b": 2}, "name": "add"}]'
    """

    def find(self, text: str) -> str | None:
        """Return the calls as a list in JSON."""
        blocks = [match[1] for match in _BLOCK.finditer(text)]
        if blocks:
            calls = [one for block in blocks for one in _listed(decoded(block.strip()))]
            return json.dumps(calls)
        # Some models write the bare object.
        bare = _listed(decoded(text.strip())) if text.lstrip()[:1] in ("{", "[") else []
        return json.dumps(bare) if bare and all(_call_of(one) is not None for one in bare) else None

    def canonicalise(self, answer: str) -> str | None:
        """Return the calls written in one way, None where one of them is none."""
        value = decoded(answer)
        calls = [_call_of(one) for one in value] if isinstance(value, list) and value else [None]
        known = [call for call in calls if call is not None]
        if len(known) < len(calls):
            return None
        return f"[{', '.join(sorted(known))}]"


def calls_text(calls: Iterable[object]) -> str:
    """Return calls as a server sends them, written into a text; empty for none.

    Parameters
    ----------
    calls : iterable
        Objects of the field ``tool_calls``; others are kept as they are, so that they count as broken.

    Examples
    --------
    >>> calls_text([{"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}])
    '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    """
    return "\n".join(f"<tool_call>{json.dumps(_plain(call))}</tool_call>" for call in calls)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _plain(call: object) -> object:
    inner = call.get("function", call.get("custom")) if isinstance(call, Mapping) else None
    if not isinstance(inner, Mapping):
        return call
    given = next((inner[name] for name in _ARGUMENTS if name in inner), None)
    return {"name": inner.get("name"), "arguments": _arguments(given)}


def _arguments(given: object) -> object:
    """Return arguments as an object where they are one in a text."""
    if not isinstance(given, str):
        return given
    value = decoded(given) if given.strip() else {}
    return value if isinstance(value, Mapping | Sequence) else given


def _call_of(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return None
    plain = _plain(value)
    assert isinstance(plain, Mapping)
    name = plain.get("name")
    arguments = _arguments(next((plain[key] for key in _ARGUMENTS if plain.get(key) is not None), {}))
    if not isinstance(name, str) or not name or isinstance(arguments, str):
        return None
    return canonical_json({"name": name, "arguments": arguments})
