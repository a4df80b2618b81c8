"""Request fields of an operator's own, nested as providers want them, and where a thinking budget goes.

Objects are merged, all else is replaced. A text ``"{thinking_tokens}"`` in them stands for the budget of the
generator that a sample is drawn from. What the fields mean is left to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidInputError

THINKING_TOKENS: Final = "{thinking_tokens}"
"""Stands in a field for the thinking budget of the generator."""

# What each request says by itself.
_WRITTEN: Final = ("messages", "prompt", "input", "n", "stream", "stream_options", "model")
_DEEPEST: Final = 32


class Filled(NamedTuple):
    """Fields with the budget in its place, and whether there was one for it."""

    fields: dict[str, Any]
    holds_budget: bool


def check_fields(fields: Mapping[str, object], *, where: str) -> None:
    """Refuse fields that would undo what a request says.

    Raises
    ------
    InvalidInputError
        When one of them is written by each request itself, or they are nested too deep.
    """
    wrong = [name for name in _WRITTEN if name in fields]
    if wrong:
        raise InvalidInputError(f"{where} must not hold {', '.join(wrong)}: each request says it by itself")
    if _depth(fields) > _DEEPEST:
        raise InvalidInputError(f"{where} must be nested at most {_DEEPEST} levels deep")


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both; objects within are merged, and where both say something the second one does.

    Examples
    --------
    >>> merged({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"y": 2}})
    {'a': {'x': 1, 'y': 2}, 'b': 1}
    """
    found = dict(first)
    for name, value in second.items():
        known = found.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        found[name] = merged(known, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return found


def filled(fields: Mapping[str, Any], thinking_tokens: int | None) -> Filled:
    """Return fields with a thinking budget in its place; without a budget, what would hold it is left out.

    Examples
    --------
    >>> fields = {"thinking": {"type": "enabled", "budget_tokens": "{thinking_tokens}"}}
    >>> filled(fields, 512)
    Filled(fields={'thinking': {'type': 'enabled', 'budget_tokens': 512}}, holds_budget=True)
    >>> filled(fields, None)
    Filled(fields={'thinking': {'type': 'enabled'}}, holds_budget=True)
    """
    found: dict[str, Any] = {}
    holds = False
    for name, value in fields.items():
        if isinstance(value, Mapping):
            value, inner = filled(value, thinking_tokens)
            holds |= inner
        elif value == THINKING_TOKENS:
            holds = True
            if thinking_tokens is None:
                continue
            value = thinking_tokens
        found[name] = value
    return Filled(found, holds)


def placed(path: str, value: object) -> dict[str, Any]:
    """Return fields with a value at a path; dots go into nested objects.

    Examples
    --------
    >>> placed("thinking.budget_tokens", 512)
    {'thinking': {'budget_tokens': 512}}
    """
    name, dot, rest = path.partition(".")
    return {name: placed(rest, value) if dot else value}


def _depth(value: object) -> int:
    if isinstance(value, Mapping):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    if isinstance(value, list | tuple):
        return 1 + max((_depth(one) for one in value), default=0)
    return 0
