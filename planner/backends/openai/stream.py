"""A reply of an OpenAI-compatible server that comes in pieces, so that its tokens are known at every moment.

Pieces are put together to what the same request would have brought at once. Until the last one has come, the
tokens are those that were seen: by the server's running count where it sends one (vLLM's
``continuous_usage_stats``, llama.cpp's ``timings_per_token``), by log-probabilities, or at least one per
piece of text. Sending is left to `planner.backends.openai.client`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from difficulty.errors import InvalidResponseError
from planner.backends.openai.events import DONE, Events
from planner.backends.openai.failure import Failed, Way
from planner.backends.openai.stated import NOTHING_STATED, Stated, stated_in
from planner.backends.openai.wire import Choice, Reply, read_event, read_reply
from planner.backends.openai.words import Word, read_word
from policies.cost.usage import Usage

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
        self._choices = defaultdict[int, Choice](Choice)
        self._prompt: int | None = None
        self._cached, self._output = 0, 0
        self._stated = NOTHING_STATED
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
        ended = all(one.finish is not None for one in self._choices.values())
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
        ended = self.begun and all(one.finish is not None for one in self._choices.values())
        if not self._done and not ended:
            raise Failed(Way.BROKEN, "it ended before its last piece")
        # A server that ignores `n` and one that mixes its choices look alike.
        self.mixed_up |= 0 < len(self._choices) < self._n
        if self.mixed_up:
            raise InvalidResponseError("pieces of several choices came under one index")
        choices = [self._choices[index] for index in sorted(self._choices)]
        return self._with_choices(Reply(choices, self._stated))

    def usage(self) -> Usage:
        """Return what was seen so far; once the last piece has come it is what the server says in all."""
        if not self.begun and self._prompt is None:
            return Usage(samples=self._n, requests=1)
        total = sum(max(len(one.logprobs), one.n_tokens) for one in self._choices.values())
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
        word = read_word(data)
        if word is not None:
            self._say(word)
            return
        if data == DONE:
            self._done = True
            return
        if len(data) < _SHORT and b"{" not in data:
            return  # a sign of life
        event = read_event(data)
        for part in event.parts:
            if part.error is not None and part.place is None and self._n > 1:
                raise InvalidResponseError(part.error.removeprefix("InvalidResponseError: "))
        places = [part.place or 0 for part in event.parts]
        if len(places) > 1:
            self.mixed_up |= len(set(places)) < len(places)
        for part in event.parts:
            self._choices[part.place or 0].add(part)
        if isinstance(event.timings, dict):
            self._time(event.timings, places)
        self._count(event.stated, places)

    def _say(self, word: Word) -> None:
        """Take one more piece of text; streams are made of these, so that little is done for each."""
        (said,) = word.choices
        choice = self._choices[said.index]
        if text := said.delta.content:
            choice.texts.append(text)
            choice.n_tokens += 1
        if said.logprobs is not None:
            choice.logprobs.append(said.logprobs.content[0].logprob)
        if said.stop_reason is None:
            choice.stop_string, choice.stop_stated = "", True
        if word.usage is not None:
            self._count(stated_in(word.usage), [said.index])

    def _time(self, timings: dict[str, object], places: list[int]) -> None:
        """Take the counts of llama.cpp, which come with its timings."""
        cached, read, written = (
            value if type(value := timings.get(name)) is int and value >= 0 else 0
            for name in ("cache_n", "prompt_n", "predicted_n")
        )
        self._prompt, self._cached = cached + read, cached
        if self._n == 1 and places:
            self._choices[places[0]].raise_to(written)

    def _count(self, stated: Stated, places: list[int]) -> None:
        """Take the server's own counts, as far as they can be."""
        if stated.prompt is not None:
            self._prompt = max(stated.prompt, 0)
        if stated.cached is not None:
            self._cached = max(stated.cached, 0)
        if stated.output is None:
            return
        # A running count is that of the choice which the piece belongs to.
        if len(places) == 1:
            self._choices[places[0]].raise_to(stated.output)
        if self._n == 1 or not places:
            self._stated = stated
            self._output = max(stated.output, 0)
