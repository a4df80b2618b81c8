"""Success rates from features: found where there are any, the mean where not, calibrated, restored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import (
    FittedSuccess,
    SuccessPredictor,
    fit_success_predictor,
)
from difficulty.predictor.success_rates import success_rates


def planted(n_prompts: int = 300, n_samples: int = 10) -> tuple[np.ndarray, ...]:
    """Return features, counts, folds and true rates of a generator that they tell and one that is noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n_prompts, 5))
    rate = np.stack([1 / (1 + np.exp(-2 * features[:, 0])), np.full(n_prompts, 0.3)], axis=1)
    n = np.full((n_prompts, 2), n_samples)
    return features, n, rng.binomial(n, rate), np.arange(n_prompts) % 5, rate


@pytest.fixture(scope="module")
def fitted() -> FittedSuccess:
    return fit_success_predictor(*planted()[:4], seed=0)


def test_a_generator_is_predicted_where_features_tell(fitted: FittedSuccess) -> None:
    rate = planted()[4]
    told = fitted.out_of_fold[:, 0]
    assert fitted.predictor.skill[0] > 0.5
    assert np.mean((told - rate[:, 0]) ** 2) < 0.1 * rate[:, 0].var()
    slope = np.polyfit(told, rate[:, 0], 1)[0]
    assert 0.9 < slope < 1.1


def test_a_generator_of_which_features_tell_nothing_is_told_its_mean(fitted: FittedSuccess) -> None:
    assert fitted.predictor.skill[1] < 0.05
    fresh = np.random.default_rng(1).normal(size=(50, 5))
    told = fitted.predictor.predict(fresh)[:, 1]
    assert told.std() < 0.03
    assert abs(told.mean() - 0.3) < 0.05


def test_a_prompts_own_fold_does_not_move_what_is_told_of_its_trees() -> None:
    features, n, n_correct, folds, _ = planted()
    before = fit_success_predictor(features, n, n_correct, folds, seed=0).out_of_fold
    changed = n_correct.copy()
    changed[0, 0] = 10 - changed[0, 0]
    after = fit_success_predictor(features, n, changed, folds, seed=0).out_of_fold
    # Calibration, rounds and length scales have seen all folds, in a few numbers.
    assert abs(after[0, 0] - before[0, 0]) < 0.02


def test_a_predictor_survives_its_arrays(fitted: FittedSuccess) -> None:
    fresh = np.random.default_rng(1).normal(size=(50, 5))
    restored = SuccessPredictor.from_arrays(fitted.predictor.to_arrays())
    assert_array_equal(restored.predict(fresh), fitted.predictor.predict(fresh))


def test_a_prompt_without_features_is_told_about_the_mean() -> None:
    features, n, n_correct, folds, _ = planted()
    features = features.copy()
    features[::5] = np.nan
    predictor = fit_success_predictor(features, n, n_correct, folds, seed=0).predictor
    told = predictor.predict(np.full((1, 5), np.nan))[0, 0]
    assert abs(told - (n_correct[::5] / n[::5])[:, 0].mean()) < 0.15


def test_more_prompts_than_the_process_keeps_are_all_predicted() -> None:
    features, n, n_correct, folds, rate = planted(n_prompts=2300, n_samples=3)
    fitted = fit_success_predictor(features, n, n_correct, folds, seed=0)
    assert len(fitted.predictor.process.rows) == 2000
    assert np.mean((fitted.out_of_fold[:, 0] - rate[:, 0]) ** 2) < 0.1 * rate[:, 0].var()


def test_out_of_fold_processes_are_those_of_the_other_folds() -> None:
    from difficulty.predictor.gaussian_process import fit_gaussian_process

    features, n, n_correct, folds, _ = planted(n_prompts=60)
    rates = n_correct / n
    fitted = fit_gaussian_process(features, rates, folds, relevance=np.ones(5), seed=0)
    rows, reach = fitted.process.rows.astype(np.float64), fitted.process.reach
    squared = np.square(rows[:, None] - rows).sum(axis=2)
    distance = np.sqrt(3 * squared / reach)
    kernel = (1 + distance) * np.exp(-distance)
    target = rates - fitted.process.offset
    # The noise that was chosen is not kept: it follows from the weights.
    noise = float(np.median((target - kernel @ fitted.process.weights) / fitted.process.weights))
    held = folds == 2
    weights = np.linalg.solve(kernel[~held][:, ~held] + noise * np.eye(48), target[~held])
    expected = fitted.process.offset + kernel[held][:, ~held] @ weights
    assert_allclose(fitted.out_of_fold[held], expected, atol=1e-4)


def test_lengths_that_distances_cannot_be_divided_by_are_refused() -> None:
    from difficulty.predictor.gaussian_process import fit_gaussian_process

    features, n, n_correct, folds, _ = planted(n_prompts=60)
    process = fit_gaussian_process(features, n_correct / n, folds, relevance=np.ones(5), seed=0).process
    for change in ({"reach": 5e-324}, {"spread": np.full_like(process.spread, 1e-310)}):
        with pytest.raises(InvalidInputError, match="must be above 1e-100"):
            replace(process, **change)


def test_rates_that_are_missing_follow_the_prompts_level() -> None:
    n = np.array([[4, 4], [4, 4], [4, 0], [0, 0]])
    n_correct = np.array([[4, 2], [0, 0], [4, 0], [0, 0]])
    rates = success_rates(n, n_correct)
    assert_allclose(rates.mean, [2 / 3, 1 / 4])
    assert_allclose(rates.rate, [[1, 0.5], [0, 0], [1, 0.25 + 1 / 3], [2 / 3, 0.25]])
    assert_array_equal(rates.known, [[1, 1], [1, 1], [1, 0], [0, 0]])


def test_wrong_input_is_refused(fitted: FittedSuccess) -> None:
    features, n, n_correct, folds, _ = planted()
    with pytest.raises(InvalidInputError, match="P = 300"):
        fit_success_predictor(features[1:], n, n_correct, folds, seed=0)
    with pytest.raises(InvalidInputError, match="at least 10"):
        fit_success_predictor(features[:9], n[:9], n_correct[:9], folds[:9], seed=0)
    with pytest.raises(InvalidInputError, match="one shape"):
        fit_success_predictor(features, n[:, :1], n_correct, folds, seed=0)
    with pytest.raises(InvalidInputError, match="must have a sample"):
        fit_success_predictor(features, n * 0, n_correct * 0, folds, seed=0)
    with pytest.raises(InvalidInputError, match="features must"):
        fitted.predictor.predict(features[:, 1:])
    good = fitted.predictor.to_arrays()
    for name in good:
        with pytest.raises(InvalidInputError):
            SuccessPredictor.from_arrays({other: array for other, array in good.items() if other != name})
    for change in (
        {"slope": good["slope"][:1]},
        {"process.reach": -good["process.reach"]},
        {"process.weights": good["process.weights"] * np.nan},
        {"boosted.ends": good["boosted.ends"][::-1]},
        {"boosted.base": good["boosted.base"][:1]},
        {"stranger": good["slope"]},
    ):
        with pytest.raises(InvalidInputError):
            SuccessPredictor.from_arrays({**good, **change})
