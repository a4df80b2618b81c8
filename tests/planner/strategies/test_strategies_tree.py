"""Tree searches: steps, pruning, widths, roll-outs, subtrees."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_contract import TREES, Played, backend, play, task

from planner.ports.ports import Completion, SampleRequest, ScoreRequest
from planner.simulated import SimulatedVerifier
from planner.strategies.search.rebase import rebase_widths


class Script:
    """Continues a path by the letters a, b, c …; the score of a path is read off its letters."""

    def __init__(self, n_steps: int = 3, *, names_stop: bool = True) -> None:
        self.n_steps = n_steps
        self.names_stop = names_stop
        self.asked: list[SampleRequest] = []

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.asked += requests
        return [[self._draw(request, index) for index in range(request.n)] for request in requests]

    def _draw(self, request: SampleRequest, index: int) -> Completion:
        number = len(request.prefix) + 1
        ends = number >= self.n_steps
        letter = "abcdefgh"[index]
        text = f"{letter}\nanswer: {letter}" if ends else letter
        if not self.names_stop:
            text = "" if number > self.n_steps else letter if not ends else f"{letter}\nanswer: {letter}"
        stop = ("" if ends else request.stop[0]) if self.names_stop else None
        return Completion(text=text, prompt_tokens=0, output_tokens=1, finish_reason="stop", stop_string=stop)


class ByLetter:
    """Values a path by its letters: a is best."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        self.seen += [steps for request in requests for steps in request.completions]
        return [
            [1.0 - 0.1 * sum("abcdefgh".index(step[0]) for step in steps) for steps in request.completions]
            for request in requests
        ]


def run(
    strategy: str, *, width: int = 8, n_steps: int = 3, **params: str | int | float
) -> tuple[Played, Script]:
    script = Script(n_steps)
    work = task(strategy, width=width, params={"delimiter": "\n", **params})
    return play(work, source=script, verifier=ByLetter()), script


def test_beam_search_keeps_the_best_and_extends_each_by_the_beam_width() -> None:
    played, script = run("beam_search", beam_width=4)
    assert [(request.prefix, request.n) for request in script.asked] == [
        ((), 8),
        (("a\n",), 4),
        (("b\n",), 4),
        (("a\n", "a\n"), 4),
        # "ab" and "ba" are tied; one of them lives on.
        (script.asked[4].prefix, 4),
    ]
    assert script.asked[4].prefix in {("a\n", "b\n"), ("b\n", "a\n")}
    assert len(played.outcome.candidates) == 8
    assert played.outcome.answer == "a"


def test_steps_are_joined_with_their_delimiters_in_the_text() -> None:
    played, _ = run("beam_search")
    best = played.outcome.candidates[0]
    assert best.text == "a\na\na\nanswer: a"
    assert best.steps == ("a\n", "a\n", "a\nanswer: a")
    assert best.output_tokens == 3


def test_dvts_subtrees_share_nothing() -> None:
    played, script = run("dvts", width=8, beam_width=4)
    assert [request.n for request in script.asked] == [4] * 6
    assert {candidate.chain for candidate in played.outcome.candidates} == {0, 1}
    assert len(played.outcome.candidates) == 8
    # Each subtree goes on with its own best continuation.
    assert sorted(request.prefix for request in script.asked)[-2:] == [("a\n", "a\n")] * 2


@pytest.mark.parametrize("width", [1, 3, 5, 6, 7])
def test_dvts_uses_the_whole_width_when_it_is_no_multiple(width: int) -> None:
    played, _ = run("dvts", width=width, beam_width=4)
    assert played.samples_per_round[0] == width


def test_lookahead_scores_where_greedy_steps_lead_and_throws_them_away() -> None:
    played, script = run("lookahead", width=4, beam_width=2, lookahead=1, n_steps=3)
    greedy = [request for request in script.asked if request.generator.temperature == 0.0]
    assert len(greedy) == 8
    assert all(request.n == 1 for request in greedy)
    # Four beams in each of three rounds, roll-outs for the first two: the third one ends.
    assert played.n_samples == 3 * 4 + 8
    assert len(played.outcome.candidates) == 4


def test_rebase_gives_the_rewarded_more_children() -> None:
    _, script = run("rebase", width=8, balance=0.1)
    first_round = {request.prefix: request.n for request in script.asked[1:] if len(request.prefix) == 1}
    widths = rebase_widths([1.0 - 0.1 * rank for rank in range(8)], 8, balance=0.1)
    assert widths == [5, 2, 1, 0, 0, 0, 0, 0]
    assert first_round == {("a\n",): 5, ("b\n",): 2, ("c\n",): 1}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 64), st.floats(0.01, 10))
def test_rebase_widths_keep_the_budget_and_the_order(
    rewards: list[float], total: int, balance: float
) -> None:
    rewards = sorted(rewards, reverse=True)
    widths = rebase_widths(rewards, total, balance=balance)
    assert 1 <= sum(widths) <= total
    assert widths == sorted(widths, reverse=True)
    assert all(width >= 0 for width in widths)


def test_rebase_widths_follow_the_formula_of_the_paper() -> None:
    # exp(2), exp(1), exp(0) over their sum, times 10: 6.65, 2.45, 0.90.
    assert rebase_widths([0.2, 0.1, 0.0], 10, balance=0.1) == [7, 2, 1]


@pytest.mark.parametrize("strategy", TREES)
def test_an_engine_that_does_not_name_its_stop_string_ends_by_saying_nothing(strategy: str) -> None:
    script = Script(2, names_stop=False)
    outcome = play(
        task(strategy, width=4, params={"delimiter": "\n"}), source=script, verifier=ByLetter()
    ).outcome
    assert outcome.answer == "a"
    assert {candidate.status for candidate in outcome.candidates} == {"ok"}


@pytest.mark.parametrize("strategy", TREES)
def test_a_path_that_never_ends_is_truncated(strategy: str) -> None:
    played, _ = run(strategy, width=4, n_steps=99, max_steps=3)
    assert played.outcome.answer is None
    assert {candidate.status for candidate in played.outcome.candidates} == {"truncated"}


@pytest.mark.parametrize("strategy", TREES)
def test_search_finds_what_independent_samples_rarely_do(strategy: str) -> None:
    source = backend(default_success=0.05)
    found = sum(
        play(task(strategy, id=f"p{i}", width=16), source=source, verifier=SimulatedVerifier()).outcome.answer
        == "right"
        for i in range(10)
    )
    # 16 independent samples hold a right one with probability 1 - 0.95**16 = 0.56; a perfect process reward
    # model prunes every bad step, so that nearly all searches succeed.
    assert found >= 9
