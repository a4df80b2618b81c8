"""Grow the forest whose leaves say which prompts behave alike.

Trees split at random places, on the rates of all generators together; what they grow into are plain arrays.
It assumes features in float32, NaN where unknown, and a rate for every prompt and generator.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.belief_options import BeliefOptions
from difficulty.trees.forest import trees_of_forest
from difficulty.trees.trees import Trees


class GrownForest(NamedTuple):
    """A forest, and how much it makes of each feature.

    Attributes
    ----------
    trees : Trees
        The forest.
    relevance : ndarray of float64, shape (F,)
        Share of the reduced variance; at least 0.
    """

    trees: Trees
    relevance: FloatArray


def grow_trees(
    table: NDArray[np.float32], rates: FloatArray, options: BeliefOptions, seed: int
) -> GrownForest:
    """Grow a forest on P prompts with features (P, F) and rates (P, G)."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        n_estimators=options.n_trees,
        min_samples_leaf=options.min_leaf,
        max_features=options.max_features,
        random_state=seed,
    )
    forest.fit(table, rates[:, 0] if rates.shape[1] == 1 else rates)
    return GrownForest(trees_of_forest(forest), np.asarray(forest.feature_importances_, dtype=np.float64))
