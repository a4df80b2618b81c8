"""Forests of scikit-learn as arrays: the same leaves and the same means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestRegressor

from difficulty.errors import InvalidInputError
from difficulty.trees.forest import trees_of_forest


@pytest.mark.parametrize("kind", [ExtraTreesRegressor, RandomForestRegressor])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_means_and_leaves_are_those_of_the_forest(kind: type, n_targets: int) -> None:
    rng = np.random.default_rng(n_targets)
    rows = rng.normal(size=(300, 5))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    targets = rng.random((300, n_targets))
    forest = kind(n_estimators=20, min_samples_leaf=3, random_state=0)
    forest.fit(rows, targets if n_targets > 1 else targets[:, 0])
    trees = trees_of_forest(forest)
    fresh = rng.normal(size=(500, 5))
    fresh[rng.random(fresh.shape) < 0.1] = np.nan
    expected = forest.predict(fresh).reshape(500, n_targets)
    assert_allclose(trees.predict(fresh), expected, rtol=0, atol=1e-12)
    ours, theirs = trees.leaves(fresh), forest.apply(fresh)
    for column in range(20):
        pairs = set(zip(ours[:, column].tolist(), theirs[:, column].tolist(), strict=True))
        assert len(pairs) == len(set(ours[:, column].tolist())) == len(set(theirs[:, column].tolist()))


def test_numbers_near_a_threshold_go_where_the_forest_sends_them() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 1)).astype(np.float32).astype(np.float64)
    forest = RandomForestRegressor(n_estimators=10, random_state=0).fit(rows, rng.random(200))
    trees = trees_of_forest(forest)
    cuts = np.concatenate([tree.tree_.threshold for tree in forest.estimators_])
    cuts = cuts[np.abs(cuts) < 1e9]
    singles = cuts.astype(np.float32)
    middles = [0.5 * (singles.astype(np.float64) + np.nextafter(singles, np.float32(end))) for end in (9, -9)]
    near = np.concatenate([cuts, singles, *middles])
    near = np.concatenate([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)])[:, None]
    assert_allclose(trees.predict(near)[:, 0], forest.predict(near), rtol=0, atol=1e-12)


def test_a_classifier_is_refused() -> None:
    forest = ExtraTreesClassifier(n_estimators=2).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(InvalidInputError, match="regression"):
        trees_of_forest(forest)
