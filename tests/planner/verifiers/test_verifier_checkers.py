"""Checkers: exact match, functions, log-probability."""

from __future__ import annotations

import math

import pytest

from difficulty.errors import VerifierError
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber, MultipleChoice
from planner.ports.ports import ScoreRequest
from planner.verifiers.exact import Checker, ExactMatch
from planner.verifiers.mean_logprob import MeanLogprob

PROMPT = Prompt(id="p1", text="6*7?", gold="42")


def request(*texts: str, logprobs: tuple[float | None, ...] = (), prompt: Prompt = PROMPT) -> ScoreRequest:
    return ScoreRequest(prompt=prompt, completions=tuple((text,) for text in texts), mean_logprobs=logprobs)


async def test_exact_match_agrees_by_value_and_an_abstention_is_wrong() -> None:
    scores = await ExactMatch(extractor=LastNumber()).score([request("it is 42.0", "41", "no idea")])
    assert scores == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize("gold", [None, "Tuesday"])
async def test_exact_match_without_a_usable_reference_is_an_error(gold: str | None) -> None:
    prompt = Prompt(id="p1", text="?", gold=gold)
    with pytest.raises(VerifierError, match="p1"):
        await ExactMatch(extractor=MultipleChoice()).score([request("A", prompt=prompt)])


async def test_checker_sees_the_joined_steps() -> None:
    checker = Checker(function=lambda prompt, text: text == prompt.text)
    steps = ScoreRequest(prompt=PROMPT, completions=(("6*", "7?"), ("6",)))
    assert await checker.score([steps]) == [[1.0, 0.0]]


async def test_a_checker_that_gives_no_number_is_an_error() -> None:
    with pytest.raises(VerifierError, match="finite number"):
        await Checker(function=lambda _prompt, _text: float("nan")).score([request("x")])


async def test_mean_logprob_is_never_made_up() -> None:
    [scores] = await MeanLogprob().score([request("a", "b", logprobs=(-1.0, -0.5))])
    assert scores == pytest.approx([math.exp(-1.0), math.exp(-0.5)])
    for logprobs in ((), (-1.0, None)):
        with pytest.raises(VerifierError, match="p1"):
            await MeanLogprob().score([request("a", "b", logprobs=logprobs)])
