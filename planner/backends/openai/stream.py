"""A reply of an OpenAI-compatible server that comes in pieces, so that its tokens are known at every moment.

Pieces are put together to what the same request would have brought at once. Until the last one has come, the
tokens are those that were seen: by the server's running count where it sends one (vLLM's
``continuous_usage_stats``, llama.cpp's ``timings_per_token``), by log-probabilities, or at least one per
piece of text. Sending is left to `planner.backends.openai.client`.
"""

from __future__ import annotations

from typing import Final

from difficulty.errors import InvalidResponseError
from planner.backends.openai.events import DONE, Events
from planner.backends.openai.failure import Failed, Way
from planner.backends.openai.wire import (
    Choice,
    Envelope,
    Part,
    Reply,
    Stated,
    open_envelope,
    read_part,
    read_reply,
    read_stated,
)
from policies.cost.usage import Usage

__all__ = ["Pieces", "stream_fields"]

_SHORT: Final = 64


def stream_fields(*, running_usage: bool) -> dict[str, object]:
    """Return the fields that make a server send its reply in pieces, with its counts."""
    options = {"include_usage": True} | ({"continuous_usage_stats": True} if running_usage else {})
    return {"stream": True, "stream_options": options}


class Pieces:
    """Puts a reply together as it comes, in pieces or, where `streamed` is false or ignored, as a whole.

    Parameters
    ----------
    n : int
        Choices asked for.
    streamed : bool
        Whether pieces were asked for.

    Examples
    --------
    >>> pieces = Pieces(n=1)
    >>> pieces.feed(b'data: {"choices": [{"delta": {"content": "4"}}]}\\n\\n')
    False
    >>> pieces.usage().output_tokens
    1
    >>> pieces.feed(b'data: {"choices": [{"delta": {"content": "2"}, "finish_reason": "stop"}]}\\n\\n')
    False
    >>> pieces.reply().choices[0].text
    '42'
    """

    def __init__(self, *, n: int, streamed: bool = True) -> None:
        self._n = n
        self._whole = bytearray()
        # A reply that begins like an object is a whole one, although pieces were asked for.
        self._is_whole: bool | None = None if streamed else True
        self._events = Events()
        self._choices: dict[int, Choice] = {}
        self._texts: dict[int, list[str]] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._tokens: dict[int, int] = {}
        self._prompt: int | None = None
        self._cached, self._output = 0, 0
        self._stated = Stated()
        self._done = False
        self.empty = False  # the reply had no choices
        self.mixed_up = False  # pieces of several choices came under one index: no text can be trusted

    @property
    def begun(self) -> bool:
        """Whether pieces of an answer have come."""
        return bool(self._choices)

    @property
    def settled(self) -> bool:
        """Whether all pieces and their counts have come, so that a break after them loses nothing."""
        ended = all(choice.finish is not None for choice in self._choices.values())
        return len(self._choices) >= self._n and ended and self._stated.output is not None

    @property
    def prompt_is_known(self) -> bool:
        """Whether the server has said how many tokens the prompt has."""
        return self._prompt is not None

    def feed(self, chunk: bytes) -> bool:
        """Take some bytes of the reply, and say whether it has ended.

        Raises
        ------
        InvalidResponseError
            When it is not what the protocol prescribes, or the server says that it failed.
        Failed
            When the server refuses, although it said that all is well.
        """
        if self._is_whole is None:
            start = chunk.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
            if not start:
                return False
            self._is_whole = start in b"{<"
        if self._is_whole:
            self._whole += chunk
            return False
        for data in self._events.feed(chunk):
            self._take(data)
        return self._done

    def reply(self) -> Reply:
        """Return the reply as if it had come at once.

        Raises
        ------
        InvalidResponseError
            When choices cannot be told apart, or the reply is none.
        Failed
            When the stream has ended early: a choice has no end, and no last event has come.
        """
        if self._is_whole:
            return self._with_choices(read_reply(self._whole))
        for data in self._events.end():
            self._take(data)
        ended = bool(self._choices) and all(one.finish is not None for one in self._choices.values())
        if not self._done and not ended:
            raise Failed(Way.BROKEN, "it ended before its last piece")
        # A server that ignores `n` and one that mixes its choices look alike.
        self.mixed_up |= 0 < len(self._choices) < self._n
        if self.mixed_up:
            raise InvalidResponseError("pieces of several choices came under one index")
        for index, choice in self._choices.items():
            choice.text = "".join(self._texts.get(index, ()))
            choice.reasoning = "".join(self._thoughts.get(index, ()))
        choices = [self._choices[index] for index in sorted(self._choices)]
        return self._with_choices(Reply(choices, self._stated))

    def usage(self) -> Usage:
        """Return what was seen so far; once the last piece has come it is what the server says in all."""
        if not self.begun and self._prompt is None:
            return Usage(samples=self._n, requests=1)
        shown = {index: len(choice.logprobs or ()) for index, choice in self._choices.items()}
        total = sum(max(count, self._tokens.get(index, 0)) for index, count in shown.items())
        prompt = self._prompt or 0
        return Usage(
            samples=self._n,
            requests=1,
            prompt_tokens=prompt,
            cached_prompt_tokens=min(self._cached, prompt),
            output_tokens=max(total, self._output),
        )

    def _with_choices(self, reply: Reply) -> Reply:
        self.empty = not reply.choices
        if self.empty:
            raise InvalidResponseError(
                "the server's reply has no choices",
                prompt_tokens=reply.stated.prompt or 0,
                output_tokens=reply.stated.output or 0,
            )
        return reply

    def _take(self, data: bytes) -> None:
        """Take the data of one event."""
        if data == DONE:
            self._done = True
            return
        if len(data) < _SHORT and b"{" not in data:
            return  # a sign of life
        envelope = open_envelope(data)
        parts = [read_part(raw) for raw in envelope.choices or ()]
        for part in parts:
            if part.error is not None and part.place is None and self._n > 1:
                raise InvalidResponseError(part.error.removeprefix("InvalidResponseError: "))
        places = [part.place or 0 for part in parts]
        self.mixed_up |= len(set(places)) < len(places)
        for place, part in zip(places, parts, strict=True):
            self._add(place, part)
        self._count(envelope, places)

    def _add(self, place: int, part: Part) -> None:
        choice = self._choices.setdefault(place, Choice())
        choice.add(part)
        if part.text:
            self._texts.setdefault(place, []).append(part.text)
        if part.reasoning:
            self._thoughts.setdefault(place, []).append(part.reasoning)
        if part.text or part.reasoning or part.calls:
            # A piece of text is at least one token.
            self._tokens[place] = self._tokens.get(place, 0) + 1

    def _count(self, envelope: Envelope, places: list[int]) -> None:
        """Take the server's own counts, as far as they can be."""
        timings = envelope.timings
        if isinstance(timings, dict):
            cached, read, written = (
                value if type(value := timings.get(name)) is int and value >= 0 else 0
                for name in ("cache_n", "prompt_n", "predicted_n")
            )
            self._prompt, self._cached = cached + read, cached
            if self._n == 1 and places:
                self._raise(places[0], written)
        stated = read_stated(envelope.usage)
        if stated.prompt is not None:
            self._prompt = max(stated.prompt, 0)
        if stated.cached is not None:
            self._cached = max(stated.cached, 0)
        if stated.output is None:
            return
        # A running count is that of the choice which the piece belongs to.
        if len(places) == 1:
            self._raise(places[0], stated.output)
        if self._n == 1 or not places:
            self._stated = stated
            self._output = max(stated.output, 0)

    def _raise(self, place: int, count: int) -> None:
        self._tokens[place] = max(self._tokens.get(place, 0), count)
