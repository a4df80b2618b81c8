"""What was measured on reference prompts, added up in each leaf of a forest: a prompt adds up its leaves.

Weights over references are never spread out: a prompt of a forest with 150 trees takes 150 rows, however many
references there are. Sums in float32 are precise to about a millionth, and exact for small whole numbers.
Reading the leaves of prompts is left to `difficulty.trees`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.leaf_weights import LeafWeights

# Rows added up at a time: with the leaves of one tree they stay in the processor's cache.
_ROWS: Final = 512
# So many prompts are added up one at a time, which is quicker for few.
_FEW: Final = 32


class LeafSums(NamedTuple):
    """Sums over the references of L leaves, each reference counting as its share of the leaf.

    Attributes
    ----------
    table : ndarray of float32, shape (L, 2 + A)
        1 where there is any reference; the share of them that lends weight; what these have in each of A
        columns.
    alike : ndarray of float64, shape (2 + A,)
        The same of all references together, for a prompt that meets none in any leaf.
    """

    table: NDArray[np.float32]
    alike: FloatArray

    @classmethod
    def of(cls, forest: LeafWeights, share: FloatArray, values: FloatArray) -> Self:
        """Add up the values (T, A) of T references; `share`, (T,), is 1 for those that lend weight."""
        from scipy.sparse import csr_array  # not on import: untrained planners never need it

        lent = share[:, None]
        each = np.concatenate([np.ones_like(lent), lent, lent * values], axis=1)
        n_references, n_trees = forest.leaves.shape
        owner = np.repeat(np.arange(n_references), n_trees)
        members = csr_array(
            (np.ones(owner.size, dtype=np.float32), (forest.leaves.ravel(), owner)),
            shape=(forest.trees.n_leaves, n_references),
        )
        table = members @ each.astype(np.float32)
        table /= np.maximum(np.diff(members.indptr), 1)[:, None].astype(np.float32)
        return cls(table, each.mean(axis=0))

    def mean(self, leaves: NDArray[np.integer]) -> tuple[FloatArray, FloatArray]:
        """Return the mean sums of N prompts in these leaves, (N, B), and the weight that was lent.

        Shapes (N, A) and (N, 1): the weighted mean over references is their ratio. Sums run tree by tree:
        equal prompts get equal ones however many there are at once.
        """
        total = self._added(leaves).astype(np.float64)
        total[total[:, 0] == 0] = self.alike
        total /= total[:, :1]
        return total[:, 2:], total[:, 1:2]

    def _added(self, leaves: NDArray[np.integer]) -> NDArray[np.float32]:
        """Add up the rows of the table that each prompt names, shape (N, 2 + A)."""
        total = np.zeros((len(leaves), self.table.shape[1]), dtype=np.float32)
        if len(leaves) <= _FEW:
            for row, mine in zip(total, leaves, strict=True):
                np.add.reduce(self.table.take(mine, axis=0), axis=0, out=row)
            return total
        buffer = np.empty((min(_ROWS, len(leaves)), self.table.shape[1]), dtype=np.float32)
        for tree in np.ascontiguousarray(leaves.T):
            for start in range(0, len(leaves), _ROWS):
                mine = tree[start : start + _ROWS]
                named = buffer[: len(mine)]
                # Leaves were checked; clipping only spares numpy a second buffer.
                self.table.take(mine, axis=0, out=named, mode="clip")
                total[start : start + _ROWS] += named
        return total
