"""The difficulty predictor: nothing leaks over folds, equal seeds give equal numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.predictor.difficulty_predictor import DifficultyPredictor, group_folds


def planted(n_prompts: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (P, 3), n and n_correct (P, 2); feature 0 tells the level, feature 1 who is better."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_prompts, 3))
    sides = np.array([1.0, -1.0])
    success = 1 / (1 + np.exp(-1.5 * features[:, :1] - 1.5 * features[:, 1:2] * sides))
    n = np.full((n_prompts, 2), 20)
    return features, n, rng.binomial(n, success)


@pytest.fixture(scope="module")
def fitted() -> DifficultyPredictor:
    return DifficultyPredictor(seed=0).fit(*planted())


def test_level_and_deviation_are_both_found(fitted: DifficultyPredictor) -> None:
    assert fitted.coordinates_.shape == (120, 2)
    assert fitted.directions_.shape == (1, 2)
    assert fitted.r2_[0] > 0.5
    assert fitted.r2_[1] > 0.5


def test_new_prompts_are_placed_by_their_features(fitted: DifficultyPredictor) -> None:
    features, n, n_correct = planted(seed=9)
    predicted = fitted.predict(features)
    assert np.corrcoef(predicted[:, 0], (n_correct / n).mean(axis=1))[0, 1] > 0.8
    towards = (n_correct / n) @ fitted.directions_[0]
    assert np.corrcoef(predicted[:, 1], towards)[0, 1] > 0.8


def test_out_of_fold_coordinates_never_saw_the_counts_of_their_fold() -> None:
    features, n, n_correct = planted()
    n, n_correct = n[:, :1], n_correct[:, :1]
    before = DifficultyPredictor(seed=0).fit(features, n, n_correct)
    fold = before.folds_ == before.folds_[0]
    # Dealing the counts of one fold anew keeps the population's mean, so that only a leak could show.
    changed = n_correct.copy()
    changed[fold] = np.sort(n_correct[fold], axis=0)
    after = DifficultyPredictor(seed=0).fit(features, n, changed)
    assert_array_equal(before.coordinates_[fold], after.coordinates_[fold])
    assert (before.coordinates_[~fold] != after.coordinates_[~fold]).any()


def test_copies_in_one_group_do_not_leak_and_copies_apart_would() -> None:
    rng = np.random.default_rng(3)
    features = np.repeat(rng.normal(size=(30, 2)), 6, axis=0)
    n = np.full((180, 1), 20)
    n_correct = np.repeat(rng.integers(0, 21, size=(30, 1)), 6, axis=0)
    groups = np.repeat(np.arange(30).astype(str), 6)
    apart = DifficultyPredictor(seed=0).fit(features, n, n_correct)
    together = DifficultyPredictor(seed=0).fit(features, n, n_correct, groups=groups)
    assert apart.r2_[0] > 0.5
    assert together.r2_[0] < 0.1


def test_equal_seeds_agree_and_others_do_not(fitted: DifficultyPredictor) -> None:
    again = DifficultyPredictor(seed=0).fit(*planted())
    assert_array_equal(fitted.coordinates_, again.coordinates_)
    for ours, theirs in zip(fitted.boosters_, again.boosters_, strict=True):
        assert str(ours.to_arrays()) == str(theirs.to_arrays())
    other = DifficultyPredictor(seed=1).fit(*planted())
    assert (other.folds_ != fitted.folds_).any()


def test_missing_features_and_missing_generators_are_allowed() -> None:
    features, n, n_correct = planted(60)
    features[::3, 2] = np.nan
    n[::2, 1] = n_correct[::2, 1] = 0
    fitted = DifficultyPredictor(n_folds=2).fit(features, n, n_correct)
    assert np.isfinite(fitted.coordinates_).all()
    assert np.isfinite(fitted.predict(np.full((1, 3), np.nan))).all()


def test_equal_generators_have_no_deviation_to_explain() -> None:
    features, n, n_correct = planted(40)
    same = np.repeat(n_correct[:, :1], 2, axis=1)
    fitted = DifficultyPredictor(n_folds=2).fit(features, n, same)
    assert np.isfinite(fitted.coordinates_).all()
    assert fitted.r2_[1] == 0


def test_folds_never_cut_a_group_and_are_even() -> None:
    groups = np.array([f"g{index // 3}" for index in range(60)])
    folds = group_folds(groups, n_folds=5, seed=0)
    assert all(len(set(folds[groups == name])) == 1 for name in set(groups))
    assert_array_equal(np.bincount(folds), [12] * 5)
    assert (group_folds(groups, n_folds=5, seed=1) != folds).any()
    assert set(group_folds(np.array(["a", "b"]), n_folds=5, seed=0)) == {0, 1}


def test_too_few_prompts_and_wrong_shapes_are_refused() -> None:
    features, n, n_correct = planted(9)
    with pytest.raises(InvalidInputError, match="at least 10 training prompts"):
        DifficultyPredictor().fit(features, n, n_correct)
    with pytest.raises(InvalidInputError, match=r"features must be \(P, F\)"):
        DifficultyPredictor().fit(features[:5], n, n_correct)


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        DifficultyPredictor().predict(np.zeros((1, 3)))
