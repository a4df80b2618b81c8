"""Weights over reference prompts: who resembles whom, from predicted coordinates.

Three ways, from knowing nothing to knowing most: uniform (a constant prior), bins of predicted level (Snell
et al.), and a Gaussian kernel on level and deviations with a floor. Coordinates are assumed to be out-of-fold
for the reference prompts, so that they spread as those of new prompts do. What concerns the references alone
is computed once.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.row_product import row_product
from difficulty.errors import InvalidInputError

__all__ = ["BinWeights", "KernelWeights", "UniformWeights", "Weigher"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]


class Weigher(Protocol):
    """Turns coordinates of P prompts, shape (P, 1 + D), into weights over T reference prompts, shape (P, T).

    Rows sum to 1.
    """

    def __call__(self, queries: FloatArray, /) -> Weights:
        """Return the weights."""
        ...


class UniformWeights:
    """Equal weights: the prior that knows nothing about a prompt.

    Parameters
    ----------
    references : ndarray of float64, shape (T, 1 + D)
        Coordinates of the reference prompts.
    """

    def __init__(self, references: FloatArray) -> None:
        self._n = len(references)

    def __call__(self, queries: FloatArray, /) -> Weights:
        """Return the weights, shape (P, T)."""
        return np.full((len(queries), self._n), 1 / self._n, dtype=np.float32)


class KernelWeights:
    """A Gaussian kernel on standardised coordinates, with a floor.

    Parameters
    ----------
    references : ndarray of float64, shape (T, 1 + D)
        Out-of-fold coordinates of the reference prompts.
    level_bandwidth : float
        Width on the level, in standard deviations of the references' levels, above 0.
    deviation_bandwidth : float
        Width on the deviations, likewise; infinite to ignore them.
    floor : float
        Weight that every reference prompt keeps beside the kernel, relative to its peak, in [0, 1]: it
        pulls every belief towards the population.

    Raises
    ------
    InvalidInputError
        When a parameter is outside its range.

    Notes
    -----
    Queries beyond the references' range are moved to its edge: nothing is known out there.

    Examples
    --------
    >>> weigh = KernelWeights(np.array([[0.0], [0.1], [9.0]]), level_bandwidth=0.5, floor=0.0)
    >>> weigh(np.array([[0.0]])).round(2)
    array([[0.5, 0.5, 0. ]], dtype=float32)
    """

    def __init__(
        self,
        references: FloatArray,
        *,
        level_bandwidth: float,
        deviation_bandwidth: float = np.inf,
        floor: float = 0.01,
    ) -> None:
        if not level_bandwidth > 0 or not deviation_bandwidth > 0 or not 0 <= floor <= 1:
            raise InvalidInputError(
                "bandwidths must be above 0 and floor in [0, 1]; "
                f"got {level_bandwidth}, {deviation_bandwidth}, {floor}"
            )
        scale = references.std(axis=0)
        bandwidths = np.full(references.shape[1], deviation_bandwidth, dtype=np.float64)
        bandwidths[0] = level_bandwidth
        # A constant coordinate tells nothing: it is ignored rather than divided by zero.
        self._inverse = np.where(scale > 1e-12, 1 / np.maximum(scale, 1e-12), 0.0) / bandwidths
        self._centre = references.mean(axis=0)
        self._references = ((references - self._centre) * self._inverse).astype(np.float32)
        self._low, self._high = self._references.min(axis=0), self._references.max(axis=0)
        self._squared = 0.5 * np.einsum("td,td->t", self._references, self._references)
        self._transposed = np.ascontiguousarray(self._references.T)
        self._floor = np.float32(floor)

    def __call__(self, queries: FloatArray, /) -> Weights:
        """Return the weights, shape (P, T)."""
        at = ((queries - self._centre) * self._inverse).astype(np.float32)
        np.clip(at, self._low, self._high, out=at)
        exponent = row_product(at, self._transposed)
        exponent -= 0.5 * np.einsum("pd,pd->p", at, at)[:, None]
        exponent -= self._squared
        if self._floor == 0:  # without a floor the nearest reference must not underflow to nothing
            exponent -= exponent.max(axis=1, keepdims=True)
        np.minimum(exponent, 0, out=exponent)
        weights: Weights = np.exp(exponent, out=exponent)
        weights += self._floor
        weights /= weights.sum(axis=1, keepdims=True)
        return weights


class BinWeights:
    """Equal weights for the reference prompts in the same quantile bin of predicted level.

    Parameters
    ----------
    references : ndarray of float64, shape (T, 1 + D)
        Coordinates of the reference prompts.
    n_bins : int
        At least 1.

    References
    ----------
    Snell, Lee, Xu & Kumar 2024, arXiv 2408.03314: five bins. We put edges at quantiles of the *reference*
    prompts, so that a bin is known for one prompt alone.
    """

    def __init__(self, references: FloatArray, *, n_bins: int) -> None:
        if n_bins < 1:
            raise InvalidInputError(f"n_bins must be at least 1, got {n_bins}")
        self._edges = np.quantile(references[:, 0], np.linspace(0, 1, n_bins + 1)[1:-1])
        bins = np.searchsorted(self._edges, references[:, 0])
        same = np.arange(n_bins)[:, None] == bins
        same[~same.any(axis=1)] = True
        self._weights: Weights = (same / same.sum(axis=1, keepdims=True)).astype(np.float32)

    def __call__(self, queries: FloatArray, /) -> Weights:
        """Return the weights, shape (P, T)."""
        return self._weights[np.searchsorted(self._edges, queries[:, 0])]
