"""Fields of a request's body: read as what they must be, or refused by name.

A field that is absent is None. What fields mean is left to whoever reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.serving.refusal import Refusal


def as_whole(value: object, name: str, *, least: int) -> int | None:
    """Return a whole number of at least `least`.

    Raises
    ------
    Refusal
        400, naming the field; so do the others here.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise wrong(name, f"a whole number of at least {least}" if least > 0 else "a whole number", value)
    return value


def as_number(value: object, name: str) -> float | None:
    """Return a number from 0 to 100."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise wrong(name, "a number between 0 and 100", value)
    return float(value)


def as_text(value: object, name: str) -> str | None:
    """Return a text."""
    if value is not None and not isinstance(value, str):
        raise wrong(name, "a text", value)
    return value


def as_object(value: object, name: str) -> Mapping[str, Any]:
    """Return an object, an empty one where there is none."""
    if value is not None and not isinstance(value, Mapping):
        raise wrong(name, "an object", value)
    return value or {}


def wrong(name: str, allowed: str, value: object) -> Refusal:
    """Return the refusal of a field."""
    return Refusal(400, f"{name} must be {allowed}, got {repr(value)[:80]}", param=name)
