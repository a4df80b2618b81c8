"""Decision trees as plain arrays: which leaf each row falls into, and the sum of what the leaves say.

Arrays that come from a file are checked as a whole when the value is made, so that walking them always ends,
reads nothing out of range and executes nothing. It assumes numeric features. Growing trees is left to
LightGBM and scikit-learn, turning their models into this to `difficulty.trees.grown_boosters` and
`difficulty.trees.forest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError
from difficulty.trees.descent import MAX_DEPTH, Descent, Missing

# Far beyond what is grown here (150 trees of 7 leaves, forests of some hundred trees of some hundred leaves);
# they bound the time and memory of models that others wrote.
_MAX_NODES: Final = 4_000_000
MAX_TREES: Final = 20_000
_MAX_FEATURES: Final = 1_000_000
# Leaves found at a time: some tens of MB, whatever the number of rows.
_CHUNK_LEAVES: Final = 1 << 20

_KINDS: Final = {"feature": "i", "threshold": "f", "left": "i", "right": "i", "missing": "i", "value": "f"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees(Descent, ArrayRecord):
    """T trees with N nodes in all, of which L are leaves with K numbers each.

    The nodes of a tree stand together, its root first, and every child stands after its parent. Node ``i``
    is a leaf where ``feature[i]`` is -1; else a row goes left where its feature is at most the threshold.

    Parameters
    ----------
    n_features : int
        Columns of the rows that are asked for, F.
    root : ndarray of int64, shape (T,)
        First node of each tree; the first is 0.
    feature : ndarray of int64, shape (N,)
        In 0 to F - 1; -1 for leaves.
    threshold : ndarray of float64, shape (N,)
        Finite; 0 for leaves.
    left, right : ndarray of int64, shape (N,)
        Children, in the same tree and after their parent; -1 for leaves.
    missing : ndarray of int64, shape (N,)
        What happens to missing features, a code of `Missing`; 0 for leaves.
    value : ndarray of float64, shape (L, K)
        What each leaf adds, in the order of the leaves among the nodes; finite.

    Raises
    ------
    InvalidInputError
        When the arrays are no trees, or larger than anything that is grown here.

    Examples
    --------
    >>> trees = Trees(
    ...     n_features=2, root=np.array([0]), feature=np.array([1, -1, -1]),
    ...     threshold=np.array([0.5, 0, 0]), left=np.array([1, -1, -1]), right=np.array([2, -1, -1]),
    ...     missing=np.array([Missing.RIGHT, 0, 0]), value=np.array([[10.0], [20.0]]))
    >>> trees.leaves([[9.0, 0.5], [9.0, 0.6], [9.0, np.nan]]).tolist()
    [[0], [1], [1]]
    >>> trees.predict([[9.0, 0.5], [9.0, 0.6]]).tolist()
    [[10.0], [20.0]]
    """

    n_features: int
    value: FloatArray

    def __post_init__(self) -> None:
        self._check_sizes()
        inner = self.feature >= 0
        nodes = np.arange(len(self.feature))
        if not self._is_forest(inner, nodes):
            raise InvalidInputError(
                "these are no trees: every node but a root must be the child of one node before it, in the "
                "same tree"
            )
        if self.feature.min() < -1 or self.feature.max() >= self.n_features:
            raise InvalidInputError(
                f"trees ask for feature {int(self.feature.max())} of {self.n_features}, counted from 0"
            )
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise InvalidInputError("thresholds and values of trees must be finite")
        if not set(np.unique(self.missing).tolist()) <= set(Missing):
            raise InvalidInputError(f"codes of missing features are {[int(code) for code in Missing]}")
        if self.depth > MAX_DEPTH:
            raise InvalidInputError(
                f"trees must be at most {MAX_DEPTH} decisions deep, got more in one of them"
            )

    @property
    def n_trees(self) -> int:
        """Number of trees, T."""
        return len(self.root)

    @property
    def n_leaves(self) -> int:
        """Number of leaves of all trees, L."""
        return len(self.value)

    def leaves(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return the leaf that each row falls into in each tree.

        Parameters
        ----------
        rows : array_like, shape (P, F)
            Features; NaN where missing.

        Returns
        -------
        ndarray of int64, shape (P, T)
            In 0 to L - 1, a row of `value`; no two trees share one.

        Raises
        ------
        InvalidInputError
            When the number of columns is another.
        """
        table = self._table(rows)
        parts = [self.find(part) for part in self._chunks(table)]
        return np.concatenate(parts) if parts else np.zeros((0, self.n_trees), dtype=np.int64)

    def predict(self, rows: ArrayLike) -> FloatArray:
        """Return the sum of what the leaves of all trees say, shape (P, K).

        Values are added tree by tree: equal rows get equal sums however many there are at once, and models of
        LightGBM the sums that LightGBM gets, bit for bit.

        Parameters
        ----------
        rows : array_like, shape (P, F)
            Features; NaN where missing.

        Raises
        ------
        InvalidInputError
            When the number of columns is another.
        """
        table = self._table(rows)
        parts = [
            np.add.accumulate(self.value[self.find(part)], axis=1)[:, -1] for part in self._chunks(table)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.value.shape[1]))

    def _table(self, rows: ArrayLike) -> FloatArray:
        table = np.asarray(rows, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != self.n_features:
            raise InvalidInputError(f"features must have shape (P, {self.n_features}), got {table.shape}")
        return table

    def _chunks(self, table: FloatArray) -> list[FloatArray]:
        step = max(_CHUNK_LEAVES // self.n_trees, 1)
        return [table[start : start + step] for start in range(0, len(table), step)]

    def _check_sizes(self) -> None:
        """Refuse arrays of other kinds, shapes or sizes than trees have."""
        for name, kind in {"root": "i", **_KINDS}.items():
            array = getattr(self, name)
            if array.dtype.kind != kind or array.ndim != (2 if name == "value" else 1):
                raise InvalidInputError(f"{name} of trees has another kind of numbers or another shape")
        n_nodes = len(self.feature)
        sizes = {len(getattr(self, name)) for name in _KINDS if name != "value"}
        if sizes != {n_nodes} or not 1 <= n_nodes <= _MAX_NODES or not 1 <= len(self.root) <= MAX_TREES:
            raise InvalidInputError(
                f"trees must have one entry per node, 1 to {_MAX_NODES:,} nodes and 1 to {MAX_TREES:,} "
                f"trees; got {sorted(sizes)} entries and {len(self.root)} trees"
            )
        n_leaves = int(np.count_nonzero(self.feature < 0))
        if len(self.value) != n_leaves or not self.value.shape[1]:
            raise InvalidInputError(
                f"trees with {n_leaves} leaves need as many rows of values, got shape {self.value.shape}"
            )
        if not 0 <= self.n_features <= _MAX_FEATURES:
            raise InvalidInputError(f"n_features must lie in 0 to {_MAX_FEATURES:,}, got {self.n_features}")

    def _is_forest(self, inner: NDArray[np.bool_], nodes: NDArray[np.int64]) -> bool:
        """Return whether each node but the roots is the child of exactly one earlier node of its tree."""
        if self.root[0] != 0 or np.any(np.diff(self.root) <= 0) or self.root[-1] >= len(nodes):
            return False
        ends = np.append(self.root[1:], len(nodes))
        end = np.repeat(ends, np.diff(np.append(self.root, len(nodes))))
        for child in (self.left, self.right):
            ours = child[inner]
            if np.any(child[~inner] != -1) or np.any((ours <= nodes[inner]) | (ours >= end[inner])):
                return False
        children = np.concatenate([self.left[inner], self.right[inner], self.root])
        return len(children) == len(nodes) and bool(np.all(np.bincount(children) == 1))
