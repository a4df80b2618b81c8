"""What holds for every strategy: caps, arrival order, failures, seeds."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from strategy_contract import ALL, TREES, backend, one_at_random, play, task

from difficulty.errors import InvalidInputError
from planner.ports.ports import Completion, SampleRequest, ScoreRequest
from planner.simulated import SimulatedVerifier
from planner.strategies import strategy_of
from policies.course.allocation import Allocation


class MisleadingErrors:
    """Fails every sample, with a text that looks like an answer."""

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        failed = Completion(
            text="answer: right",
            prompt_tokens=5,
            output_tokens=7,
            finish_reason="error",
            error="RetryableBackendError: 503",
        )
        return [[failed] * request.n for request in requests]


class SomeFail:
    """Fails the samples whose seed is in a residue class and draws the others from a simulated backend."""

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.inner = backend(default_success=1.0)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = await self.inner.sample(requests)
        failed = Completion(text="", prompt_tokens=0, output_tokens=3, finish_reason="error", error="X: y")
        return [
            [
                failed if (request.seed + index) % self.modulus == 0 else completion
                for index, completion in enumerate(row)
            ]
            for request, row in zip(requests, rows, strict=True)
        ]


class BrokenVerifier:
    """Returns NaN for texts that contain `poison`, one score short of none for the rest."""

    def __init__(self, poison: str) -> None:
        self.poison = poison
        self.inner = SimulatedVerifier()

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        rows = await self.inner.score(requests)
        return [
            [
                float("nan") if self.poison in "".join(steps) else value
                for steps, value in zip(request.completions, row, strict=True)
            ]
            for request, row in zip(requests, rows, strict=True)
        ]


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("order", range(3))
def test_the_order_of_arrival_does_not_change_the_outcome(strategy: str, order: int) -> None:
    work = task(strategy, seed=order)
    at_once = play(work, source=backend(failure_rate=0.1))
    one_by_one = play(work, source=backend(failure_rate=0.1), pick=one_at_random(random.Random(order)))
    if strategy == "first_success":
        # It may take another success, but it finds one exactly when there is one.
        assert one_by_one.outcome.answer == at_once.outcome.answer
        assert one_by_one.outcome.stop_reason == at_once.outcome.stop_reason
    else:
        assert one_by_one.outcome == at_once.outcome


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("width", [1, 3, 8])
def test_caps_are_kept(strategy: str, width: int) -> None:
    params = {"max_steps": 5} if strategy in TREES else {}
    work = task(strategy, width=width, params=params)
    played = play(work, source=backend(default_success=0.3))
    allocation = work.allocation
    cap = allocation.n
    if strategy in TREES:
        assert max(played.samples_per_round) <= allocation.width
        cap = allocation.width * 5 * (2 if strategy == "lookahead" else 1)
    assert played.n_samples <= cap


@pytest.mark.parametrize("strategy", ALL)
def test_seeds_are_never_used_twice_for_the_same_request(strategy: str) -> None:
    played = play(task(strategy), source=backend(failure_rate=0.1))
    seen = set()
    for asks in played.rounds:
        for ask in asks:
            if isinstance(ask.request, SampleRequest):
                for index in range(ask.request.n):
                    key = (ask.request.prefix, ask.request.prompt.messages, ask.request.seed + index)
                    assert key not in seen
                    seen.add(key)


@pytest.mark.parametrize("strategy", ALL)
def test_an_error_is_never_an_answer(strategy: str) -> None:
    outcome = play(task(strategy), source=MisleadingErrors()).outcome
    assert outcome.answer is None
    assert outcome.text is None
    assert outcome.stop_reason == "failed"
    assert all(candidate.answer is None for candidate in outcome.candidates)


@pytest.mark.parametrize("strategy", [name for name in ALL if name != "greedy"])
def test_a_failed_sample_never_loses_the_others(strategy: str) -> None:
    outcome = play(task(strategy), source=SomeFail(3)).outcome
    assert outcome.answer == "right"
    assert any(candidate.status == "failed" for candidate in outcome.candidates)


@pytest.mark.parametrize("strategy", ALL)
def test_truncated_answers_abstain(strategy: str) -> None:
    outcome = play(task(strategy), source=backend(truncation_rate=1.0, default_success=1.0)).outcome
    assert outcome.answer is None
    assert {candidate.status for candidate in outcome.candidates} == {"truncated"}


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n", *TREES])
def test_a_text_that_cannot_be_scored_does_not_lose_the_others(strategy: str) -> None:
    verifier = BrokenVerifier("wrong-1")
    outcome = play(task(strategy), source=backend(default_success=0.5), verifier=verifier).outcome
    assert outcome.answer == "right"
    assert outcome.selected_by == ("best_of_n" if strategy == "best_of_n" else "weighted_best_of_n")


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n"])
def test_without_any_score_the_vote_decides_and_says_so(strategy: str) -> None:
    outcome = play(task(strategy), source=backend(default_success=0.9), verifier=BrokenVerifier("")).outcome
    assert outcome.answer == "right"
    assert outcome.selected_by == "majority_vote"
    assert all(candidate.score is None for candidate in outcome.candidates)


@pytest.mark.parametrize("strategy", ALL)
def test_equal_tasks_give_equal_outcomes_and_other_seeds_others(strategy: str) -> None:
    first, again, other = (play(task(strategy, seed=seed)).outcome for seed in (0, 0, 1))
    assert first == again
    assert first.candidates != other.candidates


def test_a_wide_draw_begins_with_the_samples_of_a_narrow_one() -> None:
    narrow, wide = (play(task("majority_vote", width=width)).outcome.candidates for width in (3, 9))
    assert wide[:3] == narrow


@pytest.mark.parametrize("strategy", ["majority_vote", "best_of_n", "weighted_best_of_n"])
def test_waves_change_nothing_but_the_rounds(strategy: str) -> None:
    at_once = play(task(strategy, width=7))
    waves = play(task(strategy, width=7, wave_size=3))
    assert waves.samples_per_round == [3, 3, 1]
    assert waves.outcome.candidates == at_once.outcome.candidates
    assert waves.outcome.answer == at_once.outcome.answer


def test_a_wave_without_samples_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="wave_size=0"):
        task("majority_vote", wave_size=0)


def test_first_success_stops_with_the_wave_that_succeeds() -> None:
    played = play(task("first_success", width=12, wave_size=2), verifier=SimulatedVerifier())
    answers = [candidate.answer for candidate in played.outcome.candidates]
    assert played.outcome.answer == "right"
    assert played.outcome.stop_reason == "satisfied"
    assert answers.index("right") >= len(answers) - 2


def test_first_success_without_success_has_no_answer_unless_asked_to_vote() -> None:
    source, verifier = backend(default_success=0.0), SimulatedVerifier()
    none = play(task("first_success"), source=source, verifier=verifier).outcome
    vote = play(task("first_success", params={"fallback": "majority_vote"}), source=source, verifier=verifier)
    assert (none.answer, none.stop_reason) == (None, "complete")
    assert vote.outcome.answer is not None
    assert vote.outcome.selected_by == "majority_vote"


def test_greedy_draws_at_temperature_zero() -> None:
    played = play(task("greedy"))
    request = played.rounds[0][0].request
    assert isinstance(request, SampleRequest)
    assert (request.n, request.generator.temperature) == (1, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "majority_vote", "params": {"verifier": "score"}}, "no parameter verifier"),
        ({"strategy": "beam_search", "params": {"beam_width": "four"}}, "wrong type"),
        ({"strategy": "beam_search", "params": {"beam_width": 0}}, "at least 1"),
        ({"strategy": "rebase", "params": {"balance": 0.0}}, "above 0"),
        ({"strategy": "beam_search", "width": 4, "params": {"n": 8}}, "must equal the width"),
        ({"strategy": "majority_vote", "width": 4, "depth": 2}, "depth 1"),
        ({"strategy": "greedy", "width": 2}, "one sample"),
        ({"strategy": "sequential_revision", "params": {"selection": "best", "verifier": ""}}, "verifier"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        strategy_of(Allocation(generator="tiny", **changes))  # type: ignore[arg-type]
