"""Trees as plain data for JSON: names and numbers, nothing that executes.

Decoding checks kinds only; whether the numbers are trees is checked by `Trees`, when they are asked for.
"""

from __future__ import annotations

from functools import cached_property

import msgspec
import numpy as np

from difficulty.trees.trees import Trees


class PlainTrees(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """`Trees` with one number per leaf; see there for what the fields mean.

    Examples
    --------
    >>> leaf = PlainTrees(n_features=1, root=(0,), feature=(-1,), threshold=(0.0,), left=(-1,), right=(-1,),
    ...     missing=(0,), value=(2.5,))
    >>> leaf.trees.predict([[7.0]]).tolist()
    [[2.5]]
    >>> PlainTrees.of(leaf.trees) == leaf
    True
    """

    n_features: int
    root: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing: tuple[int, ...]
    value: tuple[float, ...]

    @classmethod
    def of(cls, trees: Trees) -> PlainTrees:
        """Return trees as plain data."""
        arrays = {name: array.ravel().tolist() for name, array in trees.to_arrays().items()}
        (n_features,) = arrays.pop("n_features")
        return cls(n_features=n_features, **{name: tuple(numbers) for name, numbers in arrays.items()})

    @cached_property
    def trees(self) -> Trees:
        """The trees.

        Raises
        ------
        InvalidInputError
            When they are none.
        OverflowError
            When a number has more than 64 bits.
        """
        whole = {
            name: np.array(getattr(self, name), dtype=np.int64)
            for name in ("root", "feature", "left", "right", "missing")
        }
        return Trees(
            n_features=self.n_features,
            threshold=np.array(self.threshold, dtype=np.float64),
            value=np.array(self.value, dtype=np.float64)[:, None],
            **whole,
        )
