"""Turn a regression forest of scikit-learn into checked arrays.

Random forests and forests of extra trees, with one target or several, and with missing features where
scikit-learn takes them. It assumes a fitted forest; growing it is left to scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.trees.descent import LARGEST, Missing
from difficulty.trees.trees import Trees

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor


def trees_of_forest(forest: ExtraTreesRegressor | RandomForestRegressor) -> Trees:
    """Return the trees of a regression forest.

    Parameters
    ----------
    forest : ExtraTreesRegressor or RandomForestRegressor
        Fitted on K targets.

    Returns
    -------
    Trees
        `predict` gives the forest's means, shape (P, K), up to rounding: each leaf holds its mean over the
        number of trees. Leaves are numbered through all trees, whereas ``forest.apply`` gives nodes of each.

    Raises
    ------
    InvalidInputError
        When it is a classifier.

    Notes
    -----
    scikit-learn rounds features to float32 and compares them with thresholds of float64. The thresholds here
    are those at which features that are not rounded go the same ways.

    Examples
    --------
    >>> from sklearn.ensemble import ExtraTreesRegressor
    >>> x = np.arange(20.0)[:, None]
    >>> forest = ExtraTreesRegressor(n_estimators=5, random_state=0).fit(x, x[:, 0] ** 2)
    >>> bool(np.allclose(trees_of_forest(forest).predict(x)[:, 0], forest.predict(x)))
    True
    """
    grown = [estimator.tree_ for estimator in forest.estimators_]
    if any(tree.value.shape[2] != 1 for tree in grown):
        raise InvalidInputError("trees are read from regression forests; this one tells classes apart")
    root = np.cumsum([0, *(tree.node_count for tree in grown)], dtype=np.int64)
    leaf = np.concatenate([tree.children_left < 0 for tree in grown])

    def joined(parts: Sequence[NDArray[Any]], at_leaves: int) -> NDArray[np.int64]:
        return np.where(leaf, at_leaves, np.concatenate(parts)).astype(np.int64)

    return Trees(
        n_features=int(forest.n_features_in_),
        root=root[:-1],
        feature=joined([tree.feature for tree in grown], -1),
        threshold=np.where(leaf, 0.0, _unrounded(np.concatenate([tree.threshold for tree in grown]))),
        left=joined([tree.children_left + first for tree, first in zip(grown, root, strict=False)], -1),
        right=joined([tree.children_right + first for tree, first in zip(grown, root, strict=False)], -1),
        missing=joined(
            [np.where(tree.missing_go_to_left == 1, Missing.LEFT, Missing.RIGHT) for tree in grown], 0
        ),
        value=np.concatenate([tree.value[:, :, 0] for tree in grown])[leaf] / len(grown),
    )


def _unrounded(threshold: FloatArray) -> FloatArray:
    """Return the largest float64 that rounds to a float32 at or below each threshold."""
    with np.errstate(over="ignore"):  # infinite thresholds part all numbers from what is missing
        below = threshold.astype(np.float32)
        below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
        above = np.nextafter(below, np.float32(np.inf))
    middle = 0.5 * (below.astype(np.float64) + above.astype(np.float64))
    # Half way between two numbers of float32, the one with an even last bit is taken.
    even = below.view(np.uint32) % 2 == 0
    last = np.where(even, middle, np.nextafter(middle, -np.inf))
    return np.where(np.isfinite(above), last, threshold).clip(-LARGEST, LARGEST)
