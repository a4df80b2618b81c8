"""Seeded fuzz of replies and streams: typed or within bounds, whatever the bytes; no sockets."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from difficulty.errors import InvalidResponseError
from planner.backends.openai.completing import completions_of
from planner.backends.openai.counting import Asked, UsageMissing, count_tokens
from planner.backends.openai.failure import Failed
from planner.backends.openai.secret import Secret
from planner.backends.openai.stream import Pieces
from planner.ports.outcome import OutcomeError

N = 1500
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**18, -(10**400), 1.5, 1e308, "", "stop", "text", "\u2028", [], {},
    [[]], [None], [{}], {"type": "text", "text": "4"}, [{"text": ["4", 2]}], [{"thinking": {"text": "hm"}}],
    {"content": [{"logprob": -0.5}]}, {"content": [{"logprob": 2}, {}]}, {"token_logprobs": [None, -1]},
    {"cached_tokens": 10**9}, {"message": "busy", "code": 429}, {"code": "503"},
)  # fmt: skip


def _reply(rng: random.Random) -> dict[str, Any]:
    message = {"content": "the answer is 42", "reasoning_content": "hm"}
    logprobs = {"content": [{"logprob": -0.25}] * 3}
    choices = [
        {"index": i, "message": dict(message), "finish_reason": "stop", "logprobs": logprobs}
        for i in range(rng.randrange(4))
    ]
    details = {"cached_tokens": 2}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "prompt_tokens_details": details}
    return {"choices": choices, "usage": usage}


def _pieces(rng: random.Random) -> list[Any]:
    events: list[Any] = [
        {"choices": [{"index": rng.randrange(2), "delta": {"content": "4"}, "finish_reason": None}]}
        for _ in range(rng.randrange(5))
    ]
    events += [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in range(2)]
    return [*events, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}]


def _spoilt(value: Any, rng: random.Random) -> Any:
    """Return a copy in which something somewhere is another thing, missing, or there twice."""
    if rng.random() < 0.12:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        kept = {key: _spoilt(part, rng) for key, part in value.items() if rng.random() > 0.04}
        return kept | ({"error": rng.choice(VALUES)} if rng.random() < 0.02 else {})
    if isinstance(value, list):
        return [_spoilt(part, rng) for part in value for _ in range(1 + (rng.random() < 0.05))]
    return value


def _bytes(text: bytes, rng: random.Random) -> bytes:
    """Return bytes of which some are wrong."""
    data = bytearray(text)
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        if data:
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice(
                (b"", b"\xff", b"\x00", b"{", b'"', b"\r", b"1e999", b"[" * 5000)
            )
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def _whole(rng: random.Random) -> bytes:
    return _bytes(json.dumps(_spoilt(_reply(rng), rng)).encode(), rng)


def _stream(rng: random.Random) -> bytes:
    end = rng.choice(("\n\n", "\r\n\r\n", "\n", "\r\r"))
    ascii_only = rng.random() < 0.5
    events = [json.dumps(_spoilt(event, rng), ensure_ascii=ascii_only) for event in _pieces(rng)]
    lines = [f"data: {event}{end}" for event in [*events, "[DONE]"]]
    return _bytes("".join(lines).encode("utf-8", "surrogatepass"), rng)


def _taken(data: bytes, *, n: int, streamed: bool, rng: random.Random) -> str:
    """Read bytes as the backend does, in chunks, and return what became of them."""
    cap = rng.choice((None, 50))
    asked = Asked(n=n, prompt="6*7?", most_output=cap, counter=rng.choice((None, len)))
    pieces = Pieces(n=n, streamed=streamed)
    try:
        while data:
            at = rng.randrange(1, 200)
            chunk, data = data[:at], data[at:]
            pieces.feed(chunk)
            used = asked.bounded(pieces.usage())
            assert 0 <= used.cached_prompt_tokens <= used.prompt_tokens <= asked.most_prompt
            assert cap is None or 0 <= used.output_tokens <= n * cap
        reply = pieces.reply()
        counts = count_tokens(reply, asked)
    except (Failed, InvalidResponseError, UsageMissing) as error:
        assert len(str(error)) < 5000
        return type(error).__name__
    samples = completions_of(
        reply,
        counts,
        failed_requests=0,
        lost=(0, 0),
        remarks=counts.remarks,
        echo="",
        secret=Secret("sk-12345678"),
    )
    assert 1 <= len(samples) <= n
    for sample in samples:
        assert isinstance(sample.text, str) and sample.text.encode("utf-8", "strict") is not None
        assert cap is None or 0 <= sample.output_tokens <= cap * len(reply.choices)
        assert sample.finish_reason in ("stop", "length", "cancelled", "error")
        assert (sample.error is None) == (sample.finish_reason != "error")
        assert sample.mean_logprob is None or (
            sample.mean_logprob <= 0 and math.isfinite(sample.mean_logprob)
        )
        assert all(OutcomeError.parse(remark).kind != "BackendError" for remark in sample.remarks)
    assert 0 <= counts.cached <= counts.prompt <= asked.most_prompt
    assert cap is None or sum(counts.output) + counts.surplus <= cap * len(reply.choices)
    return "completion"


@pytest.mark.parametrize(("make", "streamed"), [(_whole, False), (_stream, True), (_whole, True)])
@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_a_server_sends_goes_through_unread(
    make: Callable[[random.Random], bytes], streamed: bool, seed: int
) -> None:
    rng = random.Random(seed)
    became = [_taken(make(rng), n=rng.randrange(1, 4), streamed=streamed, rng=rng) for _ in range(N)]
    # The fuzz is neither all noise nor all good.
    assert {"completion", "InvalidResponseError", "Failed"} <= set(became)
    assert became.count("completion") > N / 20
