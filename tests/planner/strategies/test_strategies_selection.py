"""Selection agrees with the estimators: exactly over all subsets, and live over a replayed log."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
from both_drivers import run_lockstep
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy_contract import task

from difficulty import Generator, SampleLog
from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from planner.backends.replay import ReplayBackend
from planner.ports.outcome import Candidate
from planner.ports.ports import ScoreRequest
from planner.strategies import Task
from planner.strategies.selection import Selected, select_best, select_by_vote, select_weighted

Select = Callable[[Sequence[Candidate], np.random.Generator], Selected]


class EachTie(np.random.Generator):
    """Takes tie `take` where there is one, and notes how many there were."""

    def __init__(self, take: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.take = take
        self.n_tied = 1

    def integers(self, low: int) -> int:  # type: ignore[override]
        self.n_tied = low
        return self.take


def expected(select: Select, candidates: Sequence[Candidate], correct: Callable[[Candidate], float]) -> float:
    """Return the probability that the selected candidate is correct, over all ways to break ties."""
    first = EachTie(0)
    choices = [select(candidates, first)]
    choices += [select(candidates, EachTie(take)) for take in range(1, first.n_tied)]
    values = [0.0 if c.position is None else correct(candidates[c.position]) for c in choices]
    return math.fsum(values) / len(values)


def is_right(candidate: Candidate) -> float:
    return float(candidate.answer in ("0", "3"))


pools = st.lists(
    st.tuples(st.integers(-1, 4), st.sampled_from([0.1, 0.25, 0.5, 0.75])), min_size=1, max_size=6
)


def recorded(pool: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    answer = np.array([[code for code, _ in pool]], dtype=np.int32)
    score = np.array([[value for _, value in pool]])
    correct = np.isin(answer, (0, 3)).astype(np.int8)
    return answer, score, correct


def candidates_of(pool: Sequence[tuple[int, float]]) -> list[Candidate]:
    return [
        Candidate(text=f"{code}", answer=None if code < 0 else f"{code}", status="ok", score=value)
        for code, value in pool
    ]


def mean_over_subsets(select: Select, pool: Sequence[tuple[int, float]], width: int) -> float:
    subsets = list(combinations(candidates_of(pool), width))
    return math.fsum(expected(select, subset, is_right) for subset in subsets) / len(subsets)


@given(pools, st.data())
@settings(max_examples=60, deadline=None)
def test_votes_agree_with_the_closed_forms(pool: list[tuple[int, float]], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(pool)))
    answer, score, correct = recorded(pool)
    vote = mean_over_subsets(select_by_vote, pool, width)
    assert vote == pytest.approx(majority_vote_accuracy(answer, correct, [width])[0, 0], abs=1e-9)
    best = mean_over_subsets(select_best, pool, width)
    assert best == pytest.approx(best_of_n_accuracy(score, correct, [width], answer=answer)[0, 0], abs=1e-9)
    for aggregate in ("sum", "max"):
        weighted = mean_over_subsets(
            lambda candidates, rng, how=aggregate: select_weighted(candidates, rng, aggregate=how),
            pool,
            width,
        )
        closed = weighted_vote_accuracy(answer, score, correct, [width], vote=aggregate)
        assert weighted == pytest.approx(closed.mean[0, 0], abs=1e-9)


# Hoeffding: each mean of 600 independent draws leaves its expectation by more than 0.12 with probability
# 2 exp(-2 * 600 * 0.12**2) = 6.3e-8; ten comparisons stay below 1e-6.
N_COPIES, TOLERANCE = 600, 0.12
POOL = [(0, 0.5), (0, 0.25), (1, 0.75), (1, 0.25), (2, 0.5), (3, 0.9), (-1, 0.95), (1, 0.1)]


SCORES = {"0": 0.5, "1": 0.45, "2": 0.7, "3": 0.6}


class TableVerifier:
    """Scores an answer by a fixed table."""

    def __init__(self, table: Mapping[str, float]) -> None:
        self.table = table

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [
            [self.table.get("".join(steps), 0.0) for steps in request.completions] for request in requests
        ]


@pytest.fixture(scope="module")
def log() -> SampleLog:
    samples = [
        {
            "answer": None if code < 0 else str(code),
            "correct": code in (0, 3),
            "output_tokens": 5,
            "score": score,
        }
        for code, score in POOL
    ]
    records = [
        {"prompt_id": f"p{copy}", "prompt": f"question {copy}", "generator": "tiny", "samples": samples}
        for copy in range(N_COPIES)
    ]
    return SampleLog.from_records(records, {"tiny": Generator(name="tiny")})


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize(
    "strategy", ["majority_vote", "best_of_n", "weighted_best_of_n", "first_success", "greedy"]
)
def test_flows_replayed_over_a_recorded_pool_agree_with_the_closed_forms(
    strategy: str, width: int, log: SampleLog
) -> None:
    backend = ReplayBackend(log, seed=7)
    tasks = [
        Task(
            prompt=prompt,
            allocation=task(strategy, width=width).allocation,
            generator=log.generators["tiny"],
            extractor=backend.extractor,
            seed=3,
        )
        for prompt in log.prompts
    ]
    verifier = TableVerifier({"0": 1.0, "3": 1.0} if strategy == "first_success" else SCORES)
    outcomes = asyncio.run(run_lockstep(tasks, backend=backend, verifiers={"score": verifier}))
    live = sum(outcome.answer in ("0", "3") for outcome in outcomes) / N_COPIES
    answer, score, correct = recorded(POOL)
    # The live verifier knows the text only: equal answers have equal scores.
    score = np.vectorize(lambda code: SCORES.get(str(code), 0.0))(answer)
    closed = {
        "majority_vote": majority_vote_accuracy(answer, correct, [width])[0, 0],
        "best_of_n": best_of_n_accuracy(score, correct, [width], answer=answer)[0, 0],
        "weighted_best_of_n": weighted_vote_accuracy(answer, score, correct, [width]).mean[0, 0],
        "first_success": pass_at_k(len(POOL), int(correct.sum()), width),
        "greedy": correct.mean(),
    }[strategy]
    assert 0.2 < closed < 0.98
    assert live == pytest.approx(float(closed), abs=TOLERANCE)
