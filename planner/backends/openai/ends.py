"""How an answer ended: what servers call it, and what that means.

An unknown name is an error, never an answer. Where the names stand in a reply is left to
`planner.backends.openai.wire`.
"""

from __future__ import annotations

from typing import Final

from planner.ports.ports import FinishReason

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_of_text": "stop",
    "endoftext": "stop",
    "stop_sequence": "stop",
    "stop_string": "stop",
    "stop_token": "stop",
    "end_turn": "stop",
    "end": "stop",
    "complete": "stop",
    "completed": "stop",
    "finished": "stop",
    "tool_calls": "stop",
    "tool_use": "stop",
    "function_call": "stop",
    "length": "length",
    "max_length": "length",
    "max_tokens": "length",
    "max_new_tokens": "length",
    "max_output_tokens": "length",
    "max_completion_tokens": "length",
    "model_length": "length",
    "context_length": "length",
    "context_length_exceeded": "length",
    "model_context_window_exceeded": "length",
    "token_limit": "length",
    "truncated": "length",
    "incomplete": "length",
    "abort": "cancelled",
    "aborted": "cancelled",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}


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
