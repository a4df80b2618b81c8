"""Outcomes as JSON: one object per outcome, schema 2, unknown fields refused; those of schema 1 are read.

Numbers round-trip exactly and equal outcomes give equal bytes. Reading checks types and field names and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError
from planner.ports.outcome import Candidate, Outcome, OutcomeError
from policies.cost.usage import Usage
from policies.course.allocation import Allocation

__all__ = ["OUTCOME_SCHEMA", "outcome_from_json", "outcome_to_json"]

OUTCOME_SCHEMA: Final = 2
# The first schema knew neither confidence nor verdict.
_READS: Final = (1, OUTCOME_SCHEMA)
_NESTED: Final[Mapping[str, type]] = {
    "allocation": Allocation,
    "usage": Usage,
    "expected_usage": Usage,
    "candidates": Candidate,
    "errors": OutcomeError,
}


def outcome_to_json(outcome: Outcome) -> bytes:
    """Return `outcome` as one line of JSON, without the line break.

    Examples
    --------
    >>> allocation = Allocation(generator="tiny", strategy="greedy")
    >>> outcome = Outcome(prompt_id="p", allocation=allocation, answer=None, text=None, candidates=())
    >>> outcome_from_json(outcome_to_json(outcome)) == outcome
    True
    """
    body = msgspec.to_builtins(outcome)
    for name in ("usage", "expected_usage"):
        if body[name] is not None:
            body[name] = {key: _shortest(value) for key, value in body[name].items()}
    body["allocation"]["params"] = dict(outcome.allocation.parameters)
    return msgspec.json.encode({"outcome": OUTCOME_SCHEMA, **body})


def outcome_from_json(data: bytes | str) -> Outcome:
    """Read what `outcome_to_json` wrote.

    Raises
    ------
    InvalidInputError
        When `data` is not JSON, is of another schema, has unknown or missing fields, or values of a wrong
        type.
    """
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"an outcome must be a JSON object: {error}") from error
    if not isinstance(raw, dict) or raw.pop("outcome", None) not in _READS:
        raise InvalidInputError(
            f'an outcome must start with "outcome": {OUTCOME_SCHEMA}; this one is of another schema or kind'
        )
    _refuse_unknown(raw, Outcome, "outcome")
    for name, kind in _NESTED.items():
        value = raw.get(name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                _refuse_unknown(item, kind, name)
    try:
        return msgspec.convert(raw, Outcome)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"an outcome has a field of a wrong type: {error}") from error


def _shortest(number: float) -> float:
    """Return whole numbers as integers, so that 2 and 2.0, which are equal, are written alike."""
    return int(number) if float(number).is_integer() else number


def _refuse_unknown(raw: Mapping[str, Any], kind: type, where: str) -> None:
    allowed = {field.name for field in fields(kind)}
    unknown = sorted(set(raw) - allowed)
    if unknown:
        raise InvalidInputError(
            f"{where} has unknown fields {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}"
        )
