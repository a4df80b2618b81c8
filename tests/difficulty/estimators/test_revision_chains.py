from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import fsum

import numpy as np
import pytest
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.revision_chains import RevisionSelection, revision_accuracy

_SELECTIONS: list[tuple[RevisionSelection, bool]] = [
    ("last", False),
    ("majority", False),
    ("hierarchical", False),
    ("hierarchical", True),
    ("best", True),
]


def _choose(chains: list[list[tuple[int, float]]], selection: str, scored: bool) -> list[int]:
    """Return the answers that tie for a set of chains of (answer, score); a plain reading of the rules."""
    votes: dict[int, list[float]] = {}
    for chain in chains:
        steps = [(a, s) for a, s in chain if a >= 0]
        if not steps:
            continue
        if selection == "majority":
            picked = [(a, 1.0) for a, _ in steps]
        elif selection == "last":
            picked = [(steps[-1][0], 1.0)]
        elif scored:
            picked = [max(reversed(steps), key=lambda step: step[1])]
        else:
            count = Counter(a for a, _ in steps)
            picked = [(next(a for a, _ in reversed(steps) if count[a] == max(count.values())), 1.0)]
        for a, weight in picked:
            votes.setdefault(a, []).append(weight)
    if selection == "best":
        return [
            a for a, weights in votes.items() for w in weights if w == max(max(v) for v in votes.values())
        ]
    total = {a: fsum(weights) for a, weights in votes.items()}
    return [a for a in total if total[a] == max(total.values())]


def _random_chains(
    seed: int, n_chains: int = 5
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    answer = rng.integers(-1, 3, size=(10, n_chains, 4))
    score = rng.integers(0, 4, size=answer.shape) / 10
    return answer, np.where(answer == 0, 1, 0), score


@pytest.mark.parametrize(("selection", "scored"), _SELECTIONS)
def test_agrees_with_brute_force_over_chains(selection: RevisionSelection, scored: bool) -> None:
    answer, correct, score = _random_chains(10)
    widths, depths = np.arange(1, 6), np.arange(1, 5)
    result = revision_accuracy(
        correct, answer, score if scored else None, widths, depths, selection=selection
    )
    for row in range(len(answer)):
        for i, width in enumerate(widths):
            for j, depth in enumerate(depths):
                total = []
                for subset in combinations(range(5), int(width)):
                    chains = [
                        list(zip(answer[row, c, :depth], score[row, c, :depth], strict=True)) for c in subset
                    ]
                    tied = _choose(chains, selection, scored)
                    total.append(np.mean([a == 0 for a in tied]) if tied else 0.0)
                assert result[row, i, j] == pytest.approx(np.mean(total), abs=1e-12)


@pytest.mark.parametrize(("selection", "scored"), _SELECTIONS)
def test_order_of_chains_and_absent_chains_change_nothing(selection: RevisionSelection, scored: bool) -> None:
    answer, correct, score = _random_chains(11)
    grid = np.arange(1, 6), np.arange(1, 5)
    plain = revision_accuracy(correct, answer, score if scored else None, *grid, selection=selection)
    order = [3, 0, 4, 1, 2]
    padding = np.full((10, 2, 4), -2)
    moved = revision_accuracy(
        np.concatenate([padding // 2, correct[:, order]], axis=1),
        np.concatenate([padding, answer[:, order]], axis=1),
        np.concatenate([padding * np.nan, score[:, order]], axis=1) if scored else None,
        *grid,
        selection=selection,
    )
    np.testing.assert_allclose(moved, plain, atol=1e-12)


def test_one_step_is_a_majority_vote_over_first_answers() -> None:
    answer, correct, _ = _random_chains(12)
    expected = majority_vote_accuracy(answer[:, :, 0], correct[:, :, 0], [1, 3, 5])
    selections: tuple[RevisionSelection, ...] = ("last", "majority", "hierarchical")
    for selection in selections:
        one = revision_accuracy(correct, answer, None, [1, 3, 5], [1], selection=selection)
        np.testing.assert_allclose(one[:, :, 0], expected, atol=1e-12)


def test_many_chains_are_drawn_and_repeatable() -> None:
    answer, correct, _ = _random_chains(13, n_chains=20)
    few = revision_accuracy(correct, answer, None, [10], [2], selection="majority", n_draws=400, seed=1)
    again = revision_accuracy(correct, answer, None, [10], [2], selection="majority", n_draws=400, seed=1)
    many = revision_accuracy(correct, answer, None, [10], [2], selection="majority", n_draws=4000, seed=2)
    np.testing.assert_array_equal(few, again)
    # Standard error of the difference: at most 0.5 * sqrt(1/400 + 1/4000) = 0.026; six of them, ten prompts.
    np.testing.assert_allclose(few, many, atol=0.16)


def test_undefined_is_nan() -> None:
    answer = np.array([[[0, 0], [1, 0]], [[0, -2], [0, 0]], [[-2, -2], [-2, -2]], [[0, 1], [0, 1]]])
    correct = np.array([[[1, 1], [0, 1]], [[1, -1], [1, 1]], [[-1, -1], [-1, -1]], [[1, -1], [1, -1]]])
    result = revision_accuracy(correct, answer, None, [1, 3], [1, 2, 3], selection="last")
    np.testing.assert_allclose(result[0], [[0.5, 1.0, np.nan], [np.nan] * 3])
    np.testing.assert_allclose(result[1, 0], [1.0, np.nan, np.nan])  # one chain ended early
    assert np.isnan(result[2]).all()
    np.testing.assert_allclose(result[3, 0], [1.0, np.nan, np.nan])  # label missing at depth 2
    score = np.where(answer == 1, np.nan, 0.5)
    best = revision_accuracy(correct, answer, score, [1], [1], selection="best")
    assert np.isnan(best[0, 0, 0]) and best[1, 0, 0] == 1.0


def test_bad_input_raises() -> None:
    answer, correct, _ = _random_chains(15)
    with pytest.raises(InvalidInputError, match="needs scores"):
        revision_accuracy(correct, answer, None, [1], [1], selection="best")
    with pytest.raises(InvalidInputError, match="selection must be"):
        revision_accuracy(correct, answer, None, [1], [1], selection="first")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="share a shape"):
        revision_accuracy(correct[:, :2], answer, None, [1], [1], selection="last")
    with pytest.raises(InvalidInputError, match="widths"):
        revision_accuracy(correct, answer, None, [0], [1], selection="last")
