"""Trees that LightGBM grew: predicted without it as it does, to the bit."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidInputError
from difficulty.trees.grown_boosters import trees_of_boosters

QUIET: dict[str, Any] = {"verbosity": -1, "num_threads": 1, "deterministic": True, "min_data_in_leaf": 5}


def table(seed: int, n_rows: int, *, holes: float) -> np.ndarray:
    """Features with ties, zeros and holes."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, 6))
    rows[:, 1] = rng.integers(0, 3, n_rows)
    rows[:, 2] *= rng.random(n_rows) < 0.5
    rows[:, 5] = 7
    rows[rng.random(rows.shape) < holes] = np.nan
    return rows


def grown(rows: np.ndarray, rounds: int = 40, **parameters: Any) -> lightgbm.Booster:
    known = np.nan_to_num(rows)
    target = 1 / (1 + np.exp(-known[:, 0] - known[:, 1] * known[:, 2]))
    settings = {**QUIET, "objective": "cross_entropy", **parameters}
    if settings["objective"] == "binary":
        target = (target > 0.6).astype(float)
    return lightgbm.train(settings, lightgbm.Dataset(rows, label=target), num_boost_round=rounds)


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize(
    "parameters",
    [
        {"num_leaves": 7, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1},
        {"num_leaves": 40, "objective": "regression"},
        {"num_leaves": 6, "objective": "binary", "max_bin": 15},
        {"num_leaves": 7, "objective": "gamma"},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"num_leaves": 2},
    ],
)
def test_predictions_are_those_of_lightgbm_to_the_bit(parameters: dict[str, Any], holes: float) -> None:
    booster = grown(table(0, 400, holes=holes), **parameters)
    trees = trees_of_boosters(booster)
    for seed, n_rows in ((1, 1), (2, 1000)):
        rows = table(seed, n_rows, holes=0.2)
        rows[: n_rows // 10] *= 1e12
        theirs = booster.predict(rows, raw_score=True, num_threads=1)
        assert_array_equal(trees.predict(rows)[:, 0], theirs)


def test_numbers_at_a_threshold_go_where_lightgbm_sends_them() -> None:
    booster = grown(table(0, 400, holes=0.1))
    trees = trees_of_boosters(booster)
    cuts = np.unique(trees.threshold[trees.feature >= 0])
    cuts = cuts[np.abs(cuts) < 1e9]
    near = [np.nextafter(cuts, end) for end in (np.inf, -np.inf)]
    around = np.concatenate([cuts, *near, [np.inf, -np.inf]])
    rows = np.repeat(around[:, None], 6, axis=1)
    assert_array_equal(trees.predict(rows)[:, 0], booster.predict(rows, raw_score=True))


def test_the_first_trees_are_those_of_fewer_rounds() -> None:
    rows = table(0, 300, holes=0.1)
    booster = grown(rows)
    few = booster.predict(rows, raw_score=True, num_iteration=7)
    assert_array_equal(trees_of_boosters(booster, n_trees=7).predict(rows)[:, 0], few)


def test_a_model_that_learned_nothing_is_one_leaf() -> None:
    booster = grown(np.zeros((50, 6)), rounds=2)
    trees = trees_of_boosters(booster)
    assert trees.depth == 0
    rows = table(1, 20, holes=0.1)
    assert_array_equal(trees.predict(rows)[:, 0], booster.predict(rows, raw_score=True))


def other_models() -> list[lightgbm.Booster]:
    rows = table(0, 300, holes=0.0)
    label = rows[:, 1].astype(int)
    return [
        lightgbm.train(
            {**QUIET, **parameters}, lightgbm.Dataset(rows, label=label, **more), num_boost_round=2
        )
        for parameters, more in (
            ({"objective": "multiclass", "num_class": 3}, {}),
            ({"objective": "regression", "linear_tree": True}, {}),
            ({"objective": "regression", "min_data_per_group": 1}, {"categorical_feature": [1]}),
            ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, {}),
        )
    ]


@pytest.mark.parametrize("booster", other_models(), ids=["classes", "linear", "categories", "mean of trees"])
def test_models_that_predict_in_another_way_are_refused(booster: lightgbm.Booster) -> None:
    with pytest.raises(InvalidInputError, match="LightGBM must"):
        trees_of_boosters(booster)
