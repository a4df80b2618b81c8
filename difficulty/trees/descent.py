"""Find the leaves of many rows in many trees at once, level by level, in numpy.

It takes as long as LightGBM on one thread for models of 150 trees, for one row as for ten thousand: a level
is four look-ups for a few hundred rows, which stay in the processor's cache. It assumes trees that
`difficulty.trees.trees` has checked, and leaves what their leaves say to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.ragged import offsets_of

LARGEST: Final = float(np.finfo(np.float64).max)
"""The largest threshold: every number is at or below it, and a missing one can still be above."""

ZERO: Final = float(np.float32(1e-35))
"""LightGBM takes numbers of at most this size for 0."""

MAX_DEPTH: Final = 200

# Levels that are walked before the ways that have ended are left out.
_LEVELS: Final = 4
# Rows walked at a time, times trees: what they need stays in the processor's cache.
_WALKED: Final = 1 << 14


class Missing(IntEnum):
    """Where a row goes whose feature is missing, by the model's library and training data."""

    ZERO = 0
    """NaN counts as the number 0."""
    LEFT = 1
    """NaN goes left."""
    RIGHT = 2
    """NaN goes right."""
    ZERO_LEFT = 3
    """NaN and 0 go left."""
    ZERO_RIGHT = 4
    """NaN and 0 go right."""


_STANDS_FOR: Final = {
    Missing.ZERO: 0.0,
    Missing.LEFT: -np.inf,
    Missing.RIGHT: np.inf,
    Missing.ZERO_LEFT: -np.inf,
    Missing.ZERO_RIGHT: np.inf,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """The nodes of T trees, N in all, and the way down; `difficulty.trees.trees.Trees` is the one to use.

    Parameters
    ----------
    root, feature, threshold, left, right, missing
        As there.
    """

    root: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: FloatArray
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing: NDArray[np.int64]

    @cached_property
    def depth(self) -> int:
        """Decisions on the longest way; `MAX_DEPTH` + 1 stands for more."""
        level, depth = self.root, 0
        while depth <= MAX_DEPTH:
            level = level[self.feature[level] >= 0]
            if not len(level):
                break
            level = np.concatenate([self.left[level], self.right[level]])
            depth += 1
        return depth

    @staticmethod
    def joined(*models: Descent) -> Descent:
        """Return the trees of several models, one after the other, to be walked in one go.

        Their leaves are counted on from one model to the next.
        """
        first = offsets_of(np.array([len(model.feature) for model in models]))[:-1].tolist()

        def one_after_another(name: str, *, moved: bool = False) -> NDArray[Any]:
            parts = [getattr(model, name) + moved * start for model, start in zip(models, first, strict=True)]
            return np.concatenate(parts)

        return Descent(
            root=one_after_another("root", moved=True),
            feature=one_after_another("feature"),
            threshold=one_after_another("threshold"),
            left=one_after_another("left", moved=True),
            right=one_after_another("right", moved=True),
            missing=one_after_another("missing"),
        )

    def find(self, table: FloatArray) -> NDArray[np.int64]:
        """Return the number of the leaf of each row in each tree, shape (P, T).

        Parameters
        ----------
        table : ndarray of float64, shape (P, F)
            Features; NaN where missing.
        """
        columns = self._columns(table)
        n_rows, n_columns = columns.shape
        found = np.empty((n_rows, len(self.root)), dtype=np.int64)
        step = max(_WALKED // len(self.root), 1)
        for start in range(0, n_rows, step):
            part = columns[start : start + step]
            found[start : start + step] = self._walk(part.ravel(), len(part), n_columns)
        return found

    def _walk(self, part: FloatArray, n_rows: int, n_columns: int) -> NDArray[np.int64]:
        """Return the leaves of a few rows, given flat, shape (P, T)."""
        # A node is named by the place of its record, so that one line of the cache holds what a step reads.
        threshold, column, child = self._records.view(np.float64), self._records[1:], self._records[2:]
        node = np.tile(4 * self.root, n_rows)
        first = np.repeat(np.arange(n_rows) * n_columns, len(self.root))
        result, place = node, np.arange(len(node))
        for level in range(1, self.depth + 1):
            asked = column.take(node)
            below = part.take(asked if n_rows == 1 else first + asked) <= threshold.take(node)
            before, node = node, child.take(node + below)
            if level % _LEVELS and level < self.depth:
                continue
            # Most ways end long before the longest: only those that go on are walked further.
            result[place] = node
            (on,) = (node != before).nonzero()
            if not len(on):
                break
            node, first, place = node[on], first[on], place[on]
        return self._number.take(result // 4).reshape(n_rows, len(self.root))

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        """Pairs of a code of missing features and a feature that are asked for, each once: (C, 2)."""
        inner = self.feature >= 0
        return np.unique(np.stack([self.missing[inner], self.feature[inner]], axis=1), axis=0)

    @cached_property
    def _column(self) -> NDArray[np.int64]:
        """The pair that each node asks for, (N,); 0 for leaves."""
        column = np.zeros(len(self.feature), dtype=np.int64)
        inner = np.flatnonzero(self.feature >= 0)
        if len(inner):
            base = int(self._keys[:, 1].max()) + 1
            keys = self._keys[:, 0] * base + self._keys[:, 1]
            column[inner] = np.searchsorted(keys, self.missing[inner] * base + self.feature[inner])
        return column

    @cached_property
    def _records(self) -> NDArray[np.int64]:
        """Threshold (as bits), column, right and left child of each node; a leaf leads to itself: (4N,)."""
        leaf, nodes = self.feature < 0, np.arange(len(self.feature))
        right, left = (4 * np.where(leaf, nodes, child) for child in (self.right, self.left))
        threshold = self.threshold.astype(np.float64).view(np.int64)
        return np.stack([threshold, self._column, right, left], axis=1).ravel()

    @cached_property
    def _number(self) -> NDArray[np.int64]:
        """Number of each leaf among the leaves, (N,)."""
        return np.cumsum(self.feature < 0) - 1

    @cached_property
    def _zeros_count(self) -> bool:
        """Whether 0 counts as missing anywhere."""
        return bool((self._keys[:, 0] >= Missing.ZERO_LEFT).any())

    def _columns(self, table: FloatArray) -> FloatArray:
        """Return one column for each pair, missing features replaced by where they go, shape (P, C)."""
        columns = table.take(self._keys[:, 1], axis=1)
        if not self._zeros_count and np.isfinite(columns).all():
            return columns
        unknown = np.isnan(columns)
        # What is beyond every number is kept for what is missing.
        columns = columns.clip(-LARGEST, LARGEST)
        codes = self._keys[:, 0]
        for code, stands_for in _STANDS_FOR.items():
            ours = codes == code
            gone = unknown[:, ours]
            if code >= Missing.ZERO_LEFT:
                gone = gone | (np.abs(columns[:, ours]) <= ZERO)
            if gone.any():
                columns[:, ours] = np.where(gone, stands_for, columns[:, ours])
        return columns
