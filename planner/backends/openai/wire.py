"""What an OpenAI-compatible server answers, read with care: a broken choice is broken for itself alone.

Whole replies and events of a stream, chat and legacy completions come out as the same few values. Servers are
known to send content in parts, other names of ends, errors with HTTP 200, and log-probabilities that cannot
be; each is taken as it is meant, or named. What tokens cost is left to `planner.backends.openai.counting`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.errors import InvalidResponseError
from planner.backends.openai.calls import add_call, read_calls
from planner.backends.openai.ends import name_of_end
from planner.backends.openai.failure import refusal_in, words_of
from planner.backends.openai.logprobs import Logprobs, read_logprobs
from planner.backends.openai.stated import BROKEN_JSON, NOTHING_STATED, Stated, read_stated, stated_in

_NULL: Final = msgspec.Raw(b"null")


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    refusal: Any = None


class _WireChoice(msgspec.Struct, gc=False):
    index: Any = None
    finish_reason: Any = None
    message: _Message | None = None
    delta: _Message | None = None
    text: Any = None
    stop_reason: Any = msgspec.UNSET


class _UsualChoice(_WireChoice, gc=False):
    logprobs: Logprobs | None = None


class _OddChoice(_WireChoice, gc=False):
    logprobs: msgspec.Raw = _NULL


class _Usual(msgspec.Struct, gc=False):
    """A reply, or an event of one, as servers mostly send it: read at once."""

    choices: list[_UsualChoice]
    usage: Any = None
    error: None = None
    timings: Any = None


class _Envelope(msgspec.Struct):
    """The outside of any other one; what is inside is read choice by choice."""

    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    timings: Any = None


_USUAL: Final = msgspec.json.Decoder(_Usual)


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
    """One completion as far as it has come; `stop_string` as in `planner.ports.ports.Completion`.

    Texts are joined when they are asked for. A piece of text is at least one of the `n_tokens`.
    """

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    stop_string: str | None = None
    stop_stated: bool = False
    error: str | None = None
    n_tokens: int = 0

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """The thought so far."""
        return "".join(self.thoughts)

    def add(self, part: Part) -> None:
        """Take what an event adds, or all of a choice that came at once."""
        if part.text:
            self.texts.append(part.text)
        if part.reasoning:
            self.thoughts.append(part.reasoning)
        if part.logprobs:
            self.logprobs += part.logprobs
        if part.text or part.reasoning or part.calls:
            self.n_tokens += 1
        if part.finish is not None:
            self.finish = part.finish
        if part.error is not None and self.error is None:
            self.error = part.error
        for call in part.calls:
            add_call(self.calls, call)
        if part.stop_stated:
            self.stop_string, self.stop_stated = part.stop_string, True

    def raise_to(self, count: int) -> None:
        """Take a count that the server gives of its tokens."""
        self.n_tokens = max(self.n_tokens, count)


class Event(NamedTuple):
    """What an event of a stream brings: parts of choices, the server's counts, and llama.cpp's timings."""

    parts: list[Part]
    stated: Stated
    timings: object
    has_choices: bool


@dataclass(slots=True)
class Reply:
    """A whole answer: its choices in order, and what the server says that they cost."""

    choices: list[Choice] = field(default_factory=list)
    stated: Stated = NOTHING_STATED


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
    event = read_event(content)
    if not event.has_choices:
        raise _broken("the reply has no choices", content)
    parts = event.parts
    places = [part.place for part in parts]
    if len(set(places)) == len(parts) and None not in places:
        parts.sort(key=lambda part: part.place or 0)
    reply = Reply([Choice() for _ in parts], event.stated)
    for choice, part in zip(reply.choices, parts, strict=True):
        choice.add(part)
    return reply


def read_event(content: bytes | bytearray) -> Event:
    """Read a reply, or an event of one.

    Raises
    ------
    InvalidResponseError, Failed
        As `read_reply`.
    """
    try:
        usual = _USUAL.decode(content)
    except BROKEN_JSON:
        usual = None
    # Where nothing was drawn and nothing is counted it may be a refusal.
    if usual is not None and (usual.choices or usual.usage):
        parts = [_part(choice) for choice in usual.choices]
        return Event(parts, stated_in(usual.usage), usual.timings, True)
    envelope = _open_envelope(content)
    parts = [_read_part(raw) for raw in envelope.choices or ()]
    return Event(parts, read_stated(envelope.usage), envelope.timings, envelope.choices is not None)


def _open_envelope(content: bytes | bytearray) -> _Envelope:
    """Read the outside of a reply or event."""
    data = bytes(content).removeprefix(b"\xef\xbb\xbf")
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except BROKEN_JSON as error:
        _raise_refusal(data)
        start = words_of(data[:80].decode("utf-8", "replace"))
        raise _broken(f"the reply is not a completion ({error}); it begins {start!r}", data) from None
    if bytes(envelope.error) != b"null" or not envelope.choices:
        _raise_refusal(data)
    if bytes(envelope.error) != b"null" and not envelope.choices:
        raise _broken(f"the server failed: {words_of(_plain(data))[:200]}", data)
    return envelope


def _read_part(raw: msgspec.Raw) -> Part:
    """Read one choice, or what an event adds to one; what is wrong with it is its `error`."""
    try:
        wire = msgspec.json.decode(raw, type=_OddChoice)
    except BROKEN_JSON as error:
        return Part(error=f"InvalidResponseError: a choice cannot be read ({error})")
    return _part(wire)


def _part(wire: _UsualChoice | _OddChoice) -> Part:
    place, finish = wire.index if type(wire.index) is int else None, name_of_end(wire.finish_reason)
    message = wire.delta if wire.message is None else wire.message
    calls: tuple[dict[str, Any], ...] = ()
    try:
        # A model that refuses may say so beside its content: it is what the model says.
        text, thought = _content(wire.text if message is None else message.content or message.refusal)
        if message is not None:
            more = message.reasoning_content or message.reasoning
            if more:
                thought += _content(more)[0]
            if message.tool_calls:
                calls = read_calls(message.tool_calls)
        logprobs = wire.logprobs
        values = None if logprobs is None else read_logprobs(logprobs)
    except (*BROKEN_JSON, InvalidResponseError) as error:
        reason = f"InvalidResponseError: a choice cannot be read ({error})"
        return Part(place=place, finish=finish, error=reason)
    stop = wire.stop_reason
    stated = stop is None or isinstance(stop, str | int)
    said = stop if isinstance(stop, str) else "" if stated else None
    return Part(place, text, thought, finish, values, said, stated, None, calls)


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
    stated = NOTHING_STATED if found is None else read_stated(msgspec.Raw(found[1]))
    return InvalidResponseError(reason, prompt_tokens=stated.prompt or 0, output_tokens=stated.output or 0)
