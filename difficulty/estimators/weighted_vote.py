"""Accuracy of weighted best-of-N: a vote in which each answer weighs as much as the scores of its samples.

N samples are drawn from a recorded pool without replacement, abstentions do not vote, and ties are broken
uniformly; there is no closed form, so subsets are enumerated where they are few and drawn with common random
numbers otherwise. Where scores come from, and how they are calibrated to be worth adding, is left to the
verifiers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import FloatArray, IntArray
from difficulty.errors import InvalidInputError
from difficulty.estimators.vote_draws import all_subsets, subsets, tally
from difficulty.estimators.vote_pool import as_codes, as_values, as_widths, undefined_votes

__all__ = ["WeightedVoteAccuracy", "weighted_vote_accuracy"]


class WeightedVoteAccuracy(NamedTuple):
    """Expected accuracy and its Monte-Carlo standard error (0 where enumerated), both (P, L)."""

    mean: FloatArray
    standard_error: FloatArray


def weighted_vote_accuracy(
    answer: ArrayLike,
    score: ArrayLike,
    correct: ArrayLike,
    widths: ArrayLike,
    *,
    n_draws: int = 200,
    seed: int = 0,
) -> WeightedVoteAccuracy:
    """Estimate the accuracy of a score-weighted vote over N samples of each recorded pool.

    Parameters
    ----------
    answer : array_like of int, shape (P, M)
        Code of each sample's answer, >= 0; -1 abstains, -2 is padding.
    score : array_like of float, shape (P, M)
        Weight of each sample's vote, finite; NaN where missing. One below 0 weighs nothing.
    correct : array_like of int or float, shape (P, M)
        1 correct, 0 wrong, -1 unknown; or floats that say what a sample is worth on any scale, NaN unknown.
    widths : array_like of int, shape (L,)
        Samples that vote, each >= 1.
    n_draws : int
        Subsets per width, >= 2; widths with at most as many subsets are enumerated.
    seed : int
        Seed >= 0. The subsets depend on it, on the samples of the pool and on the width alone.

    Returns
    -------
    WeightedVoteAccuracy
        `mean` in [0, 1] and `standard_error` of the draws, both (P, L); NaN where a width exceeds the samples
        of the pool, where a voting sample lacks score or correctness, or where an abstention is marked
        correct.

    Raises
    ------
    InvalidInputError
        When shapes differ, a code or label is not allowed, a score is infinite, or a number is out of range.

    Notes
    -----
    Scores should be >= 0, best in [0, 1]: a sum of negative scores (logits,
    log-probabilities) would punish answers for being given often, so they count as 0; where all do, the
    answers tie. The standard error covers the drawn subsets only, not the finite pool, and is 0 where all
    draws agreed.

    References
    ----------
    Li et al., 2023, arXiv:2206.02336 (voting verifier); Snell et al., 2024, arXiv:2408.03314, section 5.1,
    "best-of-N weighted". Uniform ties are ours.

    Examples
    --------
    Answer 1 has the larger group, answer 0 the better score.

    >>> result = weighted_vote_accuracy([[0, 1, 1]], [[0.9, 0.3, 0.3]], [[1, 0, 0]], [1, 2, 3])
    >>> result.mean.round(4).tolist(), result.standard_error.tolist()
    ([[0.3333, 0.6667, 1.0]], [[0.0, 0.0, 0.0]])
    """
    codes, labels, drawn = as_codes(answer), as_values(correct), as_widths(widths)
    if codes.ndim != 2 or codes.shape != labels.shape:
        raise InvalidInputError(
            f"answer and correct must share a shape (P, M), got {codes.shape} and {labels.shape}"
        )
    weight = np.asarray(score, dtype=np.float64)
    if weight.shape != codes.shape or np.isinf(weight).any():
        raise InvalidInputError(
            f"score must be finite or NaN, of shape {codes.shape}, got shape {weight.shape}"
        )
    if n_draws < 2:
        raise InvalidInputError(f"n_draws must be >= 2 for a standard error, got {n_draws}")
    unknown = undefined_votes(codes, labels) | ((codes >= 0) & np.isnan(weight)).any(axis=1)
    n_samples = (codes != -2).sum(axis=1)
    # Samples before padding, in their order, so that a subset means the same samples in every pool.
    order = np.argsort(codes == -2, axis=1, kind="stable")
    codes = np.take_along_axis(codes, order, axis=1)
    right = np.nan_to_num(np.take_along_axis(labels, order, axis=1))
    weight = np.maximum(np.nan_to_num(np.take_along_axis(weight, order, axis=1)), 0.0)
    mean = np.full((codes.shape[0], drawn.size), np.nan)
    error = np.full_like(mean, np.nan)
    for size in np.unique(n_samples[~unknown]):
        rows = np.flatnonzero((n_samples == size) & ~unknown)
        mean[rows], error[rows] = draw_votes(
            codes[rows, :size],
            weight[rows, :size],
            right[rows, :size],
            drawn,
            np.arange(size)[:, None],
            n_draws=n_draws,
            seed=seed,
        )
    return WeightedVoteAccuracy(mean, error)


def draw_votes(
    answer: IntArray,
    weight: FloatArray,
    correct: FloatArray,
    widths: IntArray,
    units: IntArray,
    *,
    n_draws: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Average votes over subsets of units, where a unit is a sample or a chain of samples.

    Parameters
    ----------
    answer, weight, correct : numpy.ndarray, shape (P, M)
        As in `difficulty.estimators.vote_draws.tally`.
    widths : numpy.ndarray of int64, shape (L,)
        Units that vote.
    units : numpy.ndarray of int64, shape (U, S)
        Positions of the S samples of each unit.
    n_draws : int
        Subsets drawn per width, and the most that are enumerated instead.
    seed : int
        Seed >= 0.

    Returns
    -------
    mean, standard_error : numpy.ndarray of float64, shape (P, L)
        NaN where a width exceeds U.
    """
    n_units, depth = units.shape
    mean = np.full((answer.shape[0], widths.size), np.nan)
    error = np.full_like(mean, np.nan)
    sampled = []
    for width in np.unique(widths[widths <= n_units]):
        every = all_subsets(n_units, int(width), n_draws)
        if every is None:
            sampled.append(int(width))
            continue
        votes = units[every].reshape(len(every), -1)
        judged = tally(answer, weight, correct, votes, np.array([votes.shape[1]]))
        mean[:, widths == width] = judged.mean(axis=1)
        error[:, widths == width] = 0.0
    if sampled:
        draws = units[subsets(n_units, max(sampled), n_draws, seed)].reshape(n_draws, -1)
        judged = tally(answer, weight, correct, draws, np.array(sampled) * depth)
        for column, width in enumerate(sampled):
            mean[:, widths == width] = judged[:, :, [column]].mean(axis=1)
            error[:, widths == width] = judged[:, :, [column]].std(axis=1, ddof=1) / np.sqrt(n_draws)
    return mean, error
