"""Weights over reference prompts by how often they share a leaf with a prompt in a forest.

In each tree a prompt's weight is spread evenly over the references in its leaf, so that rows sum to 1 and the
weighted mean of the references' labels is the forest's own prediction. It assumes trees grown on labels that
the expected values depend on. Growing them, and prompts of which nothing is known, are left to
`difficulty.belief.text_belief`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError
from difficulty.trees.trees import Trees

# Far beyond what is grown here (10,000 references in 200 trees); it bounds what others' files take.
_MAX_ENTRIES: Final = 1 << 26
# Pairs of a prompt and a reference weighed at a time: 2 MB, which stay in the processor's cache.
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, kw_only=True, eq=False)
class LeafWeights(ArrayRecord):
    """A forest, and the leaf of each of T references in each of its B trees.

    Parameters
    ----------
    trees : Trees
        The forest.
    leaves : ndarray of int32, shape (T, B)
        As `Trees.leaves` gives them; T at least 1.

    Raises
    ------
    InvalidInputError
        When a leaf is none of its tree.

    Examples
    --------
    >>> from sklearn.ensemble import ExtraTreesRegressor
    >>> from difficulty.trees.forest import trees_of_forest
    >>> x = np.arange(8.0)[:, None]
    >>> trees = trees_of_forest(ExtraTreesRegressor(n_estimators=9, min_samples_leaf=2, random_state=0).fit(
    ...     x, x[:, 0]))
    >>> weights = LeafWeights.of(trees, x).weights(x)
    >>> bool(np.allclose(weights @ x[:, 0], trees.predict(x)[:, 0]))
    True
    """

    trees: Trees
    leaves: NDArray[np.int32]
    PARTS: ClassVar = {"trees": Trees}

    def __post_init__(self) -> None:
        shape = self.leaves.shape
        if self.leaves.dtype.kind != "i" or len(shape) != 2 or shape[1] != self.trees.n_trees or not shape[0]:
            raise InvalidInputError(
                f"leaves must be whole numbers of shape (T, {self.trees.n_trees}), T at least 1; got {shape}"
            )
        if self.leaves.size > _MAX_ENTRIES:
            raise InvalidInputError(f"leaves of references must be at most {_MAX_ENTRIES:,} in all")
        before: NDArray[np.int64] = np.cumsum(self.trees.feature < 0)[self.trees.root] - (
            self.trees.feature[self.trees.root] < 0
        )
        if np.any(self.leaves < before) or np.any(self.leaves >= np.append(before[1:], self.trees.n_leaves)):
            raise InvalidInputError("a reference stands in a leaf that its tree does not have")

    @classmethod
    def of(cls, trees: Trees, features: NDArray[np.floating]) -> LeafWeights:
        """Return the weights over T references with these features, shape (T, F)."""
        return cls(trees=trees, leaves=trees.leaves(features).astype(np.int32))

    def weights(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the weights of N prompts with features (N, F), shape (N, T); rows sum to 1.

        A prompt that shares no leaf with any reference, which happens after `take`, gets equal weights.
        """
        return self.spread(self.trees.leaves(features))

    def take(self, rows: NDArray[np.intp]) -> LeafWeights:
        """Return the weights over some of the references, in the order of `rows`."""
        return LeafWeights(trees=self.trees, leaves=self.leaves[rows])

    @cached_property
    def _index(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """References in the order of their leaves; first place, number and weight of each in a leaf."""
        n_trees = self.leaves.shape[1]
        flat = self.leaves.ravel()
        order = np.argsort(flat, kind="stable")
        size = np.bincount(flat, minlength=self.trees.n_leaves)
        weight = 1.0 / (n_trees * np.maximum(size, 1))
        return (order // n_trees).astype(np.int32), np.cumsum(size) - size, size, weight

    def spread(self, leaves: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the weights of prompts that fall into these leaves, (N, B), as shape (N, T)."""
        references, first, size, weight = self._index
        n_prompts, n_references = len(leaves), len(self.leaves)
        result = np.empty((n_prompts, n_references), dtype=np.float32)
        step = max(_CHUNK // n_references, 1)
        for start in range(0, n_prompts, step):
            part = leaves[start : start + step]
            flat = part.ravel()
            count = size.take(flat)
            end = np.cumsum(count)
            place = np.arange(end[-1]) + np.repeat(first.take(flat) - (end - count), count)
            row = np.repeat(np.arange(len(part)) * n_references, count.reshape(part.shape).sum(axis=1))
            # Each entry is summed tree by tree: equal prompts get equal sums however many there are at once.
            total = np.bincount(
                row + references.take(place),
                np.repeat(weight.take(flat), count),
                minlength=len(part) * n_references,
            ).reshape(len(part), n_references)
            mass = total.sum(axis=1, keepdims=True)
            result[start : start + step] = np.divide(
                total, mass, out=np.full(total.shape, 1.0 / n_references), where=mass > 0
            )
        return result
