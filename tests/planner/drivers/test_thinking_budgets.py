"""A thinking budget that a server ignores is counted and said by both drivers, and charged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from both_drivers import run_concurrently, run_lockstep

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.thinking import IGNORED, ignored_budget, thought_tokens
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedExtractor
from planner.strategies.task import Task
from policies.course.allocation import Allocation


def completion(**more: Any) -> Completion:
    given = {"text": "answer: 42", "prompt_tokens": 5, "output_tokens": 200, "finish_reason": "stop"}
    return Completion(**(given | more))


@pytest.mark.parametrize(
    ("more", "budget", "ignored"),
    [
        ({"reasoning_tokens": 64}, 64, False),
        ({"reasoning_tokens": 80}, 64, False),  # a closing mark
        ({"reasoning_tokens": 81}, 64, True),
        ({"reasoning_tokens": 81}, None, False),
        ({"reasoning_tokens": 81}, 0, True),
        ({"reasoning": "x" * 90}, 64, True),  # 180 of 200 tokens, by its letters
        ({"reasoning": "x" * 10}, 90, False),
        ({"text": "<think>" + "x" * 90 + "</think>42"}, 64, True),
        ({"text": "<think>" + "x" * 900}, 64, True),
        ({"text": "a < b and no thought at all"}, 0, False),
        ({"text": "", "output_tokens": 0}, 0, False),
    ],
)
def test_reasoning_is_counted_by_what_is_known_of_it(
    more: dict[str, Any], budget: int | None, ignored: bool
) -> None:
    said = ignored_budget(completion(**more), budget)
    assert (said is not None) is ignored
    if said is not None and "reasoning_tokens" not in more:
        assert said.startswith("about ")
        assert thought_tokens(completion(**more))[0] > 64


class Thinking:
    """A backend whose second sample thinks on and on."""

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [
            [completion(reasoning_tokens=150 if (request.seed + i) % 2 else 20) for i in range(request.n)]
            for request in requests
        ]


@pytest.mark.parametrize("drive", [run_lockstep, run_concurrently])
def test_an_outcome_says_that_a_budget_was_ignored(drive: Any) -> None:
    task = Task(
        prompt=Prompt(id="p", text="6 x 7?"),
        allocation=Allocation(generator="g", strategy="majority_vote", width=2),
        generator=Generator(name="g", thinking_tokens=64),
        extractor=SimulatedExtractor(),
        seed=0,
    )
    (outcome,) = asyncio.run(drive([task], backend=Thinking()))
    assert outcome.answer == "42"
    assert outcome.usage.output_tokens == 400
    (error,) = outcome.errors
    assert error.kind == IGNORED
    assert "150 reasoning tokens where at most 64" in error.reason
