"""Recorded answers: how often each is right, whether those of several generators compare, missing lengths."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from difficulty.log.sample_pool import SamplePool
from policies.replay.recorded_answers import answer_values, comparable, filled_tokens


def pool_of(answer: NDArray[np.int64], correct: NDArray[np.bool_]) -> SamplePool:
    nothing = np.full(answer.shape, np.nan)
    return SamplePool(
        generator="g",
        n=np.full(len(answer), answer.shape[1]),
        n_correct=correct.sum(axis=1),
        correct=correct.astype(np.int8),
        answer=answer.astype(np.int32),
        output_tokens=nothing,
        score=nothing,
        mean_logprob=nothing,
        truncated=np.zeros(answer.shape, dtype=bool),
        prompt_tokens=np.full(len(answer), np.nan),
        counts_only=np.zeros(len(answer), dtype=bool),
    )


def test_choice_letters_of_shuffled_choices_do_not_compare() -> None:
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 4, size=(40, 1))
    a = (truth + (rng.random((40, 6)) < 0.3)) % 4
    shifted = (a + rng.integers(1, 4, size=(40, 1))) % 4
    first = pool_of(a, a == truth)
    assert comparable([first, pool_of(a[:, ::-1], (a == truth)[:, ::-1])])
    assert not comparable([first, pool_of(shifted, a == truth)])
    assert comparable([first])


def test_an_answer_is_right_as_often_as_its_samples_and_abstentions_count_nowhere() -> None:
    answer = np.array([[0, 0, 1, -1]])
    share = answer_values([pool_of(answer, np.array([[True, False, True, True]]))])
    assert_allclose(share, [[0.5, 1.0]])


def test_gaps_are_filled_by_the_prompt_else_by_the_generator_and_never_without_any_count() -> None:
    tokens = np.array([[10.0, np.nan, 20.0], [np.nan] * 3, [60.0, np.nan, np.nan]])
    drawn = np.array([[True] * 3, [True, False, False], [True, False, False]])
    found = filled_tokens(tokens, drawn)
    assert_allclose(found[0], [10, 15, 20])
    assert_allclose(found[1:, 0], [30, 60])
    assert np.isnan(filled_tokens(np.full((1, 2), np.nan), drawn[:1, :2])).all()
