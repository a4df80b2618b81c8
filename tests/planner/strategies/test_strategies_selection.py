"""Selection agrees with the estimators, live over a replayed log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from both_drivers import run_lockstep
from strategy_contract import task

from difficulty import Generator, SampleLog
from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from planner.backends.replay import ReplayBackend
from planner.ports.ports import ScoreRequest
from planner.strategies import Task

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
    answer = np.array([[code for code, _ in POOL]], dtype=np.int32)
    correct = np.isin(answer, (0, 3)).astype(np.int8)
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
