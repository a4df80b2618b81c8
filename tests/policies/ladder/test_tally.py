"""The tally: votes and sums of many prompts at once agree with counting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.tally import Tally

PLAIN = Ladder(waves=(Wave(generator="g", n=9),))


def tally(n: int = 1, ladder: Ladder = PLAIN, **scales: SampleScale) -> Tally:
    return Tally(ladder, scales, np.zeros((n, 0)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 9), min_size=1, max_size=4), min_size=1, max_size=5))
def test_counts_agree_with_a_counter(waves: list[list[int]]) -> None:
    kept = tally()
    for wave in waves:
        kept.add("g", answer=np.array([wave]))
    drawn = [code for wave in waves for code in wave]
    votes = Counter(code for code in drawn if code >= 0)
    evidence = kept.evidence()
    ranked = [count for _, count in votes.most_common()] + [0, 0]
    assert (evidence.leader[0], evidence.runner_up[0]) == (ranked[0], ranked[1])
    assert (evidence.leader_count[0], evidence.runner_up_count[0]) == (ranked[0], ranked[1])
    assert evidence.votes[0] == evidence.n_votes[0] == sum(votes.values())
    assert evidence.n_answers[0] == len(votes)
    assert evidence.n_drawn[0] == len(drawn)
    assert evidence.wave[0] == len(waves)
    streak = 0
    while streak < len(drawn) and drawn[-1] >= 0 and drawn[-1 - streak] == drawn[-1]:
        streak += 1
    assert evidence.streak[0] == streak
    tied = set(np.flatnonzero(kept.tied()[0]))
    assert tied == {code for code, count in votes.items() if count == ranked[0]}
    assert kept.leaders()[0] == (min(tied) if tied else -1)


def test_rows_are_independent_and_may_be_added_in_part() -> None:
    both = tally(3)
    both.add("g", answer=np.array([[1], [2], [3]]))
    both.add("g", answer=np.array([[1, 1]]), rows=np.array([2]))
    assert both.evidence().n_drawn.tolist() == [1, 1, 3]
    assert both.leaders().tolist() == [1, 2, 1]
    assert both.evidence(np.array([2])).leader.tolist() == [2.0]


def test_log_probabilities_break_ties_and_weigh_votes() -> None:
    scale = SampleScale(logprob_mean=-1.0, logprob_sd=0.5)
    kept = tally(g=scale)
    kept.add("g", answer=np.array([[0, 1]]), mean_logprob=np.array([[-1.5, -0.5]]))
    evidence = kept.evidence()
    assert kept.leaders().tolist() == [1]
    assert evidence.leader[0] == pytest.approx(np.exp(0.5))
    assert evidence.leader_logprob[0] == pytest.approx(1.0)
    assert evidence.mean_logprob[0] == pytest.approx(0.0)


def test_an_unknown_log_probability_counts_as_usual() -> None:
    kept = tally(g=SampleScale(logprob_mean=-1.0, logprob_sd=0.5))
    kept.add("g", answer=np.array([[0, 1, 1]]), mean_logprob=np.array([[np.nan, -1.0, np.nan]]))
    assert kept.evidence().leader.tolist() == [2.0]
    assert kept.evidence().mean_logprob.tolist() == [0.0]


def test_a_vote_counts_with_the_weight_of_its_generator() -> None:
    ladder = Ladder(waves=(Wave(generator="a", n=2), Wave(generator="b")), weights={"a": 0.4})
    kept = tally(ladder=ladder)
    kept.add("a", answer=np.array([[5, 5]]))
    kept.add("b", answer=np.array([[6]]))
    assert kept.leaders().tolist() == [6]
    assert kept.evidence().leader_count.tolist() == [1]


def test_where_answers_do_not_compare_the_latest_generator_that_answered_decides() -> None:
    ladder = Ladder(waves=(Wave(generator="a", n=3), Wave(generator="b"), Wave(generator="b")), pooled=False)
    kept = tally(2, ladder=ladder)
    kept.add("a", answer=np.array([[0, 0, 0], [0, 0, 0]]))
    kept.add("b", answer=np.array([[1], [-1]]))
    assert kept.leaders().tolist() == [1, 0]
    assert kept.evidence().votes.tolist() == [1.0, 3.0]
    kept.add("b", answer=np.array([[1], [2]]))
    assert kept.evidence().votes.tolist() == [2.0, 1.0]
    assert kept.leaders().tolist() == [1, 2]


def test_length_is_that_of_the_latest_generator_and_bounded() -> None:
    ladder = Ladder(waves=(Wave(generator="a"), Wave(generator="b")))
    scale = SampleScale(log_cost_mean=np.log(10.0), log_cost_sd=1.0)
    kept = tally(ladder=ladder, a=scale, b=scale)
    kept.add("a", answer=np.array([[0]]), cost=np.array([[1e9]]), request_cost=3.0)
    assert kept.evidence().length.tolist() == [2.0]
    kept.add("b", answer=np.array([[0]]), cost=np.array([[10.0]]))
    assert kept.evidence().length.tolist() == [0.0]
    assert kept.evidence().spent.tolist() == [1e9 + 13.0]


def test_scores_and_a_checker_are_summed_up() -> None:
    kept = tally()
    kept.add(
        "g",
        answer=np.array([[-1, -1, -1]]),
        correct=np.array([[0, 1, -1]]),
        score=np.array([[0.2, np.nan, 0.6]]),
    )
    evidence = kept.evidence()
    assert evidence.n_correct.tolist() == [1]
    assert evidence.best_score.tolist() == [0.6]
    assert evidence.mean_score[0] == pytest.approx(0.4)
    assert evidence.score_sd[0] == pytest.approx(0.2)
    assert kept.leaders().tolist() == [-1]


def test_without_scores_they_are_nan_not_zero() -> None:
    kept = tally()
    kept.add("g", answer=np.array([[0]]))
    assert np.isnan(kept.evidence().best_score).all()
    assert np.isnan(kept.evidence().mean_score).all()
