"""Courses that extend chains or end in a search."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scripted_samples import FAILED, Letters, Scripted, follow, work
from strategy_contract import backend, play

from difficulty.errors import InvalidInputError
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedVerifier
from planner.strategies.follow import Follow
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, Success

BEAM = Step(generator="a", n=4, kind="search", strategy="beam_search", params={"beam_width": 2})


CHAIN = Step(generator="a", n=2, kind="revise")


def test_a_search_draws_other_samples_than_the_probe_before_it() -> None:
    course = Course(steps=(*waves("a", (2,)), BEAM), stop=Agreement(count=3))
    asked = [
        ask.request
        for asks in play(work(course), source=backend(default_success=0.0)).rounds
        for ask in asks
        if isinstance(ask.request, SampleRequest)
    ]
    seeds = [{one.seed + at for at in range(one.n)} for one in asked]
    assert len(asked) > 1 and not seeds[0] & set().union(*seeds[1:])


def test_chains_are_extended_attempt_by_attempt_until_the_rule_is_content() -> None:
    one_shot = Course(steps=(CHAIN,) * 3)
    whole = follow(one_shot, backend())
    course = Course(steps=(CHAIN,) * 3, stop=Agreement(count=3))
    played = follow(course, backend(default_success=1.0))
    assert played.samples_per_round == [2, 2] and played.outcome.stop_reason == "satisfied"
    places = [(one.chain, one.step) for one in whole.outcome.candidates]
    assert places == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    # Asked or not, attempts are the same samples.
    apart = follow(Course(steps=(CHAIN,) * 3, stop=Agreement(count=9)), backend())
    assert apart.outcome.candidates == whole.outcome.candidates


@pytest.mark.parametrize(
    ("script", "rounds", "answer"),
    [("xyzzzz", [2], "y"), ("xxzyzz", [2, 2], "y"), ("xxzzzz", [2, 2, 2], None)],
)
def test_a_checker_looks_at_each_attempt_of_a_chain(
    script: str, rounds: list[int], answer: str | None
) -> None:
    course = Course(steps=(CHAIN,) * 3, stop=Success(), selection=Selection(by="first_success"))
    verifier = Letters({"y": 1.0})
    played = follow(course, Scripted({"a": script}), verifier)
    assert played.samples_per_round == rounds and played.outcome.answer == answer
    assert played.outcome.stop_reason == ("complete" if answer is None else "satisfied")
    assert sum(len(request.completions) for request in verifier.seen) == sum(rounds)


def test_samples_before_a_chain_are_not_drawn_again_by_it() -> None:
    course = Course(steps=(*waves("a", (2,)), CHAIN), stop=Agreement(count=9))
    source = Scripted({"a": "xyzw"})
    answers = [one.answer for one in follow(course, source).outcome.candidates]
    assert answers == ["x", "y", "z", "w"]


def test_a_search_follows_a_probe_that_does_not_agree() -> None:
    course = Course(steps=(*waves("tiny", (2,)), BEAM), stop=Agreement(count=2))
    agreed = follow(course, backend(success={"p": 1.0}))
    assert agreed.n_samples == 2 and agreed.outcome.stop_reason == "satisfied"
    played = follow(course, backend(success={"p": 0.5}, n_wrong=900), SimulatedVerifier(), seed=1)
    assert played.n_samples > 2
    outcome = played.outcome
    assert outcome.selected is not None and outcome.selected >= 2
    assert outcome.candidates[outcome.selected].steps
    assert outcome.allocation == summary_of(course)


class NoSearch:
    """Fails whatever continues a prefix or has a stop string."""

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        plain = Scripted({"tiny": "xy"})
        return [
            [FAILED] * request.n if request.stop else (await plain.sample([request]))[0]
            for request in requests
        ]


def test_where_a_search_finds_nothing_the_probe_stands() -> None:
    course = Course(steps=(*waves("tiny", (2,)), BEAM), stop=Agreement(count=2))
    outcome = follow(course, NoSearch(), SimulatedVerifier()).outcome
    assert outcome.answer in ("x", "y") and outcome.selected in (0, 1)
    assert len(outcome.candidates) > 2


def test_a_search_needs_its_verifier_and_known_parameters() -> None:
    assert Follow(course=Course(steps=(BEAM,))).verifiers == ("score",)
    probed = Course(steps=(*waves("a", (1,)), BEAM), selection=Selection(signal="reward"))
    assert Follow(course=probed).verifiers == ("reward", "score")
    wrong = Step(generator="a", kind="search", strategy="dvts", params={"colour": 1})
    with pytest.raises(InvalidInputError, match="no parameter colour"):
        Follow(course=Course(steps=(wrong,)))
