"""Means of what was measured on reference prompts, by weights in whichever form they are kept.

A full matrix of weights is one product; weights by shared leaves are sums over leaves, and are never spread
out. Forming weights is left to `difficulty.belief.text_belief`.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from difficulty.belief.leaf_sums import LeafSums
from difficulty.belief.leaf_weights import LeafWeights


class ReferenceColumns:
    """A columns measured on T reference prompts, ready to be averaged.

    Parameters
    ----------
    values : ndarray of float64, shape (T, A)
        Without NaN.
    """

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        self._by_leaf: tuple[LeafWeights, LeafSums] | None = None

    @cached_property
    def usual(self) -> FloatArray:
        """Means over all references, shape (A,)."""
        return np.asarray(self.values.mean(axis=0))

    def by_leaf(self, forest: LeafWeights, share: FloatArray) -> LeafSums:
        """Return the sums in the leaves of a forest, worked out when they are first asked for.

        Parameters
        ----------
        forest : LeafWeights
            Over the same references.
        share : ndarray of float64, shape (T,)
            1 for references that lend weight, else 0.
        """
        if self._by_leaf is None or self._by_leaf[0] is not forest:
            self._by_leaf = (forest, LeafSums.of(forest, share, self.values))
        return self._by_leaf[1]


class Weighing(Protocol):
    """Weights of N prompts over T references."""

    def mean(self, of: ReferenceColumns, columns: NDArray[np.intp] | None = None) -> FloatArray:
        """Return the weighted means of some columns, or of all, shape (N, A)."""
        ...


class DenseWeights(NamedTuple):
    """Weights as a matrix.

    Attributes
    ----------
    weights : ndarray of float32, shape (N, T)
        Rows sum to 1.

    Examples
    --------
    >>> weights = DenseWeights(np.array([[0.25, 0.75]], dtype=np.float32))
    >>> weights.mean(ReferenceColumns(np.array([[1.0, 0.0], [0.0, 8.0]])))
    array([[0.25, 6.  ]])
    """

    weights: NDArray[np.float32]

    def mean(self, of: ReferenceColumns, columns: NDArray[np.intp] | None = None) -> FloatArray:
        """Return the weighted means of some columns, or of all, shape (N, A)."""
        values = of.values if columns is None else of.values[:, columns]
        mean = row_product(self.weights, values, weight=np.ones((len(values), 1)))
        return np.asarray(mean, dtype=np.float64)
