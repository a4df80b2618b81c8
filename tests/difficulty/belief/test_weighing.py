"""Means over leaves are the means by the weights that they stand for."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief import text_belief
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.text_belief import TextBelief
from difficulty.belief.text_belief_fit import fit_text_belief
from difficulty.belief.weighing import DenseWeights, ReferenceColumns

FOREST = BeliefOptions(n_trees=30, min_leaf=4)
MIXTURE = BeliefOptions(n_trees=30, min_leaf=4, nearest=1.0, kernel=0.5, n_nearest=20)
FEW_LEAVES = BeliefOptions(n_trees=2, min_leaf=4)


@cache
def made(options: BeliefOptions, *, mute: bool = False) -> TextBelief:
    """A belief over 120 references; with `mute`, some of them have no features."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 5)).astype(np.float32)
    if mute:
        features[::5] = np.nan
    n = np.full((120, 2), 8)
    rate = 1 / (1 + np.exp(-2 * np.nan_to_num(features[:, :2])))
    return fit_text_belief(
        features, n, rng.binomial(n, rate), np.arange(120) % 5, seed=0, options=options
    ).belief


def asked(n_prompts: int) -> np.ndarray:
    """Prompts of the training kind, one without features, one with some, and a stranger."""
    features = np.random.default_rng(1).normal(size=(n_prompts, 5))
    features[:3] = [[np.nan] * 5, [0.3, np.nan, np.nan, -1.0, 0.0], [50.0] * 5]
    return features


def columns(n_references: int, n_columns: int = 7) -> ReferenceColumns:
    """Columns of different sizes, the last of them the same for all."""
    values = np.random.default_rng(2).normal(size=(n_references, n_columns)) * 10.0 ** (
        np.arange(n_columns) % 7
    )
    values[:, -1] = 0.00123
    return ReferenceColumns(values)


@pytest.mark.parametrize("mute", [False, True])
@pytest.mark.parametrize("rows", [None, np.arange(0, 120, 3), np.array([3, 4, 5])])
@pytest.mark.parametrize("options", [FOREST, MIXTURE, FEW_LEAVES])
def test_means_are_those_by_the_weights(options: BeliefOptions, rows: np.ndarray | None, mute: bool) -> None:
    belief = made(options, mute=mute)
    belief = belief if rows is None else belief.take(rows)
    measured, features = columns(len(belief)), asked(80)
    read = belief.read(features)
    by_weights = DenseWeights(belief.weights(features)).mean(measured)
    spread = measured.values.std(axis=0) + 1e-9
    assert_allclose(read.mean(measured) / spread, by_weights / spread, atol=2e-6, rtol=1e-6)
    some = np.array([2, 0])
    assert_array_equal(read.mean(measured, some), read.mean(measured)[:, some])


@pytest.mark.parametrize("n_columns", [1, 2, 40])
@pytest.mark.parametrize("options", [FOREST, MIXTURE])
def test_equal_prompts_get_equal_means_however_many_there_are(options: BeliefOptions, n_columns: int) -> None:
    belief, measured = made(options), columns(120, n_columns)
    features = asked(700)
    together = belief.read(np.concatenate([features, features[::-1]])).mean(measured)
    assert_array_equal(together[:700], together[:699:-1])
    for row in (0, 1, 2, 3, 333, 699):
        assert_array_equal(belief.read(features[row : row + 1]).mean(measured)[0], together[row])


@pytest.mark.parametrize("options", [FOREST, MIXTURE])
def test_numbers_of_samples_that_are_the_same_for_all_are_told_exactly(options: BeliefOptions) -> None:
    measured = ReferenceColumns(np.tile(np.array([1.0, 7.0, 100.0]), (120, 1)))
    assert_array_equal(made(options).read(asked(50)).mean(measured), np.tile([1.0, 7.0, 100.0], (50, 1)))


def test_courses_that_differ_only_elsewhere_are_expected_to_be_equal() -> None:
    read = made(FEW_LEAVES).read(asked(50))
    familiar = int(np.flatnonzero(read.familiarity == 1)[0])
    elsewhere = np.flatnonzero(read.weights()[familiar] == 0)
    values = np.tile(columns(120, 1).values, (1, 2))
    values[elsewhere, 1] += 1.0
    mean = read.mean(ReferenceColumns(values))
    assert len(elsewhere)
    assert mean[familiar, 0] == mean[familiar, 1]


def test_too_many_sums_are_left_to_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    read, measured = made(FOREST).read(asked(20)), columns(120)
    usual = read.mean(measured)
    monkeypatch.setattr(text_belief, "_MOST_SUMS", 10)
    dense = read.mean(measured)
    assert_array_equal(dense, DenseWeights(read.weights()).mean(measured))
    assert_allclose(dense, usual, rtol=1e-4, atol=1e-5)


def test_columns_of_another_belief_are_added_up_anew() -> None:
    measured, features = columns(120), asked(20)
    first, other = made(FOREST), made(MIXTURE)
    for belief in (first, other, first):
        means = belief.read(features).mean(measured)
        by_weights = DenseWeights(belief.weights(features)).mean(measured)
        assert_allclose(
            means / measured.values.std(axis=0).clip(1e-9),
            by_weights / measured.values.std(axis=0).clip(1e-9),
            atol=2e-6,
            rtol=1e-6,
        )
