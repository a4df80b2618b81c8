"""What a plug-in gets wrong is said in words on its first reply, by both drivers, and is never an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from planner import Budget, Completion, Generator, Planner, Prompt, collect
from planner.simulated import SimulatedBackend, SimulatedExtractor

GOOD = Completion(text="answer: 1", prompt_tokens=3, output_tokens=2, finish_reason="stop")
PROMPTS = [Prompt(id=name, text=f"question {name}") for name in "ab"]


class Replies:
    """A backend, or a verifier, that returns what it is told to."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    async def sample(self, requests: Any) -> Any:
        return self.reply

    score = sample


class Plain:
    def sample(self, requests: Any) -> Any:
        return [[GOOD] for _ in requests]

    score = sample


def run(backend: Any, driver: Any, **how: Any) -> object:
    asked = how or {"budget": Budget(limit=2, unit="samples")}
    return Planner.untrained().run(
        PROMPTS, backend=backend, extractor=SimulatedExtractor(), driver=driver, **asked
    )


@pytest.mark.parametrize("driver", ["lockstep", "concurrent"])
@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (Plain(), "Plain.sample must be asynchronous: write `async def`"),
        (Replies(None), "Replies.sample must return a list for each request.* got NoneType"),
        (Replies([7, 7]), "must return a list for each request"),
        (Replies([["42"], ["42"]]), "must return a Completion for each sample, got str"),
        (
            Replies([[replace(GOOD, finish_reason="eos")]] * 2),
            "one of stop, length, cancelled, error; got 'eos'",
        ),  # type: ignore[arg-type]
        (
            Replies([[replace(GOOD, output_tokens=None)]] * 2),
            "must count tokens in whole numbers, got 3 .* None",
        ),  # type: ignore[arg-type]
        (Replies, "got the class Replies"),
    ],
)
def test_what_is_no_reply_is_raised(driver: str, backend: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        run(backend, driver)


@pytest.mark.parametrize("driver", ["lockstep", "concurrent"])
@pytest.mark.parametrize(
    ("verifier", "words"),
    [(Plain(), "Plain.score must be asynchronous"), (Replies([0.5, 0.5]), "one float for each sample")],
)
def test_a_verifier_that_returns_no_scores_is_said(driver: str, verifier: Any, words: str) -> None:
    planner = Planner.untrained(objective="coverage")
    with pytest.raises(InvalidInputError, match=words):
        planner.run(
            PROMPTS,
            budget=Budget(limit=2, unit="samples"),
            backend=SimulatedBackend(),
            extractor=SimulatedExtractor(),
            verifier=verifier,
            driver=driver,  # type: ignore[arg-type]
        )


def test_a_list_of_generators_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"generators must map names to Generators.* got list"):
        collect(
            PROMPTS,
            tmp_path / "log.jsonl",
            generators=[Generator(name="tiny")],  # type: ignore[arg-type]
            backend=SimulatedBackend(),
            samples=2,
        )
