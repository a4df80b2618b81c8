"""A reply of an OpenAI-compatible server that comes in pieces, so that its tokens are known at every moment.

Pieces are put together to what the same request would have brought at once. Until the last one has come, the
tokens are those that were seen: by the server's running count where it sends one (vLLM's
``continuous_usage_stats``, llama.cpp's ``timings_per_token``), by log-probabilities, or at least one per
piece of text. Sending is left to `planner.backends.openai.client`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from difficulty.errors import InvalidResponseError
from planner.backends.openai.wire import Choice, Logprobs, Message, Reply, WireUsage
from policies.cost.usage import Usage

__all__ = ["Pieces", "stream_fields"]


class Delta(msgspec.Struct):
    """What a piece adds to a chat message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class PartOfChoice(msgspec.Struct):
    """What a piece adds to a choice."""

    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    stop_reason: str | int | msgspec.UnsetType | None = msgspec.UNSET


class Timings(msgspec.Struct):
    """Running counts of llama.cpp: prompt tokens from the cache and read, tokens generated."""

    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class Piece(msgspec.Struct):
    """One event of the stream."""

    choices: list[PartOfChoice] = msgspec.field(default_factory=list)
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: Any = None


_PREFIX: Final = "data:"


def stream_fields(*, running_usage: bool) -> dict[str, object]:
    """Return the fields that make a server send its reply in pieces, with its counts."""
    options = {"include_usage": True} | ({"continuous_usage_stats": True} if running_usage else {})
    return {"stream": True, "stream_options": options}


class Pieces:
    """Puts a reply together as it comes.

    Parameters
    ----------
    n : int
        Choices asked for.

    Examples
    --------
    >>> pieces = Pieces(n=1)
    >>> pieces.take('data: {"choices": [{"delta": {"content": "4"}}]}')
    >>> pieces.usage().output_tokens
    1
    >>> pieces.take('data: {"choices": [{"delta": {"content": "2"}, "finish_reason": "stop"}]}')
    >>> pieces.reply().choices[0].message.content
    '42'
    """

    def __init__(self, *, n: int) -> None:
        self._n = n
        self._choices: dict[int, Choice] = {}
        self._tokens: dict[int, int] = {}
        self._prompt, self._cached = 0, 0
        self._last: WireUsage | None = None
        self._whole = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._choices) or self._last is not None

    def take(self, line: str) -> None:
        """Take one line of the stream; what is no data is skipped.

        Raises
        ------
        InvalidResponseError
            When it is not what the protocol prescribes, or the server says that it failed.
        """
        if not line.startswith(_PREFIX):
            return
        data = line.removeprefix(_PREFIX).strip()
        if data == "[DONE]":
            self._whole = True
            return
        try:
            piece = msgspec.json.decode(data, type=Piece)
        except msgspec.DecodeError as error:
            raise InvalidResponseError(f"a piece of the reply is none ({error}): {data[:80]!r}") from error
        if piece.error is not None:
            raise InvalidResponseError(f"the server failed half-way: {str(piece.error)[:200]}")
        for part in piece.choices:
            self._add(part)
        self._count(piece)

    def reply(self) -> Reply:
        """Return the reply as if it had come at once.

        Raises
        ------
        InvalidResponseError
            When the stream has ended early: its last choice has no end, and no last line has come.
        """
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not self._whole and any(choice.finish_reason is None for choice in choices):
            raise InvalidResponseError("the stream of the reply broke off")
        if len(choices) > self._n:
            raise InvalidResponseError(
                f"the server sent {len(choices)} choices where {self._n} were asked for"
            )
        usage = self._last
        if usage is not None and min(usage.prompt_tokens, usage.completion_tokens) < 0:
            raise InvalidResponseError(f"the server counts {usage.completion_tokens} output tokens")
        return Reply(choices=choices, usage=usage)

    def usage(self) -> Usage:
        """Return what is known to have been used so far; a lower bound until the end."""
        seen = {index: _n_shown(choice) for index, choice in self._choices.items()}
        tokens = {index: max(count, self._tokens.get(index, 0)) for index, count in seen.items()}
        total = sum(tokens.values())
        if self._whole and self._last is not None:
            total = max(total, self._last.completion_tokens)
        return Usage(
            samples=self._n,
            requests=1,
            prompt_tokens=self._prompt,
            cached_prompt_tokens=min(self._cached, self._prompt),
            output_tokens=total,
        )

    def _add(self, part: PartOfChoice) -> None:
        choice = self._choices.setdefault(part.index, Choice(index=part.index))
        added = part.text
        if part.delta is not None:
            message = choice.message or Message()
            choice.message = message
            thought = part.delta.reasoning_content or part.delta.reasoning
            if part.delta.content is not None:
                message.content = (message.content or "") + part.delta.content
            if thought is not None:
                message.reasoning_content = (message.reasoning_content or "") + thought
            added = part.delta.content or thought
        elif part.text is not None:
            choice.text = (choice.text or "") + part.text
        choice.finish_reason = part.finish_reason or choice.finish_reason
        if not isinstance(part.stop_reason, msgspec.UnsetType):
            choice.stop_reason = part.stop_reason
        if part.logprobs is not None:
            _extend(choice, part.logprobs)
        if added:
            # A piece of text is at least one token.
            self._tokens[part.index] = self._tokens.get(part.index, 0) + 1

    def _count(self, piece: Piece) -> None:
        """Take the server's own counts."""
        if piece.timings is not None:
            self._prompt = piece.timings.cache_n + piece.timings.prompt_n
            self._cached = piece.timings.cache_n
            if self._n == 1 and piece.choices:
                self._raise(piece.choices[0].index, piece.timings.predicted_n)
        if piece.usage is None:
            return
        self._last, self._prompt = piece.usage, piece.usage.prompt_tokens
        details = piece.usage.prompt_tokens_details
        self._cached = (details.cached_tokens or 0) if details else self._cached
        # A running count is that of the choice which the piece belongs to.
        if len(piece.choices) == 1:
            self._raise(piece.choices[0].index, piece.usage.completion_tokens)

    def _raise(self, index: int, count: int) -> None:
        self._tokens[index] = max(self._tokens.get(index, 0), count)


def _extend(choice: Choice, more: Logprobs) -> None:
    """Append log-probabilities."""
    held = choice.logprobs
    if held is None:
        choice.logprobs = more
        return
    if more.content is not None:
        held.content = held.content or []
        held.content += more.content
    if more.token_logprobs is not None:
        held.token_logprobs = held.token_logprobs or []
        held.token_logprobs += more.token_logprobs


def _n_shown(choice: Choice) -> int:
    """Return how many tokens have log-probabilities."""
    if choice.logprobs is None:
        return 0
    return len(choice.logprobs.content or choice.logprobs.token_logprobs or ())
