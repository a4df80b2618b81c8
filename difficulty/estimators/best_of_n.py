"""Accuracy of best-of-N, the sample that a verifier scores highest, exactly, from a pool of scored samples.

N samples are drawn from the pool without replacement and equal scores are broken uniformly; each sample's
chance to win is then an order statistic with a closed form. How scores come about is left to the verifiers,
and votes weighted by score to `difficulty.estimators.weighted_vote`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import BoolArray, FloatArray, IntArray
from difficulty.errors import InvalidInputError
from difficulty.estimators.vote_pool import as_codes, as_values, as_widths, undefined_votes

__all__ = [
    "best_of_n_accuracy",
]


def best_of_n_accuracy(
    score: ArrayLike,
    correct: ArrayLike,
    widths: ArrayLike,
    *,
    answer: ArrayLike | None = None,
) -> FloatArray:
    """Compute the accuracy of the best-scored of N samples of each recorded pool.

    Parameters
    ----------
    score : array_like of float, shape (P, M)
        Verifier score of each sample, the higher the better, on any scale; NaN where missing.
    correct : array_like of int or float, shape (P, M)
        1 correct, 0 wrong, -1 unknown; or floats that say what a sample is worth on any scale, NaN unknown.
    widths : array_like of int, shape (L,)
        Samples that compete, each >= 1.
    answer : array_like of int, shape (P, M), optional
        Answer codes: samples with -1 abstain, they never win, need no score, and are wrong if nobody else is
        there; -2 is padding. Leave it out where answers were not recorded: then padding is every position
        with neither a score nor a correctness.

    Returns
    -------
    numpy.ndarray of float64, shape (P, L)
        Expected accuracy in [0, 1], or value, over all subsets of N samples and over ties. NaN where a width
        exceeds the samples of the pool, and for pools in which any score or correctness is missing.

    Raises
    ------
    InvalidInputError
        When shapes differ, a correctness is not -1, 0 or 1, a score is infinite, or a width is below 1.

    Notes
    -----
    A group g of m_g equal scores, with R_g samples that score no higher (the group included), holds the
    winner with probability ``[C(R_g, N) - C(R_g - m_g, N)] / C(M, N)``. The estimate is unbiased for
    independent samples; its variance grows as N nears M, so do not read much into N > M / 4.

    References
    ----------
    Nakano et al., 2021, "WebGPT", arXiv:2112.09332, app. I (without ties; ties are ours).

    Examples
    --------
    >>> best_of_n_accuracy([[0.9, 0.5, 0.5, 0.1]], [[1, 1, 0, 0]], [1, 2, 4]).round(4).tolist()
    [[0.5, 0.75, 1.0]]
    """
    values = as_values(correct)
    scores = np.asarray(score, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != values.shape:
        raise InvalidInputError(
            f"score, correct and value must share a shape (P, M), got {scores.shape} and {values.shape}"
        )
    if np.isinf(scores).any():
        raise InvalidInputError("scores and values must be finite, or NaN where missing; got an infinite one")
    drawn = as_widths(widths)
    if answer is None:
        present = ~(np.isnan(scores) & np.isnan(values))
        return _winner_mean(scores, values, drawn, present, np.zeros(scores.shape, dtype=np.bool_))
    codes = as_codes(answer)
    if codes.shape != scores.shape:
        raise InvalidInputError(f"answer must have the shape of score, {scores.shape}, got {codes.shape}")
    accuracy = _winner_mean(scores, values, drawn, codes != -2, codes == -1)
    accuracy[undefined_votes(codes, values)] = np.nan
    return accuracy


def _winner_mean(
    scores: FloatArray, values: FloatArray, widths: IntArray, present: BoolArray, abstains: BoolArray
) -> FloatArray:
    """Average `values` over winners; a winner that abstains, since all do, counts 0."""
    n_recorded = present.sum(axis=1)
    missing = (present & ~abstains & (np.isnan(scores) | np.isnan(values))).any(axis=1)

    # Rising scores, padding before abstentions before the rest.
    level = np.where(present, np.where(abstains, 1, 2), 0)
    order = np.lexsort((scores, level), axis=1)
    level = np.take_along_axis(level, order, axis=1)
    scores = np.take_along_axis(np.where(present & ~abstains, scores, 0.0), order, axis=1)
    values = np.take_along_axis(np.where(present & ~abstains, values, 0.0), order, axis=1)
    below, not_above = _tie_bounds(scores, level)

    result = np.full((scores.shape[0], widths.size), np.nan)
    for pool_size in np.unique(n_recorded[~missing]):
        rows = np.flatnonzero((n_recorded == pool_size) & ~missing)
        first = scores.shape[1] - pool_size
        lower, upper = below[rows, first:] - first, not_above[rows, first:] - first
        share = values[rows, first:] / (upper - lower)
        for column in np.flatnonzero(widths <= pool_size):
            inside = _subset_chance(int(pool_size), int(widths[column]))
            result[rows, column] = (share * (inside[upper] - inside[lower])).sum(axis=1)
    return result


def _tie_bounds(scores: FloatArray, level: IntArray) -> tuple[IntArray, IntArray]:
    """Return, per position of each rising row, how many are strictly below and how many are not above."""
    n_columns = scores.shape[1]
    position = np.broadcast_to(np.arange(n_columns), scores.shape)
    starts = np.ones(scores.shape, dtype=np.bool_)
    starts[:, 1:] = (scores[:, 1:] != scores[:, :-1]) | (level[:, 1:] != level[:, :-1])
    ends = np.ones(scores.shape, dtype=np.bool_)
    ends[:, :-1] = starts[:, 1:]
    below = np.maximum.accumulate(np.where(starts, position, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, position, n_columns)[:, ::-1], axis=1)[:, ::-1]
    return below.astype(np.int64), (last + 1).astype(np.int64)


def _subset_chance(pool_size: int, width: int) -> FloatArray:
    """Return, for R = 0 to M, the chance C(R, N) / C(M, N) that all N draws lie among R given samples."""
    chance = np.zeros(pool_size + 1)
    chance[pool_size] = 1.0
    for inside in range(pool_size, width, -1):
        chance[inside - 1] = chance[inside] * (inside - width) / inside
    return chance
