"""Replies and events that are read at once say the same as those that are read choice by choice.

A byte order mark in front of a reply has it read with care, and changes nothing else.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from difficulty.errors import InvalidResponseError
from planner.backends.openai.events import Events
from planner.backends.openai.failure import Failed
from planner.backends.openai.stream import Pieces
from planner.backends.openai.wire import read_event

_MARK = b"\xef\xbb\xbf"
_LOGPROB = {"content": [{"token": "4", "logprob": -0.5}]}
_CHOICES: dict[str, dict[str, Any]] = {
    "a word": {"index": 0, "delta": {"content": "4"}},
    "a word with its log-probability": {"index": 1, "delta": {"content": "4"}, "logprobs": _LOGPROB},
    "an empty word": {"index": 0, "delta": {"role": "assistant", "content": ""}, "stop_reason": None},
    "an end": {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "\n"},
    "thinking": {"index": 0, "delta": {"content": None, "reasoning_content": "hm"}},
    "a call": {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}},
    "two log-probabilities": {
        "index": 0,
        "delta": {"content": "42"},
        "logprobs": {"token_logprobs": [-1, 0]},
    },
    "one that is missing": {"index": 0, "text": "42", "logprobs": {"token_logprobs": [None, -1.5]}},
    "one above 0": {"index": 0, "delta": {"content": "4"}, "logprobs": {"content": [{"logprob": 2.0}]}},
    "no log-probabilities": {"index": 0, "delta": {"content": "4"}, "logprobs": []},
    "parts": {"message": {"content": [{"type": "text", "text": "4"}, {"type": "thinking", "thinking": "h"}]}},
    "no index": {"delta": {"content": "4"}},
    "an index in words": {"index": "0", "delta": {"content": "4"}},
    "an index with a point": {"index": 1.0, "delta": {"content": "4"}},
    "a rounded log-probability": {
        "index": 0,
        "delta": {"content": "4"},
        "logprobs": {"content": [{"logprob": 1e-5}]},
    },
    "no calls": {"index": 0, "delta": {"content": "4", "reasoning": "", "tool_calls": []}},
    "a number for a text": {"index": 0, "delta": {"content": 42}},
}
_USAGES: list[Any] = [None, {}, {"prompt_tokens": 3, "completion_tokens": 2}, "much", [1]]


@pytest.mark.parametrize("choice", _CHOICES.values(), ids=_CHOICES.keys())
@pytest.mark.parametrize("usage", _USAGES, ids=str)
def test_an_event_says_the_same_at_once_and_with_care(choice: dict[str, Any], usage: object) -> None:
    event = json.dumps({"choices": [choice], "usage": usage, "timings": {"prompt_n": 3}}).encode()
    assert read_event(event) == read_event(_MARK + event)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("choice", _CHOICES.values(), ids=_CHOICES.keys())
def test_a_stream_says_the_same_at_once_and_with_care(choice: dict[str, Any], n: int) -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": 7}
    bodies: list[dict[str, Any]] = [
        {"choices": [_CHOICES["a word"] | {"index": 0}]},
        {"choices": [choice]},
        {"choices": [_CHOICES["a word with its log-probability"]], "usage": counted},
        {"choices": [_CHOICES["an end"] | {"index": index} for index in range(2)]},
    ]
    events = [json.dumps(body).encode() for body in bodies]
    assert told(events, n) == told([_MARK + event for event in events], n)


def told(events: list[bytes], n: int) -> list[object]:
    """Return what is known of a stream after each event, and in the end."""
    pieces, known = Pieces(n=n), list[object]()
    try:
        for event in events:
            pieces.feed(b"data: " + event + b"\n\n")
            known.append((pieces.begun, pieces.settled, pieces.usage()))
        known.append(pieces.reply())
    except (Failed, InvalidResponseError) as error:
        known.append((type(error), str(error)))
    return known


@pytest.mark.parametrize("seed", range(4))
def test_events_are_the_same_wherever_a_stream_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    lines = [
        b'data: {"a": 1}\n\n',
        b"data: 2\n\n",
        b": hi\n\n",
        b'data: {"b": 2}\n',
        b"data: 3\r\n\r\n",
        b"data: 4\r\r",
        b"data:\n\n",
    ]
    for _ in range(300):
        stream = b"".join(rng.choices(lines, [9, 9, 1, 1, 1, 1, 1], k=8)) + b"data: [DONE]\n\n"
        cuts = sorted(rng.choices(range(len(stream)), k=rng.randrange(5)))
        pieces, letters = Events(), Events()
        ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
        came = [one for begin, end in ends for one in pieces.feed(stream[begin:end])]
        assert came == [one for byte in stream for one in letters.feed(bytes([byte]))]


def test_events_that_come_at_once_are_those_that_come_letter_by_letter() -> None:
    stream = b'data: {"choices": [{"index": 0, "delta": {"content": "a\\n\\ndata: b"}}]}\n\n'
    stream += b'data: {"choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}]}\n\n'
    stream += b": alive\n\ndata: [DONE]\n\n"
    whole, letters = Pieces(n=1), Pieces(n=1)
    ended = [letters.feed(stream[at : at + 1]) for at in range(len(stream))][-1]
    assert whole.feed(stream) is ended is True
    assert whole.reply() == letters.reply()
    assert whole.reply().choices[0].text == "a\n\ndata: bc"
