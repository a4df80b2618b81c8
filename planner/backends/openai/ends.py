"""How an answer ended: what servers call it, and what that means.

An unknown name is an error, never an answer. Where the names stand in a reply is left to
`planner.backends.openai.wire`.
"""

from __future__ import annotations

from typing import Final

from planner.ports.ports import FinishReason

_NAMES: Final[dict[FinishReason, str]] = {
    "stop": "stop eos eos_token end_of_text endoftext stop_sequence stop_string stop_token end_turn end "
    "complete completed finished tool_calls tool_use function_call",
    "length": "length max_length max_tokens max_new_tokens max_output_tokens max_completion_tokens "
    "model_length context_length context_length_exceeded model_context_window_exceeded token_limit truncated "
    "incomplete",
    "cancelled": "abort aborted cancelled canceled",
}
_FINISH: Final = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}


def finish_of(name: str | None) -> FinishReason:
    """Return what a server's name for an end means; an unknown one is an error, never an answer.

    Examples
    --------
    >>> finish_of("MAX_TOKENS"), finish_of("eos_token"), finish_of("content_filter")
    ('length', 'stop', 'error')
    """
    known = _FINISH.get(name or "")
    if known is not None:
        return known
    plain = (name or "").lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")
    return _FINISH.get(plain, "error")


def name_of_end(value: object) -> str | None:
    """Return what a server calls an end, None where it names none."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return value[:80] if isinstance(value, str) and value else None
