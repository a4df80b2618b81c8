from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from difficulty.estimators.best_of_n import best_of_n_accuracy


def _enumerate(score: list[float], value: list[float], width: int) -> float:
    """Pick the best of every subset, with fractions of ties."""
    means = []
    for subset in combinations(range(len(score)), width):
        best = max(score[i] for i in subset)
        means.append(np.mean([value[i] for i in subset if score[i] == best]))
    return float(np.mean(means)) if means else float("nan")


def test_agrees_with_enumeration_with_ties() -> None:
    rng = np.random.default_rng(3)
    for n_scores in (1, 2, 4, 100):
        score = rng.integers(0, n_scores, size=(10, 9)) / n_scores - 0.3
        correct = rng.integers(0, 2, size=score.shape)
        widths = np.arange(1, 10)
        expected = [
            [_enumerate(list(s), list(c), n) for n in widths] for s, c in zip(score, correct, strict=True)
        ]
        result = best_of_n_accuracy(score, correct, widths)
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


def test_large_pool_with_perfect_score_is_pass_at_k() -> None:
    from difficulty.estimators.pass_at_k import pass_at_k

    correct = np.zeros((3, 500), dtype=int)
    for row, n_correct in enumerate((1, 20, 499)):
        correct[row, :n_correct] = 1
    widths = np.array([1, 2, 50, 250, 500])
    expected = pass_at_k(500, correct.sum(axis=1)[:, None], widths[None, :])
    np.testing.assert_allclose(
        best_of_n_accuracy(correct.astype(float), correct, widths), expected, atol=1e-12
    )


def test_padding_and_missing() -> None:
    nan = np.nan
    score = np.array([[0.5, 0.1, nan], [0.5, nan, 0.2], [0.5, 0.1, 0.9], [nan, nan, nan]])
    correct = np.array([[1, 0, -1], [1, 0, 1], [1, 0, -1], [-1, -1, -1]])
    accuracy = best_of_n_accuracy(score, correct, [1, 2, 3])
    np.testing.assert_allclose(accuracy[0], [0.5, 1.0, nan])
    assert np.isnan(accuracy[1:]).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 1)), min_size=1, max_size=15))
def test_order_scale_and_end_points(pool: list[tuple[int, int]]) -> None:
    score, correct = np.array(pool, dtype=float).T
    widths = np.arange(1, len(pool) + 1)
    accuracy = best_of_n_accuracy(score[None], correct[None].astype(int), widths)[0]
    order = np.random.default_rng(len(pool)).permutation(len(pool))
    moved = best_of_n_accuracy(np.exp(score[order])[None], correct[order][None].astype(int), widths)[0]
    np.testing.assert_allclose(moved, accuracy, atol=1e-12)
    assert accuracy[0] == pytest.approx(correct.mean(), abs=1e-12)
    assert accuracy[-1] == pytest.approx(correct[score == score.max()].mean(), abs=1e-12)
    assert ((accuracy >= -1e-12) & (accuracy <= 1 + 1e-12)).all()


def test_bad_input_raises() -> None:
    with pytest.raises(InvalidInputError, match="share a shape"):
        best_of_n_accuracy([[0.1]], [[1, 0]], [1])
    with pytest.raises(InvalidInputError, match="finite"):
        best_of_n_accuracy([[np.inf]], [[1]], [1])
    with pytest.raises(InvalidInputError, match="correct must hold"):
        best_of_n_accuracy([[0.1]], [[3]], [1])
    with pytest.raises(InvalidInputError, match="widths"):
        best_of_n_accuracy([[0.1]], [[1]], [0])


def test_abstentions_never_win_and_need_no_score() -> None:
    rng = np.random.default_rng(16)
    score = rng.integers(0, 3, size=(10, 7)) / 3
    answer = rng.integers(-1, 2, size=score.shape)
    answer[rng.random(score.shape) < 0.1] = -2
    correct = np.where(answer == 0, 1, 0)
    widths = np.arange(1, 8)
    for row in range(len(score)):
        kept = answer[row] != -2
        floor = np.where(answer[row] == -1, -1.0, score[row])[kept]
        expected = [_enumerate(list(floor), list(correct[row][kept]), int(n)) for n in widths]
        unscored = np.where(answer[row] < 0, np.nan, score[row])
        accuracy = best_of_n_accuracy(unscored[None], correct[[row]], widths, answer=answer[[row]])[0]
        np.testing.assert_allclose(accuracy, expected, atol=1e-12)
    # A correct sample without an answer: answers were not recorded.
    assert np.isnan(best_of_n_accuracy([[0.1, 0.2]], [[1, 0]], [1], answer=[[-1, 0]]))[0, 0]
    with pytest.raises(InvalidInputError, match="answer must hold"):
        best_of_n_accuracy([[0.1, 0.2]], [[1, 0]], [1], answer=[[-3, 0]])
