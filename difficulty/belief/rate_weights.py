"""Weights over reference prompts by how alike their predicted success rates are to a prompt's.

Two ways: the nearest references, alike, and a wide Gaussian kernel with a floor. References carry rates that
were predicted without them, so that they spread as those of new prompts do. Predicting the rates is left to
`difficulty.predictor.success_predictor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray

_CHUNK_ROWS: Final = 256
# Rates are kept this far from 0 and 1 before their log-odds are taken.
_CLIP: Final = 0.01
_LEAST_SPREAD: Final = 1e-9
_N_DEVIATIONS: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class RateReferences:
    """T reference prompts by their predicted rates.

    Parameters
    ----------
    rates : ndarray of float64, shape (T, G)
        In [0, 1].

    Examples
    --------
    >>> references = RateReferences(rates=np.array([[0.1], [0.2], [0.9], [0.8]]))
    >>> references.nearest(np.array([[0.2]]), n_nearest=1)
    array([[0., 1., 0., 0.]], dtype=float32)
    """

    rates: FloatArray

    def nearest(self, rates: FloatArray, *, n_nearest: int) -> NDArray[np.float32]:
        """Return equal weights of the nearest references, shape (N, T); rows sum to 1.

        Parameters
        ----------
        rates : ndarray of float64, shape (N, G)
            Predicted rates of N prompts.
        n_nearest : int
            How many to take, at least 1 and at most a third of all, rounded up; more where distances tie.
        """
        n_nearest = min(n_nearest, -(-len(self.rates) // 3))
        result = np.empty((len(rates), len(self.rates)), dtype=np.float32)
        for start in range(0, len(rates), _CHUNK_ROWS):
            squared = _squared_distance(rates[start : start + _CHUNK_ROWS], self.rates)
            reach = np.partition(squared, n_nearest - 1, axis=1)[:, n_nearest - 1 : n_nearest]
            near = squared <= reach
            result[start : start + _CHUNK_ROWS] = near / near.sum(axis=1, keepdims=True)
        return result

    def kernel(self, rates: FloatArray, *, bandwidth: float, floor: float) -> NDArray[np.float32]:
        """Return the weights of a Gaussian kernel on level and deviations, shape (N, T); rows sum to 1.

        Parameters
        ----------
        rates : ndarray of float64, shape (N, G)
            Predicted rates of N prompts.
        bandwidth : float
            Width in standard deviations, above 0.
        floor : float
            Weight that every reference keeps, relative to the kernel's peak, in [0, 1].
        """
        to = self._coordinates
        result = np.empty((len(rates), len(to)), dtype=np.float32)
        # Beyond the references nothing is known: prompts out there are moved to their edge.
        at = _coordinates(rates, self._scaling).clip(*self._edge)
        for start in range(0, len(rates), _CHUNK_ROWS):
            exponent = _squared_distance(at[start : start + _CHUNK_ROWS], to)
            # Without a floor the nearest reference must not underflow to nothing.
            exponent -= exponent.min(axis=1, keepdims=True)
            weights = np.exp(exponent / (-2 * bandwidth**2)) + floor
            result[start : start + _CHUNK_ROWS] = weights / weights.sum(axis=1, keepdims=True)
        return result

    @cached_property
    def _scaling(self) -> FloatArray:
        """What turns rates into coordinates of unit deviation over the references, shape (1 + D, G).

        The first row is for log-odds and gives their mean, the level; the others are for rates, and are the D
        directions, at most two, in which generators differ most. A coordinate that does not vary is left out
        by a row of zeros.
        """
        n_generators = self.rates.shape[1]
        deviation = self.rates - self.rates.mean(axis=1, keepdims=True)
        deviation = deviation - deviation.mean(axis=0)
        n_deviations = min(_N_DEVIATIONS, n_generators - 1, len(self.rates))
        directions = np.linalg.svd(deviation, full_matrices=False)[2][:n_deviations]
        scaling = np.concatenate([np.full((1, n_generators), 1 / n_generators), directions])
        spread = _coordinates(self.rates, scaling).std(axis=0)[:, None]
        return np.where(spread > _LEAST_SPREAD, scaling / np.maximum(spread, _LEAST_SPREAD), 0.0)

    @cached_property
    def _edge(self) -> tuple[FloatArray, FloatArray]:
        return self._coordinates.min(axis=0), self._coordinates.max(axis=0)

    @cached_property
    def _coordinates(self) -> FloatArray:
        return _coordinates(self.rates, self._scaling)


def _coordinates(rates: FloatArray, scaling: FloatArray) -> FloatArray:
    """Return level and deviations, shape (N, 1 + D); sums run generator by generator, alike for each row."""
    share = rates.clip(_CLIP, 1 - _CLIP)
    both = rates[:, None].repeat(len(scaling), axis=1)
    both[:, 0] = np.log(share / (1 - share))
    return np.add.accumulate(both * scaling, axis=2)[:, :, -1]


def _squared_distance(at: FloatArray, to: FloatArray) -> FloatArray:
    """Return squared distances, shape (N, T): column by column, so that equal rows get equal results."""
    total = np.zeros((len(at), len(to)))
    for column in range(at.shape[1]):
        difference = at[:, column, None] - to[:, column]
        total += difference * difference
    return total
