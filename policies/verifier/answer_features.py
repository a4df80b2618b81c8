"""What the samples of one prompt say about each other: agreement, log-probability, length.

Features of each sample within the set it was drawn in; samples that abstain count for nothing, so a set means
its answered samples. It knows neither text nor model; learning from the features is left to
`policies.verifier.learned_verifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import IntArray
from difficulty.estimators.vote_draws import dense_codes

COLUMNS: Final = ("mean_logprob", "output_tokens")
"""Recorded quantities that features are made of, beside the answers."""

_AGREEMENT: Final = ("share", "others_share", "log_count", "margin", "distinct", "log_n")
_LOGPROB: Final = (
    "logprob",
    "logprob_above",
    "group_logprob",
    "group_above",
    "group_best",
    "set_logprob",
    "set_spread",
)
_LENGTH: Final = ("log_length", "length_above", "group_length_above")


def feature_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the F features that the given columns make.

    Examples
    --------
    >>> len(feature_names(())), len(feature_names(("mean_logprob", "output_tokens")))
    (6, 16)
    """
    return (
        *_AGREEMENT,
        *(_LOGPROB if "mean_logprob" in columns else ()),
        *(_LENGTH if "output_tokens" in columns else ()),
    )


def answer_features(
    answer: NDArray[np.int32],
    *,
    mean_logprob: NDArray[np.float64] | None = None,
    output_tokens: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the features of each of N samples in each of B sets.

    Parameters
    ----------
    answer : ndarray of int32, shape (B, N)
        Codes; equal codes agree, below 0 abstains (or pads).
    mean_logprob : ndarray, shape (B, N), optional
        Nats per token; finite where the answer is.
    output_tokens : ndarray, shape (B, N), optional
        At least 0; finite where the answer is.

    Returns
    -------
    ndarray, shape (B, N, F)
        In the order of `feature_names`; what stands at abstaining samples means nothing.

    Examples
    --------
    >>> answer_features(np.array([[0, 0, 1, -1]], dtype=np.int32))[0, :3, 0].round(2).tolist()
    [0.67, 0.67, 0.33]
    """
    valid = answer >= 0
    n = np.maximum(valid.sum(-1, keepdims=True), 1)
    group = group_codes(answer)
    counts = group_sums(np.ones(answer.shape), group, valid)
    count = np.maximum(np.take_along_axis(counts, group, axis=1), 1)
    share = np.where(valid, count / n, 0.0)
    # The strongest rival of a sample: the leader, or for the leader the runner-up, its equal where they tie.
    top = counts.max(-1, keepdims=True)
    leads = valid & (count == top)
    n_leaders = ((counts == top) & (counts > 0)).sum(-1, keepdims=True)
    runner_up = np.where(n_leaders > 1, top, np.where(counts == top, 0.0, counts).max(-1, keepdims=True))
    rival = np.where(leads, runner_up, top) / n

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        centre: NDArray[np.float64] = np.where(valid, values, 0.0).sum(-1, keepdims=True) / n
        return centre

    def group_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.take_along_axis(group_sums(values, group, valid), group, axis=1)
        centre: NDArray[np.float64] = sums / count
        return centre

    everywhere = np.zeros(share.shape)
    features = [
        share,
        (count - 1) / np.maximum(n - 1, 1),
        np.log(count),
        share - rival,
        everywhere + (counts > 0).sum(-1, keepdims=True) / n,
        everywhere + np.log(n),
    ]
    if mean_logprob is not None:
        values = np.where(valid, mean_logprob, 0.0)
        centre = mean(values)
        usual = group_mean(values)
        bests = np.full(answer.shape, -np.inf)
        rows = np.broadcast_to(np.arange(len(answer))[:, None], answer.shape)
        np.maximum.at(bests, (rows[valid], group[valid]), values[valid])
        best = np.take_along_axis(bests, group, axis=1)
        spread = np.sqrt(mean((values - centre) ** 2))
        features += [
            values,
            values - centre,
            usual,
            usual - centre,
            np.where(valid, best, centre) - centre,
            everywhere + centre,
            everywhere + spread,
        ]
    if output_tokens is not None:
        length = np.log1p(np.where(valid, output_tokens, 0.0))
        centre = mean(length)
        features += [length, length - centre, group_mean(length) - centre]
    return np.stack(features, axis=-1)


def group_codes(answer: NDArray[np.int32]) -> IntArray:
    """Number the different answers of each set from 0, shape (B, N); abstaining samples share a number with
    others, which means nothing.

    Examples
    --------
    >>> group_codes(np.array([[7, 3, 7]], dtype=np.int32)).tolist()
    [[1, 0, 1]]
    """
    return np.asarray(np.maximum(dense_codes(answer) - 1, 0))


def group_sums(values: NDArray[np.float64], group: IntArray, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sum of each group's values over valid samples, shape (B, N): at most N groups, 0 where there
    is none.
    """
    n_sets, width = group.shape
    place = (np.arange(n_sets)[:, None] * width + group)[valid]
    sums = np.bincount(place, weights=values[valid], minlength=n_sets * width)
    return np.asarray(sums.reshape(n_sets, width))
