"""Hundreds of prompts on a server that misbehaves: nothing mixed up, lost or killed, all in the books."""

from __future__ import annotations

import gzip
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from both_drivers import run_concurrently, run_lockstep
from fake_openai_server import FakeOpenAIServer, Response, in_pieces, refusal

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.backends.openai import OpenAIBackend
from planner.drivers import Limits
from planner.ports.outcome import Outcome
from planner.strategies.task import Task
from policies.cost.usage import Usage
from policies.course.allocation import Allocation

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")

pytestmark = pytest.mark.usefixtures("short_waits")

CAP = 60
GENERATOR = Generator(name="g", model="m", temperature=1.0, max_output_tokens=CAP)
SOON = {"retry-after-ms": "1"}
HONEST = (
    "busy", "down", "busy in 200", "cut", "html", "filtered", "not utf-8", "impossible logprob", "deep",
    "fewer", "surplus", "parts", "packed", "no choices",
)  # fmt: skip
LIES = ("thousandfold", "huge", "negative", "too few", "prompt")


class Hostile:
    """Answers each prompt with its nonce, one token per character, and misbehaves at random.

    `told` is what it says that its replies cost, as long as that is true; `true` what they cost where it
    lies. Replies that it cuts off are in neither: how much of them was paid for is its secret.
    """

    def __init__(self, kinds: Sequence[str], *, share: float, seed: int) -> None:
        self.kinds, self.share = kinds, share
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.told, self.true = Usage(), Usage()
        self.n_lies = 0
        self.seen: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any], index: int) -> Response:
        with self.lock:
            return self._answer(body, index)

    def _answer(self, body: dict[str, Any], index: int) -> Response:
        kind = self.rng.choice(self.kinds) if index and self.rng.random() < self.share else "good"
        if kind == "fewer" and "n" not in body:
            kind = "good"
        self.seen[kind] += 1
        if kind in ("busy", "down"):
            return refusal("later", status=429 if kind == "busy" else 503, headers=SOON)
        if kind == "busy in 200":
            return Response(body=b'{"error": {"message": "Rate limit exceeded", "code": 429}}')
        if kind == "html":
            return Response(body=b"<html>gateway</html>")
        reply = _reply(body, kind)
        cost = Usage(
            requests=1,
            prompt_tokens=reply["usage"]["prompt_tokens"],
            output_tokens=reply["usage"]["completion_tokens"],
        )
        if kind == "cut":
            content = json.dumps(reply).encode()
            return Response(body=content, cut_after=self.rng.randrange(1, len(content) - 1))
        if kind in LIES:
            self.n_lies += len(reply["choices"])
            self.true += cost
            _lie(reply, kind)
        else:
            self.told += cost
        if body.get("stream"):
            return in_pieces(reply)
        content = json.dumps(reply).encode()
        if kind == "not utf-8":
            content = content.replace(b"nonce", b"non\xff\xfe", 1)
        if kind == "deep":
            content = b'{"deep": ' + b"[" * 50_000 + b", " + content
        if kind == "packed":
            return Response(body=gzip.compress(content), headers={"Content-Encoding": "gzip"})
        return Response(body=content)


def _reply(body: dict[str, Any], kind: str) -> dict[str, Any]:
    [nonce] = re.findall(r"nonce (\d+)", body["messages"][0]["content"])
    n = {"fewer": 1, "surplus": body.get("n", 1) + 1, "no choices": 0}.get(kind, body.get("n", 1))
    choices = []
    for index in range(n):
        text = f"seed {body['seed'] + index} of nonce {nonce}"
        shown = [{"token": "x", "logprob": -0.5}] * len(text)
        if kind == "impossible logprob":
            shown = [{"token": "x", "logprob": 3.0}] * len(text)
        content: Any = (
            [{"type": "text", "text": text}] if kind == "parts" and not body.get("stream") else text
        )
        finish = "content_filter" if kind == "filtered" else "stop"
        message = {"role": "assistant", "content": content}
        choices.append(
            {"index": index, "message": message, "finish_reason": finish, "logprobs": {"content": shown}}
        )
    tokens = sum(len(choice["logprobs"]["content"]) for choice in choices)
    usage = {"prompt_tokens": 9, "completion_tokens": tokens or 5}
    return {"choices": choices, "usage": usage}


def _lie(reply: dict[str, Any], kind: str) -> None:
    usage = reply["usage"]
    if kind == "thousandfold":
        usage["completion_tokens"] *= 1000
    elif kind == "huge":
        usage["completion_tokens"] = 10**18
    elif kind == "negative":
        usage["completion_tokens"] *= -1
    elif kind == "too few":
        usage["completion_tokens"] = 1
    else:
        usage["prompt_tokens"] = 10**12


def tasks(n: int) -> list[Task]:
    return [
        Task(
            prompt=Prompt(id=f"p{number}", text=f"say nonce {number}"),
            allocation=Allocation(generator="g", strategy="majority_vote", width=3),
            generator=GENERATOR,
            extractor=LastNumber(),
            seed=number,
        )
        for number in range(n)
    ]


async def run(
    hostile: Hostile, n: int, driver: Callable[..., Any], **limits: Any
) -> tuple[list[Outcome], Usage]:
    with FakeOpenAIServer(hostile) as server:
        async with OpenAIBackend(base_url=server.url, max_retries=30, timeout_seconds=30.0) as backend:
            outcomes = await driver(tasks(n), backend=backend, limits=Limits(max_concurrency=32, **limits))
    return outcomes, sum((outcome.usage for outcome in outcomes), Usage())


def check(outcomes: Sequence[Outcome], n: int) -> None:
    """Nothing mixed up, nothing lost: each prompt has its own nonce, or errors that say why it has none."""
    assert [outcome.prompt_id for outcome in outcomes] == [f"p{number}" for number in range(n)]
    for number, outcome in enumerate(outcomes):
        texts = [candidate.text for candidate in outcome.candidates if candidate.text]
        assert all(text.endswith(f" of nonce {number}") for text in texts)
        assert len(set(texts)) == len(texts), "a sample was drawn twice"
        assert len(outcome.candidates) == 3
        missing = sum(candidate.status == "failed" for candidate in outcome.candidates)
        failures = [e for e in outcome.errors if e.kind in ("InvalidResponseError", "BackendError")]
        assert len(failures) >= missing
        assert outcome.answer == str(number) or missing == 3


@pytest.mark.parametrize(
    ("driver", "seconds"),
    [(run_concurrently, None), (run_concurrently, 1000.0), (run_lockstep, None)],
    ids=["concurrent", "streamed", "lockstep"],
)
async def test_the_books_equal_those_of_a_server_that_tells_the_truth(
    driver: Callable[..., Any], seconds: float | None
) -> None:
    n = 500 if seconds is None and driver is run_concurrently else 150
    hostile = Hostile(HONEST, share=0.35, seed=n)
    outcomes, spent = await run(hostile, n, driver, max_seconds=seconds)
    check(outcomes, n)
    assert min(hostile.seen[kind] for kind in HONEST if kind != "fewer") > 0
    assert spent.output_tokens == hostile.told.output_tokens
    assert spent.prompt_tokens == hostile.told.prompt_tokens
    assert sum(outcome.answer is not None for outcome in outcomes) > 0.8 * n


async def test_the_books_are_bounded_where_a_server_lies() -> None:
    n = 200
    hostile = Hostile(LIES, share=0.5, seed=2)
    outcomes, spent = await run(hostile, n, run_concurrently)
    check(outcomes, n)
    truth = hostile.told + hostile.true
    # Never less than the truth, and at most the cap for each choice that was lied about.
    assert truth.output_tokens <= spent.output_tokens <= truth.output_tokens + CAP * hostile.n_lies
    assert truth.prompt_tokens <= spent.prompt_tokens <= truth.prompt_tokens + 20 * hostile.n_lies
    refused = sum(error.kind == "UsageRefused" for outcome in outcomes for error in outcome.errors)
    assert refused == sum(hostile.seen[kind] for kind in LIES)


async def test_a_budget_holds_whatever_a_server_says() -> None:
    hostile = Hostile(LIES, share=0.5, seed=3)
    _, spent = await run(hostile, 100, run_concurrently, max_output_tokens=3000)
    assert spent.output_tokens <= 3000
    assert (hostile.told + hostile.true).output_tokens > 0.9 * 3000
