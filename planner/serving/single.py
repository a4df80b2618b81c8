"""A request that is answered by exactly one call: what comes goes on, whole or in pieces, and is counted.

Where the client did not ask a stream for its usage it is asked for all the same, and the event that brings it
is taken out. Whole replies get what the plan adds, and nothing else is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from planner.backends.openai.stated import BROKEN_JSON, stated_in
from planner.serving.exchange import Answer, Pieces
from planner.serving.watched import Watched
from policies.cost.usage import Usage

# An event larger than this is not looked into.
_LONGEST: Final = 2**20
EXHAUSTED: Final = "thinking_exhausted"
"""How an answer ended that was cut before anything of it was said."""
# Tokens of marks around a thought.
_MARKS: Final = 2

_ENDS: Final = {"completed": "stop", "incomplete": "length"}

Counted = Callable[[Usage | None, int, str | None], None]
"""Told once of the usage, the reasoning tokens and how the answer ended; None where nobody said."""


class _Message(msgspec.Struct):
    content: Any = msgspec.UNSET


class _Choice(msgspec.Struct):
    finish_reason: Any = None
    message: _Message | None = None


class _Response(msgspec.Struct):
    """The object of the endpoint for responses, in its last event; in the first one of that for messages."""

    usage: dict[str, Any] | None = None
    status: Any = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    response: _Response | None = None
    message: _Response | None = None
    object: Any = None
    status: Any = None


def usage_in(data: bytes) -> tuple[Usage | None, int, str | None, bool]:
    """Return the usage of a reply or event, its reasoning tokens, how it ended, and whether it has choices.

    Examples
    --------
    >>> usage_in(b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}')[0].output_tokens
    4
    """
    try:
        reply = msgspec.json.decode(data, type=_Reply)
    except BROKEN_JSON:
        return None, 0, None, True
    if reply.response is not None or reply.object == "response":
        held = reply.response or _Response(reply.usage, reply.status)
        finish = _ENDS.get(held.status) if isinstance(held.status, str) else None
        usage, reasoning = _used(held.usage, 1) if held.usage is not None else (None, 0)
        return usage, reasoning, finish, True
    choices, stated = reply.choices or [], reply.usage
    if stated is None and reply.message is not None:
        stated = reply.message.usage
    finish = next((one.finish_reason for one in choices if isinstance(one.finish_reason, str)), None)
    if finish == "length" and all(one.message and one.message.content in (None, "") for one in choices):
        finish = EXHAUSTED
    if stated is None:
        return None, 0, finish, bool(choices)
    usage, reasoning = _used(stated, len(choices))
    return usage, reasoning, finish, bool(choices)


def stop_reason(usage: Usage | None, reasoning: int, finish: str | None) -> str:
    """Return how an answer of one call ended: thinking that ate it has a name of its own.

    Examples
    --------
    >>> stop_reason(Usage(output_tokens=50), 50, "length"), stop_reason(Usage(output_tokens=50), 9, "length")
    ('thinking_exhausted', 'complete')
    """
    ate = usage is not None and 0 < usage.output_tokens <= reasoning + _MARKS
    return EXHAUSTED if finish == EXHAUSTED or (finish == "length" and reasoning and ate) else "complete"


def _used(stated: object, n_choices: int) -> tuple[Usage, int]:
    counts = (count if count is not None and 0 <= count < 2**53 else 0 for count in stated_in(stated))
    prompt, output, cached, reasoning = counts
    usage = Usage(
        samples=max(n_choices, 1),
        requests=1,
        prompt_tokens=prompt,
        cached_prompt_tokens=min(cached, prompt),
        output_tokens=output,
    )
    return usage, reasoning


def counted(
    answer: Answer,
    told: Counted,
    *,
    added: Callable[[Usage | None, int, str | None], Mapping[str, object]] | None = None,
    hides_usage: bool = False,
) -> Answer:
    """Return an answer that is counted on its way.

    Parameters
    ----------
    answer : Answer
        Of the origin.
    told : callable
        Told of the usage once the answer has been sent, or dropped.
    added : callable, optional
        Fields that a whole reply in JSON gets, by what it has used.
    hides_usage : bool
        Whether a stream's last event, with the usage alone, is taken out.
    """
    if not isinstance(answer.body, bytes):
        events = (answer.header("content-type") or "").startswith("text/event-stream")
        packed = answer.header("content-encoding") not in (None, "identity")
        if not events or packed:
            return replace(answer, body=Watched(answer.body, lambda: told(None, 0, None)))
        return replace(answer, body=_Counting(answer.body, told, hides_usage=hides_usage))
    usage, reasoning, finish, _ = usage_in(answer.body)
    told(usage, reasoning, finish)
    if added is None or answer.status != 200:
        return answer
    try:
        value = msgspec.json.decode(answer.body)
    except BROKEN_JSON:
        return answer
    if not isinstance(value, dict):
        return answer
    return replace(answer, body=msgspec.json.encode({**value, **added(usage, reasoning, finish)}))


class _Counting:
    """The events of a stream, whole and as they came, but for one that the client did not ask for."""

    def __init__(self, pieces: Pieces, told: Counted, *, hides_usage: bool) -> None:
        self._pieces, self._iterator, self._told = pieces, aiter(pieces), told
        self._hides = hides_usage
        self._rest = b""
        self._usage: Usage | None = None
        self._reasoning = 0
        self._finish: str | None = None
        self._open, self._ended = True, False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            try:
                data = await anext(self._iterator)
            except StopAsyncIteration:
                self._ended = True
                rest, self._rest = self._rest, b""
                out = self._kept(rest) if rest else b""
                self._end()
                if out:
                    return out
                break
            except BaseException:
                self._end()
                raise
            out = self._take(data)
            if out:
                return out
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Drop what has not come yet."""
        self._end()
        await self._pieces.aclose()

    def _take(self, data: bytes) -> bytes:
        """Return the events that are whole now."""
        held = self._rest + data
        cut = max(held.rfind(b"\n\n") + 2, held.rfind(b"\r\n\r\n") + 4, held.rfind(b"\r\r") + 2)
        if cut < 5 and len(held) < _LONGEST and not held.endswith(b"\n\n"):
            self._rest = held
            return b""
        cut = cut if cut >= 5 or held.endswith(b"\n\n") else len(held)
        whole, self._rest = held[:cut], held[cut:]
        return self._kept(whole)

    def _kept(self, whole: bytes) -> bytes:
        if b'"usage"' not in whole and b'"response' not in whole and b'"finish_reason"' not in whole:
            return whole
        gap = b"\r\n\r\n" if b"\r\n\r\n" in whole else b"\n\n"
        kept = []
        for block in whole.split(gap):
            lines = [line[5:].strip() for line in block.splitlines() if line.startswith(b"data:")]
            usage, reasoning, finish, has_choices = (
                usage_in(b"\n".join(lines)) if lines else (None, 0, None, True)
            )
            self._finish = finish or self._finish
            if usage is not None:
                known = self._usage
                if known is not None and not usage.prompt_tokens:
                    # The endpoint for messages says what was read first, and what was written last.
                    usage = replace(
                        usage,
                        prompt_tokens=known.prompt_tokens,
                        cached_prompt_tokens=known.cached_prompt_tokens,
                    )
                self._usage, self._reasoning = usage, reasoning
                if self._hides and not has_choices:
                    continue
            kept.append(block)
        return gap.join(kept)

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._told(self._usage, self._reasoning, self._finish)
