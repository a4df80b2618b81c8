"""Hundreds of clients against an upstream that delays, resets, refuses, babbles, dies and comes back."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Got, chat, serving

NONCE = re.compile(r"nonce-\d+")


class Chaos:
    """Behaves badly at random, and counts the tokens of what it has answered well."""

    def __init__(self, seed: int) -> None:
        self.rng, self.tokens, self.samples, self.down = random.Random(seed), 0, 0, False

    async def __call__(self, asked: Asked, _: int) -> Said:
        for _ in range(self.rng.randrange(20)):
            await asyncio.sleep(0)
        draw = self.rng.random()
        if self.down:
            return Said(status=503, body=b"down")
        if draw < 0.05:
            return Said(status=429, body=b'{"error": {"message": "slow down"}}', headers={"retry-after": "0"})
        if draw < 0.10:
            return Said(status=500, body=b"oops")
        if draw < 0.15:
            return Said(body=b"<html>proxy error</html>")
        if draw < 0.20:
            return Said(body=b'{"choices": []}')
        body = asked.json
        nonce = NONCE.search(body["messages"][0]["content"])
        assert nonce is not None
        text = f"{nonce[0]} is {self.rng.choice([41, 42, 42])}"
        said = completion(body, text)
        if draw < 0.25:
            return Said(body=said.body, headers=said.headers, breaks=True)
        self.tokens += len(text)
        self.samples += 1
        return said


def fields_of(page: str, name: str) -> float:
    """Sum a counter over its labels."""
    lines = [line for line in page.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize(("n_clients", "each"), [(100, 3), pytest.param(500, 20, marks=pytest.mark.slow)])
async def test_no_answer_is_lost_mixed_up_or_unpaid(n_clients: int, each: int) -> None:
    chaos = Chaos(n_clients)
    got: dict[int, Got] = {}

    async def client(bed: Any, number: int) -> None:
        for turn in range(each):
            nonce = number * each + turn
            stream = {"stream": True} if nonce % 5 == 0 else {}
            got[nonce] = await bed.ask(chat(f"say nonce-{nonce}.", **stream))

    async with ScriptedUpstream(chaos) as up, serving(up, upstream={"max_retries": 1}) as bed:
        work = asyncio.gather(*(client(bed, number) for number in range(n_clients)))
        while len(got) < n_clients:
            await asyncio.sleep(0.001)
        chaos.down = True
        await asyncio.sleep(0.05)
        chaos.down = False
        await work
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
        assert bed.service.handler.in_flight == 0
    assert len(got) == n_clients * each
    n_answered = 0
    for nonce, one in got.items():
        assert one.status in (200, 429, 502, 503)
        assert b"Traceback" not in one.body
        if one.status == 200 and b'"error"' not in one.body:
            n_answered += 1
            assert NONCE.findall(one.text) == [f"nonce-{nonce}"]
    assert n_answered > 0.8 * len(got)
    assert fields_of(page, 'planner_tokens_total{kind="output"') == chaos.tokens
