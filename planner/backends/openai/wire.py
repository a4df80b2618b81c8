"""What an OpenAI-compatible server answers, read with care: a broken choice is broken for itself alone.

Whole replies and events of a stream, chat and legacy completions come out as the same few values. Servers are
known to send content in parts, other names of ends, errors with HTTP 200, and log-probabilities that cannot
be; each is taken as it is meant, or named. What tokens cost is left to `planner.backends.openai.counting`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.errors import InvalidResponseError
from planner.backends.openai.calls import add_call, read_calls
from planner.backends.openai.failure import refusal_in, words_of
from planner.ports.ports import FinishReason

__all__ = ["BROKEN_JSON", "Choice", "Envelope", "Part", "Reply", "Stated", "finish_of", "open_envelope"]
__all__ += ["read_part", "read_reply", "read_stated"]

# Everything that a decoder is known to raise on what servers send: bad JSON, bad UTF-8, depth, huge numbers.
BROKEN_JSON: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

# Log-probabilities are rounded; what is above 0 by more than that is none.
_ROUNDING: Final = 1e-3
_NULL: Final = msgspec.Raw(b"null")
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


class _Message(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None


class _WireChoice(msgspec.Struct):
    index: Any = None
    finish_reason: Any = None
    message: _Message | None = None
    delta: _Message | None = None
    text: Any = None
    logprobs: msgspec.Raw = _NULL
    stop_reason: Any = msgspec.UNSET


class _TokenLogprob(msgspec.Struct):
    logprob: float | None = None


class _Logprobs(msgspec.Struct):
    content: list[_TokenLogprob] | None = None
    token_logprobs: list[float | None] | None = None


class Envelope(msgspec.Struct):
    """The outside of a reply, or of an event of one; what is inside is read choice by choice."""

    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    timings: Any = None


class Stated(NamedTuple):
    """Token counts as the server states them, believable or not; None where it states none."""

    prompt: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


_NOTHING_STATED: Final = Stated()


class Part(NamedTuple):
    """What a choice is, or what an event adds to it; `error` says why it cannot be used."""

    place: int | None = None
    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    logprobs: list[float] | None = None
    stop_string: str | None = None
    stop_stated: bool = False
    error: str | None = None
    calls: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Choice:
    """One completion as the server sent it; `stop_string` as in `planner.ports.ports.Completion`."""

    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    logprobs: list[float] | None = None
    stop_string: str | None = None
    stop_stated: bool = False
    error: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Take what an event adds; texts are joined by the caller, who has many."""
        self.finish = part.finish or self.finish
        self.error = self.error or part.error
        for call in part.calls:
            add_call(self.calls, call)
        if part.stop_stated:
            self.stop_string, self.stop_stated = part.stop_string, True
        if part.logprobs is not None:
            self.logprobs = part.logprobs if self.logprobs is None else self.logprobs
            if self.logprobs is not part.logprobs:
                self.logprobs += part.logprobs

    @classmethod
    def of(cls, part: Part) -> Choice:
        """Return the choice that one part is all of."""
        choice = cls(text=part.text, reasoning=part.reasoning)
        choice.add(part)
        return choice


@dataclass(slots=True)
class Reply:
    """A whole answer: its choices in order, and what the server says that they cost."""

    choices: list[Choice] = field(default_factory=list)
    stated: Stated = _NOTHING_STATED


def read_reply(content: bytes | bytearray) -> Reply:
    """Read a reply that came as a whole.

    Raises
    ------
    InvalidResponseError
        When it is not what the protocol prescribes; its counts are those that could still be found.
    Failed
        When it is a refusal of the kind that HTTP has a status for.

    Examples
    --------
    >>> reply = read_reply(b'{"choices": [{"text": "4", "finish_reason": "stop"}]}')
    >>> reply.choices[0].text
    '4'
    """
    envelope = open_envelope(content)
    if envelope.choices is None:
        raise _broken("the reply has no choices", content)
    parts = [read_part(raw) for raw in envelope.choices]
    places = [part.place for part in parts]
    if len(set(places)) == len(parts) and None not in places:
        parts.sort(key=lambda part: part.place or 0)
    return Reply([Choice.of(part) for part in parts], read_stated(envelope.usage))


def open_envelope(content: bytes | bytearray) -> Envelope:
    """Read the outside of a reply or event.

    Raises
    ------
    InvalidResponseError, Failed
        As `read_reply`.
    """
    data = bytes(content).removeprefix(b"\xef\xbb\xbf")
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except BROKEN_JSON as error:
        _raise_refusal(data)
        start = words_of(data[:80].decode("utf-8", "replace"))
        raise _broken(f"the reply is not a completion ({error}); it begins {start!r}", data) from None
    if bytes(envelope.error) != b"null" or not envelope.choices:
        _raise_refusal(data)
    if bytes(envelope.error) != b"null" and not envelope.choices:
        raise _broken(f"the server failed: {words_of(_plain(data))[:200]}", data)
    return envelope


def read_part(raw: msgspec.Raw) -> Part:
    """Read one choice, or what an event adds to one; what is wrong with it is its `error`."""
    try:
        wire = msgspec.json.decode(raw, type=_WireChoice)
    except BROKEN_JSON as error:
        return Part(error=f"InvalidResponseError: a choice cannot be read ({error})")
    place, finish = wire.index if type(wire.index) is int else None, _finish_name(wire.finish_reason)
    try:
        message = wire.delta if wire.message is None else wire.message
        text, thought = _content(wire.text if message is None else message.content)
        if message is not None:
            thought += _content(message.reasoning_content or message.reasoning)[0]
        logprobs = _read_logprobs(wire.logprobs)
        calls = () if message is None else read_calls(message.tool_calls)
    except (*BROKEN_JSON, InvalidResponseError) as error:
        reason = f"InvalidResponseError: a choice cannot be read ({error})"
        return Part(place=place, finish=finish, error=reason)
    stated = wire.stop_reason is None or isinstance(wire.stop_reason, str | int)
    return Part(
        place=place,
        text=text,
        reasoning=thought,
        finish=finish,
        logprobs=logprobs,
        stop_string=wire.stop_reason if isinstance(wire.stop_reason, str) else "" if stated else None,
        stop_stated=stated,
        calls=calls,
    )


def read_stated(raw: msgspec.Raw) -> Stated:
    """Read the counts that a server states, under the names that are in use.

    Examples
    --------
    >>> read_stated(msgspec.Raw(b'{"prompt_tokens": 5, "completion_tokens": null}'))
    Stated(prompt=5, output=None, cached=None, reasoning=None)
    """
    try:
        usage = msgspec.json.decode(raw)
    except BROKEN_JSON:
        return _NOTHING_STATED
    if not isinstance(usage, dict):
        return _NOTHING_STATED
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


def finish_of(name: str | None) -> FinishReason:
    """Return what a server's name for an end means; an unknown one is an error, never an answer.

    Examples
    --------
    >>> finish_of("MAX_TOKENS"), finish_of("eos_token"), finish_of("content_filter")
    ('length', 'stop', 'error')
    """
    plain = (name or "").lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")
    return _FINISH.get(plain, "error")


def _finish_name(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return value[:80] if isinstance(value, str) and value else None


def _content(value: object, depth: int = 0) -> tuple[str, str]:
    """Return the text and the thought of a content, which may come in parts."""
    if value is None:
        return "", ""
    if isinstance(value, str):
        return value, ""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or depth > 4:
        raise InvalidResponseError(f"content must be text or a list of parts, got {type(value).__name__}")
    text, thought = "", ""
    for part in value:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and "text" in part:
            text += "".join(_content(part["text"], depth + 1))
        elif isinstance(part, dict):
            for name in ("thinking", "reasoning", "summary"):
                thought += "".join(_content(part.get(name), depth + 1))
    return text, thought


def _read_logprobs(raw: msgspec.Raw) -> list[float] | None:
    """Return the log-probability of each token, in nats, None where none were sent."""
    if not bytes(raw).startswith(b"{"):
        return None
    held = msgspec.json.decode(raw, type=_Logprobs)
    if held.content is not None:
        values = [token.logprob for token in held.content]
    elif held.token_logprobs is not None:
        values = held.token_logprobs
    else:
        return None
    known = [value for value in values if value is not None]
    if known and not max(known) <= 0:
        if not max(known) <= _ROUNDING:
            raise InvalidResponseError(f"a log-probability of {max(known)!r} is above 0")
        known = [min(value, 0.0) for value in known]
    if not math.isfinite(sum(known)):
        raise InvalidResponseError("a log-probability is not finite")
    return known


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plain(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except BROKEN_JSON:
        return None


def _raise_refusal(data: bytes) -> None:
    body = _plain(data)
    failure = refusal_in(body) if isinstance(body, dict) else None
    if failure is not None:
        raise failure


def _broken(reason: str, content: bytes | bytearray) -> InvalidResponseError:
    """Return the error of a reply that cannot be read, with the counts that stand in it: it was paid for."""
    at = content.rfind(b'"usage"')
    found = (
        re.match(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})', content[at : at + 2000])
        if at >= 0
        else None
    )
    stated = _NOTHING_STATED if found is None else read_stated(msgspec.Raw(found[1]))
    return InvalidResponseError(reason, prompt_tokens=stated.prompt or 0, output_tokens=stated.output or 0)
