"""What most events of a stream are, one more piece of text of one choice, read as fast as can be.

The decoder itself refuses all that is more than that, or odd; such events are read with more care by
`planner.backends.openai.wire`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from planner.backends.openai.logprobs import TokenLogprob
from planner.backends.openai.stated import BROKEN_JSON


class _WordDelta(msgspec.Struct, gc=False):
    content: str
    reasoning_content: Literal["", None] = None
    reasoning: Literal["", None] = None
    tool_calls: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None


class _WordLogprobs(msgspec.Struct, gc=False):
    content: tuple[TokenLogprob]


class _WordChoice(msgspec.Struct, gc=False):
    index: int
    delta: _WordDelta
    logprobs: _WordLogprobs | None = None
    stop_reason: msgspec.UnsetType | None = msgspec.UNSET
    finish_reason: None = None
    message: None = None


class Word(msgspec.Struct, gc=False):
    """What most events of a stream are: one more piece of text of one choice, and nothing else."""

    choices: tuple[_WordChoice]
    usage: Any = None
    error: None = None
    timings: None = None


_WORD: Final = msgspec.json.Decoder(Word)


def read_word(content: bytes) -> Word | None:
    """Read an event that is one more piece of text; None for all others, which are read with more care.

    Examples
    --------
    >>> read_word(b'{"choices": [{"index": 0, "delta": {"content": "4"}}]}').choices[0].delta.content
    '4'
    >>> read_word(b'{"choices": [{"index": 0, "delta": {"reasoning": "4"}}]}') is None
    True
    """
    try:
        return _WORD.decode(content)
    except BROKEN_JSON:
        return None
