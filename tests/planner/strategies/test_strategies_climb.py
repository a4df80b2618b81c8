"""A climb does at run time what the replay did offline: same waves, same answer, same escalation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, FinishReason, SampleRequest
from planner.strategies.climb import Climb
from planner.strategies.flow import Arrival, Failure, Flow, Sampled, Scored
from planner.strategies.task import Task
from policies.adaptive.policy import Move
from policies.course.allocation import Allocation
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rules import AdaptiveConsistency, Agreement, Always
from policies.verifier.learned_verifier import LEARNED

GENERATORS = {name: Generator(name=name) for name in ("small", "big")}


class Verbatim:
    """The text is the answer; an empty text abstains."""

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        return text or None


def task_of(seed: int = 0) -> Task:
    return Task(
        prompt=Prompt(id="p", text="?"),
        allocation=Allocation(generator="small", strategy="majority_vote", width=1),
        generator=GENERATORS["small"],
        extractor=Verbatim(),
        seed=seed,
    )


def play(
    climb: Climb,
    samples: Mapping[str, Sequence[object]],
    *,
    scores: Mapping[str, float] | None = None,
    seed: int = 0,
) -> tuple[Outcome, list[tuple[str, int]]]:
    """Drive a flow with recorded samples (text, (text, logprob) or Failure); return outcome and requests."""
    flow: Flow[Outcome] = climb.flow(task_of(seed))
    asked: list[tuple[str, int]] = []
    taken = dict.fromkeys(samples, 0)
    asks = next(flow)
    while True:
        arrivals: list[Arrival] = []
        for ask in asks:
            if not isinstance(ask.request, SampleRequest):
                if ask.request.verifier == LEARNED and None in ask.request.mean_logprobs:
                    unread = Failure(kind="VerifierError", reason="needs mean_logprob of every completion")
                    arrivals.append(Scored(ask=ask, reply=unread))
                    continue
                values = tuple((scores or {})[steps[0]] for steps in ask.request.completions)
                arrivals.append(Scored(ask=ask, reply=values))
                continue
            name = ask.request.generator.name
            asked.append((name, ask.request.n))
            for index in range(ask.request.n):
                item = samples[name][taken[name]]
                taken[name] += 1
                if isinstance(item, Failure):
                    arrivals.append(Sampled(ask=ask, index=index, reply=item))
                    continue
                text, logprob = item if isinstance(item, tuple) else (item, None)
                reply = Completion(
                    text=text, prompt_tokens=5, output_tokens=7, finish_reason="stop", mean_logprob=logprob
                )
                arrivals.append(Sampled(ask=ask, index=index, reply=reply))
        try:
            asks = flow.send(tuple(arrivals))
        except StopIteration as stop:
            return stop.value, asked


def ladder(*waves: tuple[str, int], **more: object) -> Ladder:
    return Ladder(waves=tuple(Wave(generator=name, n=n) for name, n in waves), **more)  # type: ignore[arg-type]


def climb(steps: Ladder, rule: object, **more: object) -> Climb:
    move = Move(ladder=steps, rule=rule)  # type: ignore[arg-type]
    return Climb(move=move, price=0.01, generators=GENERATORS, **more)  # type: ignore[arg-type]


def test_two_that_agree_end_the_climb_and_two_that_do_not_call_the_strong_one() -> None:
    steps = ladder(("small", 2), ("big", 1), weights={"small": 0.4})
    agreed, asked = play(climb(steps, Agreement(count=2)), {"small": ["4", "4"], "big": ["5"]})
    assert (agreed.answer, agreed.stop_reason, asked) == ("4", "satisfied", [("small", 2)])
    split, asked = play(climb(steps, Agreement(count=2)), {"small": ["4", "3"], "big": ["5"]})
    assert (split.answer, split.stop_reason) == ("5", "complete")
    assert asked == [("small", 2), ("big", 1)]
    assert len(split.candidates) == 3


def test_it_stops_where_adaptive_consistency_stops() -> None:
    steps = ladder(*[("small", 1)] * 10)
    outcome, asked = play(
        climb(steps, AdaptiveConsistency()), {"small": ["a", "b", "a", "a", "a", "a", "a", "a"]}
    )
    assert outcome.answer == "a"
    assert len(asked) == 7


def test_log_probabilities_decide_a_tie_as_in_the_replay() -> None:
    steps = ladder(("small", 2))
    scales = {"small": SampleScale(logprob_mean=-1.0, logprob_sd=0.5)}
    outcome, _ = play(climb(steps, Always(), scales=scales), {"small": [("a", -1.4), ("b", -0.6)]})
    assert outcome.answer == "b"


def test_ties_without_evidence_are_uniform_and_equal_seeds_agree() -> None:
    steps = ladder(("small", 2))
    answers = [play(climb(steps, Always()), {"small": ["a", "b"]}, seed=seed)[0].answer for seed in range(60)]
    again = [play(climb(steps, Always()), {"small": ["a", "b"]}, seed=seed)[0].answer for seed in range(60)]
    assert answers == again
    # P(fewer than 7 of 60, either side) is below 1e-9 for a fair coin.
    assert 7 <= answers.count("a") <= 53


def test_a_failed_sample_abstains_and_never_loses_the_others() -> None:
    steps = ladder(("small", 3))
    failure = Failure(kind="RetryableBackendError", reason="timed out")
    outcome, _ = play(climb(steps, Always()), {"small": ["a", failure, ""]})
    assert outcome.answer == "a"
    assert [candidate.status for candidate in outcome.candidates] == ["ok", "failed", "ok"]


def test_nothing_but_failures_is_no_answer() -> None:
    failure = Failure(kind="cap", reason="no tokens left", refused=True)
    outcome, asked = play(
        climb(ladder(("small", 1), ("big", 1)), Always()), {"small": [failure], "big": ["a"]}
    )
    assert (outcome.answer, outcome.selected, asked) == (None, None, [("small", 1)])


def test_a_checker_ends_the_climb_at_its_first_success() -> None:
    steps = ladder(("small", 2), ("big", 2), pooled=False)
    climber = climb(steps, Always(), verifier="checker")
    scores = {"x": 0.0, "y": 1.0, "z": 0.0}
    outcome, asked = play(climber, {"small": ["x", "z"], "big": ["x", "y"]}, scores=scores)
    assert (outcome.answer, outcome.selected, outcome.selected_by) == ("y", 3, "first_success")
    unsolved, _ = play(climber, {"small": ["x", "z"], "big": ["x", "z"]}, scores=scores)
    assert unsolved.answer is None
    assert asked == [("small", 2), ("big", 2)]
    assert climber.verifiers == ("checker",)


def test_missing_generators_and_prices_without_meaning_are_refused() -> None:
    with pytest.raises(UnknownGeneratorError, match="huge"):
        climb(ladder(("huge", 1)), Always())
    with pytest.raises(InvalidInputError):
        Climb(move=Move(ladder=ladder(("small", 1)), rule=Always()), price=np.nan, generators=GENERATORS)


def test_a_learned_verifier_weighs_the_votes() -> None:
    steps = ladder(("small", 3), chance_weight=4.0)
    samples = {"small": [("a", -1.0), ("a", -1.0), ("b", -1.0)]}
    outcome, _ = play(climb(steps, Always()), samples, scores={"a": 0.2, "b": 0.7})
    assert (outcome.answer, outcome.selected, outcome.selected_by) == ("b", 2, "learned_vote")


def test_where_one_sample_cannot_be_judged_the_plain_vote_of_all_decides() -> None:
    steps = ladder(("small", 2), ("big", 4), ("big", 4), chance_weight=4.0)
    samples = {"small": [("wrong", -1.0)] * 2, "big": [("right", -1.0)] * 7 + [("right", None)]}
    outcome, _ = play(climb(steps, Always()), samples, scores={"wrong": 0.9, "right": 0.3})
    assert (outcome.answer, outcome.selected_by) == ("right", "majority_vote")


def test_the_plain_vote_does_not_count_generators_whose_answers_do_not_compare() -> None:
    steps = ladder(("small", 3), ("big", 2), chance_weight=4.0, pooled=False)
    samples = {"small": [("A", -1.0)] * 3, "big": [("B", None)] * 2}
    outcome, _ = play(climb(steps, Always()), samples, scores={"A": 0.9})
    assert (outcome.answer, outcome.selected, outcome.selected_by) == ("B", 3, "majority_vote")


def test_where_answers_do_not_compare_the_selected_sample_is_the_deciding_generator_s() -> None:
    steps = ladder(("small", 2), ("big", 2), pooled=False)
    outcome, _ = play(climb(steps, Always()), {"small": ["B", "B"], "big": ["B", "B"]})
    assert (outcome.answer, outcome.selected) == ("B", 2)
