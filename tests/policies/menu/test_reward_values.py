"""What samples with rewards are worth under every way to select, against brute force, in any scale."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from difficulty import Generator, SampleLog
from policies.course.allocation import Allocation
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore
from policies.menu.curves import measure_curves
from policies.table.recorded import Recorded
from policies.table.replay import replay

NAMES = {"g": Generator(name="g")}


def log_of(*samples: tuple[str | None, float, float], name: str = "g") -> SampleLog:
    """One prompt; answer, reward and score of each sample."""
    line: dict[str, Any] = {"prompt_id": "p", "generator": name, "prompt_tokens": 5}
    line["samples"] = [
        {"answer": answer, "reward": reward, "score": score, "output_tokens": 3, "verifier_tokens": 8}
        for answer, reward, score in samples
    ]
    return SampleLog.from_records([line], {name: Generator(name=name)}).valued_by("reward")


def value(log: SampleLog, strategy: str, width: int, **params: str) -> float:
    allocation = Allocation(generator="g", strategy=strategy, width=width, params=params)  # type: ignore[arg-type]
    return float(measure_curves(log, [allocation]).value[0, 0])


def voted(drawn: list[tuple[str | None, float, float]], pool: list[tuple[str | None, float, float]]) -> float:
    """The mean reward, over the pool, of the answers that lead; of who abstains where nobody answers."""
    votes = Counter(answer for answer, *_ in drawn if answer is not None)
    if not votes:
        return float(np.mean([reward for answer, reward, _ in pool if answer is None]))
    top = [answer for answer, n in votes.items() if n == max(votes.values())]
    return float(np.mean([np.mean([r for a, r, _ in pool if a == answer]) for answer in top]))


def ranked(
    drawn: list[tuple[str | None, float, float]], pool: list[tuple[str | None, float, float]]
) -> float:
    """The mean reward of the best scores among the drawn ones that answered."""
    some = [sample for sample in drawn if sample[0] is not None]
    if not some:
        return voted(drawn, pool)
    best = max(score for *_, score in some)
    return float(np.mean([reward for _, reward, score in some if score == best]))


REWARD = st.integers(-8, 12).map(lambda tenth: tenth / 2)
SCORE = st.sampled_from([0.25, 0.5, 0.75])
POOL = st.lists(st.tuples(st.sampled_from(["a", "b", None]), REWARD, SCORE), min_size=1, max_size=5).filter(
    lambda pool: any(answer is not None for answer, *_ in pool)
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(POOL)
def test_votes_and_the_best_are_worth_what_all_subsets_say(
    pool: list[tuple[str | None, float, float]],
) -> None:
    log = log_of(*pool)
    for width in range(1, len(pool) + 1):
        sets = [list(chosen) for chosen in combinations(pool, width)]
        best = np.mean([ranked(chosen, pool) for chosen in sets])
        assert value(log, "best_of_n", width, verifier="score") == pytest.approx(best)
        if width > 1:  # one sample is worth its own reward, not that of its answer
            vote = np.mean([voted(chosen, pool) for chosen in sets])
            assert value(log, "majority_vote", width) == pytest.approx(vote)
    assert value(log, "majority_vote", 1) == pytest.approx(np.mean([reward for _, reward, _ in pool]))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(POOL, st.floats(0.1, 50), st.floats(-100, 100))
def test_another_scale_moves_values_along(
    pool: list[tuple[str | None, float, float]], span: float, lower: float
) -> None:
    moved = [(answer, lower + span * reward, score) for answer, reward, score in pool]
    for strategy, params in (
        ("majority_vote", {}),
        ("best_of_n", {"verifier": "score"}),
        ("weighted_best_of_n", {"verifier": "score"}),
    ):
        for width in range(1, len(pool) + 1):
            plain = value(log_of(*pool), strategy, width, **params)
            assert value(log_of(*moved), strategy, width, **params) == pytest.approx(lower + span * plain)


def test_samples_without_answers_are_ranked_and_stopped_by_their_scores() -> None:
    pool = [(None, 1.0, 0.2), (None, -2.0, 0.9), (None, 5.0, 0.6), (None, 3.0, 0.6)]
    log = log_of(*pool)
    assert value(log, "best_of_n", 4, verifier="score") == -2.0  # the score is not the truth
    course = Course(
        steps=waves("g", (1, 1, 1)),
        selection=Selection(by="best", signal="score"),
        stop=BestScore(threshold=0.6),
    )
    rewards, drawn = [], []
    for order in permutations(pool, 3):
        for n in (1, 2, 3):
            best = max(order[:n], key=lambda sample: sample[2])
            if best[2] >= 0.6:
                break
        rewards.append(best[1])
        drawn.append(n)
    table = replay(Recorded.of(log, n_orders=2400, seed=1), [course])
    # 2400 orders of 24: each is drawn a hundred times, give or take 50 (five standard deviations).
    assert table.value[0, 0] == pytest.approx(np.mean(rewards), abs=0.15)
    assert table.samples[0, 0] == pytest.approx(np.mean(drawn), abs=0.05)


def test_replayed_votes_earn_what_their_answers_earn_and_silence_what_it_earned() -> None:
    pool = [("a", 4.0, 0.5), ("a", 2.0, 0.5), ("b", -1.0, 0.5), (None, -3.0, 0.5)]
    course = Course(steps=waves("g", (1, 1, 1)), stop=Agreement(count=2))
    table = replay(Recorded.of(log_of(*pool), n_orders=2400, seed=2), [course])
    rewards = []
    for order in permutations(pool, 3):
        for n in (1, 2, 3):
            votes = Counter(answer for answer, *_ in order[:n] if answer is not None)
            if max(votes.values(), default=0) >= 2:
                break
        rewards.append(voted(list(order[:n]), pool))
    assert table.value[0, 0] == pytest.approx(np.mean(rewards), abs=0.1)
    silent = replay(
        Recorded.of(log_of(*pool), n_orders=2400, seed=2), [Course(steps=waves("g", (1, 1))).prefix(1)]
    )
    alone = np.mean([voted([sample], pool) for sample in pool])
    assert silent.value[0, 0] == pytest.approx(alone, abs=0.1)


def test_rewards_of_runs_and_chains_are_their_values() -> None:
    run = {"prompt_id": "p", "generator": "g", "strategy": "beam_search", "params": {"n": 4}}
    chain = {"prompt_id": "p", "generator": "g"}
    lines = [
        {**run, "samples": [{"answer": "a", "reward": 2.0}, {"answer": "b", "reward": -1.0}]},
        {
            **chain,
            "samples": [
                {"answer": "a", "reward": 1.0, "chain": 0, "step": 0},
                {"answer": "b", "reward": 7.0, "chain": 0, "step": 1},
            ],
        },
    ]
    log = SampleLog.from_records(lines, NAMES).valued_by("reward")
    search = Allocation(generator="g", strategy="beam_search", width=4, params={"n": 4})
    last = Allocation(
        generator="g", strategy="sequential_revision", width=1, depth=2, params={"selection": "last"}
    )
    assert_allclose(measure_curves(log, [search, last]).value, [[0.5, 7.0]])


def test_a_log_is_valued_by_verdicts_unless_asked() -> None:
    log = SampleLog.from_records(
        [
            {
                "prompt_id": "p",
                "generator": "g",
                "samples": [{"correct": True, "reward": 0.25}, {"reward": 0.5}],
            }
        ],
        NAMES,
    )
    graded = log.valued_by("reward")
    assert_allclose(log.pool("g").value, [[1.0, np.nan]])
    assert_allclose(graded.pool("g").value, [[0.25, 0.5]])
    assert log.values().n.tolist() == [[1]] and graded.values().total.tolist() == [[0.75]]
    assert graded.digest == log.digest and graded.select(["p"]).pool("g").n_valued.tolist() == [2]
