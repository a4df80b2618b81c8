"""Who wins a course: what the estimators say over all subsets, also of chains and of several generators."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.revision_chains import revision_accuracy
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from policies.course.decide import Decision, Draw, decide
from policies.course.selection import Selection

RIGHT = (0, 3)
pools = st.lists(
    st.tuples(st.integers(-1, 4), st.sampled_from([-0.5, 0.1, 0.25, 0.5, 0.75])), min_size=1, max_size=6
)


def draw_of(code: int, signal: float | None, chain: int = -1) -> Draw:
    return Draw("a", None if code < 0 else str(code), signal, chain)


def value(selection: Selection, draws: list[Draw]) -> float:
    """Return the probability that the decision is right, over ties."""
    tied = decide(selection, draws).tied
    return math.fsum(draws[place].answer in ("0", "3") for place in tied) / len(tied) if tied else 0.0


def over_subsets(selection: Selection, pool: list[tuple[int, float]], width: int) -> float:
    subsets = list(combinations([draw_of(*one) for one in pool], width))
    return math.fsum(value(selection, list(subset)) for subset in subsets) / len(subsets)


@given(pools, st.data())
@settings(max_examples=60, deadline=None)
def test_deciding_agrees_with_the_closed_forms(pool: list[tuple[int, float]], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(pool)))
    answer = np.array([[code for code, _ in pool]], dtype=np.int32)
    score = np.array([[signal for _, signal in pool]])
    correct = np.isin(answer, RIGHT).astype(np.int8)
    vote = majority_vote_accuracy(answer, correct, [width])[0, 0]
    weighted = weighted_vote_accuracy(answer, score, correct, [width]).mean[0, 0]
    assert over_subsets(Selection(), pool, width) == pytest.approx(vote, abs=1e-9)
    assert over_subsets(Selection(signal="score"), pool, width) == pytest.approx(weighted, abs=1e-9)
    # Of samples with equal scores the first wins; the closed form takes each of them alike.
    if len({signal for _, signal in pool}) == len(pool):
        best = best_of_n_accuracy(score, correct, [width], answer=answer)[0, 0]
        assert over_subsets(Selection(by="best", signal="score"), pool, width) == pytest.approx(
            best, abs=1e-9
        )


@pytest.mark.parametrize("how", ["majority", "hierarchical", "last", "best"])
@pytest.mark.parametrize("scored", [True, False])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_chains_are_decided_as_their_estimator_says(how: str, scored: bool, data: st.DataObject) -> None:
    if how == "best" and not scored:
        return
    n_chains, n_steps = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    count = n_chains * n_steps
    signals = data.draw(st.lists(st.integers(1, 99), min_size=count, max_size=count, unique=True))
    codes = data.draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    answer = np.array(codes).reshape(1, n_chains, n_steps)
    score = np.array(signals).reshape(1, n_chains, n_steps) / 100
    width = data.draw(st.integers(1, n_chains))
    closed = revision_accuracy(
        np.isin(answer, RIGHT).astype(np.int8),
        answer,
        score if scored else None,
        [width],
        [n_steps],
        selection=how,  # type: ignore[arg-type]
    )[0, 0, 0]
    selection = {
        "majority": Selection(),
        "last": Selection(of_chain="last"),
        "hierarchical": Selection(of_chain="best", signal="score" if scored else "none"),
        "best": Selection(by="best", signal="score"),
    }[how]
    subsets = list(combinations(range(n_chains), width))
    total = 0.0
    for subset in subsets:
        # Steps are drawn one after another, for all chains together.
        draws = [
            draw_of(int(answer[0, chain, step]), float(score[0, chain, step]) if scored else None, chain)
            for step in range(n_steps)
            for chain in subset
        ]
        total += value(selection, draws)
    assert total / len(subsets) == pytest.approx(closed, abs=1e-9)


def test_votes_of_a_generator_weigh_what_the_selection_says() -> None:
    draws = [Draw("small", "x"), Draw("small", "x"), Draw("large", "y")]
    assert decide(Selection(), draws).tied == (0,)
    assert decide(Selection(weights={"large": 2.0}), draws).tied == (0, 2)
    assert decide(Selection(weights={"large": 2.1}), draws).tied == (2,)


def test_log_probabilities_are_measured_from_what_is_usual() -> None:
    draws = [Draw("small", "x", -1.0), Draw("large", "y", -0.2)]
    plain = Selection(signal="mean_logprob", power=2.0)
    assert decide(plain, draws) == Decision((1,), True)
    usual = Selection(signal="mean_logprob", power=2.0, usual={"small": -2.0, "large": -0.1})
    assert decide(usual, draws) == Decision((0,), True)


def test_the_latest_generator_that_answered_decides_where_answers_do_not_compare() -> None:
    last = Selection(pooled=False)
    draws = [Draw("a", "x"), Draw("a", "x"), Draw("b", "y"), Draw("b", None)]
    assert decide(last, draws).tied == (2,)
    assert decide(last, [*draws[:2], Draw("b", None)]).tied == (0,)
    assert decide(last, [Draw("a", "x"), Draw("a", "x"), Draw("b", "y"), Draw("a", "z")]).tied == (3,)


def test_samples_without_a_signal_take_no_part_unless_none_has_one() -> None:
    draws = [Draw("a", "x"), Draw("a", "x"), Draw("a", "y", 0.1)]
    assert decide(Selection(signal="score"), draws) == Decision((2,), True)
    assert decide(Selection(signal="score"), draws[:2]) == Decision((0,), False)
    assert decide(Selection(by="best", signal="score"), draws[:2]) == Decision((0,), False)


def test_nobody_wins_where_nobody_answered() -> None:
    assert decide(Selection(), []) == decide(Selection(), [Draw("a", None)]) == Decision((), False)
