"""Weights over reference prompts: who resembles whom, from predicted coordinates.

Four ways, from knowing nothing to knowing most: uniform (a constant prior), nearest neighbours, bins of predicted level
(Snell et al.), and a Gaussian kernel on level and deviations with a floor. Coordinates are assumed to be out-of-fold for the
reference prompts, so that they spread as those of new prompts do.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError

__all__ = ["bin_weights", "kernel_weights", "nearest_weights", "uniform_weights"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]


def uniform_weights(n_queries: int, n_references: int) -> Weights:
    """Return equal weights, shape (P, T): the prior that knows nothing about a prompt."""
    return np.full((n_queries, n_references), 1 / n_references, dtype=np.float32)


def kernel_weights(
    queries: FloatArray,
    references: FloatArray,
    *,
    level_bandwidth: float,
    deviation_bandwidth: float = np.inf,
    floor: float = 0.01,
) -> Weights:
    """Weigh reference prompts by a Gaussian kernel on standardised coordinates.

    Parameters
    ----------
    queries : ndarray of float64, shape (P, 1 + D)
        Coordinates of the prompts.
    references : ndarray of float64, shape (T, 1 + D)
        Out-of-fold coordinates of the reference prompts.
    level_bandwidth : float
        Width on the level, in standard deviations of the references' levels, above 0.
    deviation_bandwidth : float
        Width on the deviations, likewise; infinite to ignore them.
    floor : float
        Weight that every reference prompt keeps beside the kernel, relative to its peak, in [0, 1]: it pulls every belief
        towards the population.

    Returns
    -------
    ndarray of float32, shape (P, T)
        Rows sum to 1.

    Examples
    --------
    >>> kernel_weights(np.array([[0.0]]), np.array([[0.0], [0.1], [9.0]]), level_bandwidth=0.5, floor=0.0).round(2)
    array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    if not level_bandwidth > 0 or not deviation_bandwidth > 0 or not 0 <= floor <= 1:
        raise InvalidInputError(
            "bandwidths must be above 0 and floor in [0, 1]; "
            f"got {level_bandwidth}, {deviation_bandwidth}, {floor}"
        )
    scale = references.std(axis=0)
    bandwidths = np.full(references.shape[1], deviation_bandwidth, dtype=np.float64)
    bandwidths[0] = level_bandwidth
    # A constant coordinate tells nothing: it is ignored rather than divided by zero.
    inverse = np.where(scale > 1e-12, 1 / np.maximum(scale, 1e-12), 0.0) / bandwidths
    a = ((queries - references.mean(axis=0)) * inverse).astype(np.float32)
    b = ((references - references.mean(axis=0)) * inverse).astype(np.float32)
    a = np.clip(a, b.min(axis=0), b.max(axis=0))
    exponent = a @ b.T
    exponent -= 0.5 * np.einsum("pd,pd->p", a, a)[:, None]
    exponent -= 0.5 * np.einsum("td,td->t", b, b)[None, :]
    # Without a floor the nearest reference must not underflow to nothing.
    if floor == 0:
        exponent -= exponent.max(axis=1, keepdims=True)
    np.minimum(exponent, 0, out=exponent)
    weights = np.exp(exponent, out=exponent)
    weights += np.float32(floor)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def bin_weights(queries: FloatArray, references: FloatArray, *, n_bins: int) -> Weights:
    """Weigh equally the reference prompts in the same quantile bin of predicted level, shape (P, T).

    References
    ----------
    Snell, Lee, Xu & Kumar 2024, arXiv 2408.03314: five bins. We put edges at quantiles of the *reference* prompts, so that
    a bin is known for one prompt alone.
    """
    if n_bins < 1:
        raise InvalidInputError(f"n_bins must be at least 1, got {n_bins}")
    edges = np.quantile(references[:, 0], np.linspace(0, 1, n_bins + 1)[1:-1])
    same = np.searchsorted(edges, queries[:, 0])[:, None] == np.searchsorted(edges, references[:, 0])[None, :]
    same[~same.any(axis=1)] = True
    weights = same.astype(np.float32)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def nearest_weights(queries: FloatArray, references: FloatArray, *, n_neighbours: int) -> Weights:
    """Weigh equally the nearest reference prompts by Euclidean distance of coordinates (kNN), shape (P, T)."""
    n_neighbours = min(n_neighbours, len(references))
    if n_neighbours < 1:
        raise InvalidInputError(f"n_neighbours must be at least 1, got {n_neighbours}")
    scale = np.where(references.std(axis=0) > 1e-12, references.std(axis=0), 1.0)
    a, b = queries / scale, references / scale
    distance = (b * b).sum(axis=1)[None, :] - 2 * a @ b.T
    nearest = np.argpartition(distance, n_neighbours - 1, axis=1)[:, :n_neighbours]
    weights = np.zeros((len(queries), len(references)), dtype=np.float32)
    np.put_along_axis(weights, nearest, np.float32(1 / n_neighbours), axis=1)
    return weights
