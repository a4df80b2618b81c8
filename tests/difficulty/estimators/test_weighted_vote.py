from __future__ import annotations

from itertools import combinations
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.vote_draws import all_subsets, subsets
from difficulty.estimators.weighted_vote import weighted_vote_accuracy


def _enumerate(answer: list[int], score: list[float], correct: list[int], width: int) -> float:
    worth = {
        a: np.mean([c for b, c in zip(answer, correct, strict=True) if b == a]) for a in answer if a >= 0
    }
    total = []
    for subset in combinations([i for i, a in enumerate(answer) if a != -2], width):
        scores: dict[int, list[float]] = {}
        for i in subset:
            if answer[i] >= 0:
                scores.setdefault(answer[i], []).append(max(score[i], 0.0))
        weight = {a: fsum(s) for a, s in scores.items()}
        total.append(
            np.mean([worth[a] for a in weight if weight[a] == max(weight.values())]) if weight else 0.0
        )
    return float(np.mean(total)) if total else float("nan")


def test_enumerated_widths_agree_with_brute_force() -> None:
    rng = np.random.default_rng(6)
    answer = rng.integers(-1, 3, size=(12, 8))
    answer[rng.random(answer.shape) < 0.1] = -2
    score = (
        rng.integers(-1, 4, size=answer.shape) / 10
    )  # tenths: equal totals that float64 adds up differently
    correct = np.where(answer >= 0, rng.integers(0, 2, size=answer.shape), 0)
    widths = np.arange(1, 9)
    result = weighted_vote_accuracy(answer, score, correct, widths)
    expected = [
        [_enumerate(list(a), list(s), list(c), n) for n in widths]
        for a, s, c in zip(answer, score, correct, strict=True)
    ]
    np.testing.assert_allclose(result.mean, expected, atol=1e-12)
    assert set(result.standard_error[~np.isnan(result.mean)]) == {0.0}


def test_drawn_widths_agree_within_their_standard_error() -> None:
    # Hoeffding: an error above sqrt(log(2 * 40 / 1e-6) / (2 * 400)) = 0.151 in one of 40 has rate 1e-6.
    rng = np.random.default_rng(7)
    answer = rng.integers(-1, 4, size=(20, 14))
    score = rng.random(answer.shape)
    correct = np.where(answer == 0, 1, 0)
    widths = np.array([5, 9])
    exact = weighted_vote_accuracy(answer, score, correct, widths, n_draws=5000).mean
    drawn = weighted_vote_accuracy(answer, score, correct, widths, n_draws=400, seed=3)
    np.testing.assert_allclose(drawn.mean, exact, atol=0.151)
    # The standard error is the binomial one, as these draws are right or wrong but for ties.
    expected = np.sqrt(exact * (1 - exact) / 400)
    np.testing.assert_allclose(drawn.standard_error, expected, atol=0.01)


def test_equal_scores_are_a_majority_vote_within_error() -> None:
    rng = np.random.default_rng(8)
    answer = rng.integers(-1, 3, size=(10, 16))
    correct = np.where(answer == 0, 1, 0)
    widths = np.array([1, 2, 8, 15, 16])
    result = weighted_vote_accuracy(answer, np.full(answer.shape, 0.1), correct, widths, n_draws=500)
    exact = majority_vote_accuracy(answer, correct, widths)
    # Widths 1, 2, 15 and 16 are enumerated; width 8 is drawn: Hoeffding with 10 estimates, rate 1e-6.
    np.testing.assert_allclose(result.mean[:, [0, 1, 3, 4]], exact[:, [0, 1, 3, 4]], atol=1e-12)
    np.testing.assert_allclose(result.mean[:, 2], exact[:, 2], atol=0.13)


def test_draws_are_common_across_strategies_prompts_and_widths() -> None:
    rng = np.random.default_rng(9)
    answer = rng.integers(0, 5, size=(3, 20))
    score, correct = rng.random(answer.shape), np.where(answer == 0, 1, 0)
    alone = weighted_vote_accuracy(answer[1:2], score[1:2], correct[1:2], [7], seed=5)
    together = weighted_vote_accuracy(answer, score, correct, [3, 7, 11], seed=5)
    assert alone.mean[0, 0] == together.mean[1, 1]
    assert weighted_vote_accuracy(answer, score, correct, [7], seed=6).mean[1, 0] != alone.mean[0, 0]
    padded = weighted_vote_accuracy(
        np.c_[[-2], answer[1:2]], np.c_[[0.5], score[1:2]], np.c_[[-1], correct[1:2]], [7], seed=5
    )
    assert padded.mean[0, 0] == alone.mean[0, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=9))
def test_order_changes_nothing_and_end_points(pool: list[tuple[int, int, int]]) -> None:
    answer, tenths, correct = np.array(pool).T
    correct = np.where(answer >= 0, correct, 0)
    score, widths = tenths / 10, np.arange(1, len(pool) + 1)
    mean = weighted_vote_accuracy(answer[None], score[None], correct[None], widths).mean[0]
    order = np.random.default_rng(len(pool)).permutation(len(pool))
    moved = weighted_vote_accuracy(
        answer[order][None], score[order][None], correct[order][None], widths
    ).mean[0]
    np.testing.assert_allclose(moved, mean, atol=1e-12)
    assert mean[0] == pytest.approx(correct.mean(), abs=1e-12)
    full = _enumerate(list(answer), list(score), list(correct), len(pool))
    assert mean[-1] == pytest.approx(full, abs=1e-12)


def test_undefined_is_nan() -> None:
    nan = np.nan
    answer = np.array([[0, 1, -2], [0, 1, -1], [0, 1, 1], [0, 1, 1], [-1, 0, 0]])
    score = np.array([[0.5, 0.1, nan], [0.5, 0.1, nan], [0.5, nan, 0.3], [0.5, 0.2, 0.3], [nan, 0.2, 0.3]])
    correct = np.array([[1, 0, -1], [1, 0, -1], [1, 0, 0], [1, 0, -1], [1, 0, 0]])
    mean = weighted_vote_accuracy(answer, score, correct, [1, 3]).mean
    np.testing.assert_allclose(
        mean, [[0.5, nan], [1 / 3, 1.0], [nan, nan], [nan, nan], [nan, nan]], atol=1e-12
    )


def test_subsets_are_nested_distinct_and_stable() -> None:
    wide = subsets(12, 8, 300, seed=1)
    assert all(len(set(row)) == 8 for row in wide.tolist())
    np.testing.assert_array_equal(wide[:, :3], subsets(12, 3, 300, seed=1))
    np.testing.assert_array_equal(wide[:50], subsets(12, 8, 50, seed=1))
    # Each sample is in 200 of 300 draws on average, standard deviation 8.2: six of them, 12 samples, < 1e-6.
    assert (np.abs(np.bincount(wide.ravel(), minlength=12) - 200) < 50).all()
    assert all_subsets(5, 3, 10) is not None and all_subsets(5, 3, 9) is None


def test_bad_input_raises() -> None:
    with pytest.raises(InvalidInputError, match="score must be finite"):
        weighted_vote_accuracy([[0, 1]], [[np.inf, 0.1]], [[1, 0]], [1])
    with pytest.raises(InvalidInputError, match="n_draws"):
        weighted_vote_accuracy([[0]], [[0.1]], [[1]], [1], n_draws=1)
    with pytest.raises(InvalidInputError, match="subsets need"):
        subsets(3, 4, 1, seed=0)


def test_equal_totals_tie_in_any_order_of_addition() -> None:
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in float64; rounded once they are equal.
    mean = weighted_vote_accuracy(
        [[0, 0, 0, 1, 1, 1]], [[0.1, 0.2, 0.3, 0.3, 0.2, 0.1]], [[1, 1, 1, 0, 0, 0]], [6]
    ).mean
    assert mean[0, 0] == 0.5
