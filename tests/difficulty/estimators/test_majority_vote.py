from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from difficulty.estimators.majority_vote import majority_vote_accuracy


def _enumerate(answer: list[int], correct: list[int], width: int) -> float:
    """Vote over every subset, with fractions of ties; an answer's worth is the mean label of its class."""
    pool = [(a, c) for a, c in zip(answer, correct, strict=True) if a != -2]
    worth = {a: np.mean([c for b, c in pool if b == a]) for a, _ in pool if a >= 0}
    subsets = list(combinations([a for a, _ in pool], width))
    if not subsets:
        return float("nan")
    total = 0.0
    for subset in subsets:
        votes = Counter(a for a in subset if a >= 0)
        if votes:
            leaders = [a for a, count in votes.items() if count == max(votes.values())]
            total += float(np.mean([worth[a] for a in leaders]))
    return total / len(subsets)


def test_agrees_with_enumeration_on_random_pools() -> None:
    rng = np.random.default_rng(1)
    for n_answers in (1, 2, 3, 5):
        answer = rng.integers(-1, n_answers, size=(12, 9))
        answer[rng.random(answer.shape) < 0.1] = -2
        correct = rng.integers(
            0, 2, size=answer.shape
        )  # labels differ inside a class, several classes are correct
        correct[answer < 0] = 0
        widths = np.arange(1, 10)
        expected = [
            [_enumerate(list(a), list(c), n) for n in widths] for a, c in zip(answer, correct, strict=True)
        ]
        np.testing.assert_allclose(majority_vote_accuracy(answer, correct, widths), expected, atol=1e-12)


def test_hand_computed_tie_and_abstention() -> None:
    # Two answers, one sample each, and one abstention: width 2 is {a,b} tie 1/2, {a,-} 1, {b,-} 0.
    assert majority_vote_accuracy([[0, 1, -1]], [[1, 0, 0]], [1, 2, 3]) == pytest.approx(
        np.array([[1 / 3, 0.5, 0.5]]), abs=1e-12
    )
    assert majority_vote_accuracy([[-1, -1]], [[0, 0]], [1, 2]).tolist() == [[0.0, 0.0]]


def test_undefined_is_nan() -> None:
    answer = np.array([[0, 0, -2], [0, 1, 1], [0, -1, 1], [-2, -2, -2], [0, 1, -1]])
    correct = np.array([[1, 1, -1], [1, 0, -1], [1, 1, 0], [-1, -1, -1], [1, 0, -1]])
    accuracy = majority_vote_accuracy(answer, correct, [1, 3, 5000])
    assert np.isnan(accuracy[:, 2]).all()
    np.testing.assert_allclose(
        accuracy[:, :2],
        [[1, np.nan], [np.nan, np.nan], [np.nan, np.nan], [np.nan, np.nan], [1 / 3, 0.5]],
        atol=1e-12,
    )


def test_unrecorded_answers_are_not_wrong_answers() -> None:
    # The first prompt shows that answers were not recorded, so the second is not "all abstain, wrong".
    answer, correct = np.array([[-1, -1], [-1, -1], [0, -1]]), np.array([[1, 0], [0, 0], [1, 0]])
    assert np.isnan(majority_vote_accuracy(answer, correct, [1])[:, 0]).tolist() == [True, True, False]
    assert majority_vote_accuracy(answer[1:], correct[1:], [1])[:, 0].tolist() == [0.0, 0.5]


def test_large_pool_agrees_with_two_class_hypergeometric() -> None:
    # With two answers and odd N, the vote is right when more than half of the draws are: a hypergeometric
    # tail.
    from scipy.stats import hypergeom

    for n_right in (3, 60, 64, 70, 125):
        answer = np.r_[np.zeros(n_right, int), np.ones(128 - n_right, int)][None, :]
        widths = np.array([1, 5, 31, 63, 95, 127])
        expected = hypergeom.sf((widths - 1) // 2, 128, n_right, widths)
        np.testing.assert_allclose(majority_vote_accuracy(answer, 1 - answer, widths)[0], expected, atol=1e-9)


def test_chances_of_all_answers_sum_to_the_chance_that_anyone_votes() -> None:
    rng = np.random.default_rng(2)
    answer = rng.choice(12, size=(3, 100), p=rng.dirichlet(np.ones(12)))
    widths = np.array([1, 2, 10, 33, 50, 99, 100])
    total = sum(majority_vote_accuracy(answer, answer == c, widths) for c in range(12))
    np.testing.assert_allclose(total, 1.0, atol=1e-9)


_pools = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 1)), min_size=1, max_size=12).map(
    lambda pool: [(a, c if a >= 0 else 0) for a, c in pool]
)


@settings(max_examples=60, deadline=None)
@given(_pools, st.integers(0, 99))
def test_permutation_renaming_and_padding_change_nothing(pool: list[tuple[int, int]], seed: int) -> None:
    answer, correct = np.array(pool).T
    widths = np.arange(1, len(pool) + 1)
    accuracy = majority_vote_accuracy(answer[None], correct[None], widths)[0]
    order = np.random.default_rng(seed).permutation(len(pool))
    renamed = np.where(answer >= 0, 40 - 3 * answer, answer)[order]
    padded = majority_vote_accuracy(
        np.r_[renamed, -2, -2][None], np.r_[correct[order], -1, -1][None], widths
    )[0]
    np.testing.assert_allclose(padded, accuracy, atol=1e-12)
    assert accuracy[0] == pytest.approx(correct.mean(), abs=1e-12)
    assert accuracy[-1] == pytest.approx(_enumerate(list(answer), list(correct), len(pool)), abs=1e-12)
    assert ((accuracy >= 0) & (accuracy <= 1)).all()


@pytest.mark.parametrize(
    ("answer", "correct", "widths", "message"),
    [
        ([[0, 1]], [[1]], [1], "share a shape"),
        ([[0, -3]], [[1, 0]], [1], "codes >= 0"),
        ([[0, 1]], [[1, 2]], [1], "correct must hold"),
        ([[0, 1]], [[1, 0]], [0], "widths"),
        ([[0] * 1001], [[1] * 1001], [1], "at most 1000"),
    ],
)
def test_bad_pools_raise(
    answer: list[list[int]], correct: list[list[int]], widths: list[int], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        majority_vote_accuracy(answer, correct, widths)
