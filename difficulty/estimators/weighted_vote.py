"""Accuracy of weighted best-of-N: a vote in which each answer weighs as much as the scores of its samples.

N samples are drawn from a recorded pool without replacement, abstentions do not vote, and ties are broken
uniformly; there is no closed form, so subsets are enumerated where they are few and drawn with common random
numbers otherwise. Where scores come from, and how they are calibrated to be worth adding, is left to the
verifiers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arithmetic.arrays import BoolArray, FloatArray, IntArray
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
    weight = np.maximum(np.nan_to_num(weight), 0.0)
    votes = vote_in_pools(
        codes[:, :, None], weight[:, :, None], labels[:, :, None], drawn, unknown, n_draws=n_draws, seed=seed
    )
    return WeightedVoteAccuracy(*votes)


def vote_in_pools(
    answer: IntArray,
    weight: FloatArray,
    correct: FloatArray,
    widths: IntArray,
    unknown: BoolArray,
    *,
    n_draws: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Average votes over subsets of the units of each pool; a unit is a sample, or a chain of samples.

    Parameters
    ----------
    answer, weight, correct : ndarray, shape (P, U, D)
        Codes, weights >= 0 and values of D samples in each of U units; a unit whose first code is -2 is
        padding.
    widths : ndarray of int64, shape (L,)
        Units in a vote.
    unknown : ndarray of bool, shape (P,)
        Pools that cannot be judged.
    n_draws, seed : int
        As in `weighted_vote_accuracy`.

    Returns
    -------
    tuple of ndarray of float64, shape (P, L)
        Mean and standard error; NaN where unknown, and where a pool has fewer units.
    """
    # Units before padding, in their order, so that a subset means the same units in every pool.
    present = answer[:, :, 0] != -2
    order = np.argsort(~present, axis=1, kind="stable")[:, :, None]
    parts: tuple[NDArray[Any], ...] = (answer, weight, np.nan_to_num(correct))
    pools = [np.take_along_axis(part, order, axis=1) for part in parts]
    n_units, depth = present.sum(axis=1), answer.shape[2]
    mean = np.full((len(answer), widths.size), np.nan)
    error = np.full_like(mean, np.nan)
    for size in np.unique(n_units[~unknown]):
        rows = np.flatnonzero((n_units == size) & ~unknown)
        codes, weights, values = (part[rows, :size].reshape(rows.size, -1) for part in pools)
        units = np.arange(size * depth).reshape(size, depth)
        mean[rows], error[rows] = draw_votes(
            codes, weights, values, widths, units, n_draws=n_draws, seed=seed
        )
    return mean, error


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
