"""LightGBM's text: read without LightGBM, predicted as LightGBM does to the bit, refused where it lies."""

from __future__ import annotations

import re
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidInputError
from difficulty.trees.lightgbm_text import read_lightgbm, trees_of_booster
from difficulty.trees.trees import Trees

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
    trees = trees_of_booster(booster)
    for seed, n_rows in ((1, 1), (2, 1000)):
        rows = table(seed, n_rows, holes=0.2)
        rows[: n_rows // 10] *= 1e12
        theirs = booster.predict(rows, raw_score=True, num_threads=1)
        assert_array_equal(trees.predict(rows)[:, 0], theirs)


def test_numbers_at_a_threshold_go_where_lightgbm_sends_them() -> None:
    booster = grown(table(0, 400, holes=0.1))
    trees = trees_of_booster(booster)
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
    assert_array_equal(trees_of_booster(booster, n_trees=7).predict(rows)[:, 0], few)


def test_a_model_that_learned_nothing_is_one_leaf() -> None:
    booster = grown(np.zeros((50, 6)), rounds=2)
    trees = trees_of_booster(booster)
    assert trees.depth == 0
    rows = table(1, 20, holes=0.1)
    assert_array_equal(trees.predict(rows)[:, 0], booster.predict(rows, raw_score=True))


@pytest.fixture(scope="module")
def text() -> str:
    return grown(table(0, 300, holes=0.1), rounds=3, num_leaves=5).model_to_string()


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"left_child=\S+", "left_child=0"),  # a cycle
        (r"left_child=\S+", "left_child=99"),
        (r"right_child=\S+", "right_child=-99"),
        (r"right_child=\S+", "right_child=999999999999999999999"),
        (r"split_feature=\S+", "split_feature=6"),
        (r"split_feature=\S+", "split_feature=-1"),
        (r"threshold=\S+", "threshold=nan"),
        (r"leaf_value=\S+", "leaf_value=inf"),
        (r"leaf_value=\S+", "leaf_value="),
        (r"decision_type=\S+", "decision_type=1"),
        (r"decision_type=\S+", "decision_type=12"),
        ("num_leaves=5", "num_leaves=0"),
        ("num_leaves=5", "num_leaves=1000000000"),
        ("num_leaves=5", "num_leaves=10000000000"),
        ("num_leaves=5", "num_leaves=-1"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("num_class=1", "num_class=1000000000"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2"),
        ("max_feature_idx=5", "max_feature_idx=1"),
        ("max_feature_idx=5", "max_feature_idx=999999999999"),
        ("max_feature_idx=5", ""),
        ("label_index=0", "average_output"),
        ("^tree", "bush"),
        ("end of trees", ""),
        ("(?s)Tree=0.*end of trees", "end of trees"),
        ("(?s)^.*$", ""),
    ],
)
def test_texts_that_lie_are_refused(text: str, pattern: str, replacement: str) -> None:
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    with pytest.raises(InvalidInputError):
        read_lightgbm(changed)


def test_every_cut_of_a_text_is_refused(text: str) -> None:
    whole = text.index("end of trees") + len("end of trees")
    assert isinstance(read_lightgbm(text[:whole]), Trees)
    for end in range(0, whole, 37):
        with pytest.raises(InvalidInputError):
            read_lightgbm(text[:end])


def test_texts_that_are_changed_at_random_are_trees_or_refused(text: str) -> None:
    rng = np.random.default_rng(0)
    rows = table(3, 20, holes=0.2)
    words = ["-1", "0", "1", "4", "7", "1e308", "nan", "-inf", "99999999999", "", "\n", "=", " ", "Tree=9\n"]
    for _ in range(400):
        pieces = re.split(r"(\s|=)", text[: text.index("end of trees") + 12])
        for _ in range(rng.integers(1, 4)):
            pieces[rng.integers(len(pieces))] = words[rng.integers(len(words))]
        try:
            trees = read_lightgbm("".join(pieces))
        except InvalidInputError:
            continue
        if trees.n_features == rows.shape[1]:
            leaves = trees.leaves(rows)
            assert leaves.min() >= 0
            assert leaves.max() < trees.n_leaves
