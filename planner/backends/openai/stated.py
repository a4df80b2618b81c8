"""Token counts as a server states them, under the names that are in use, believable or not.

What is no count is none. What they are worth is left to `planner.backends.openai.counting`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

# Everything that a decoder is known to raise on what servers send: bad JSON, bad UTF-8, depth, huge numbers.
BROKEN_JSON: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


class Stated(NamedTuple):
    """Token counts as the server states them, believable or not; None where it states none."""

    prompt: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


NOTHING_STATED: Final = Stated()
"""What a server states that states nothing."""


def read_stated(raw: msgspec.Raw) -> Stated:
    """Read the counts that a server states, under the names that are in use.

    Examples
    --------
    >>> read_stated(msgspec.Raw(b'{"prompt_tokens": 5, "completion_tokens": null}'))
    Stated(prompt=5, output=None, cached=None, reasoning=None)
    """
    try:
        return stated_in(msgspec.json.decode(raw))
    except BROKEN_JSON:
        return NOTHING_STATED


def stated_in(usage: object) -> Stated:
    """Return the counts in a usage that was decoded; what is no object states nothing."""
    if usage is None or not isinstance(usage, dict):
        return NOTHING_STATED
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    written = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    prompt, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Stated(
        prompt=_count(usage.get("input_tokens")) if prompt is None else prompt,
        output=_count(usage.get("output_tokens")) if output is None else output,
        cached=_count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
        reasoning=_count(written.get("reasoning_tokens")) if isinstance(written, dict) else None,
    )


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
