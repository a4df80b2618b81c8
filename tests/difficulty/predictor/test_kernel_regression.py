"""Kernel regression: interpolates what is smooth, predicts nothing from noise, is restored from arrays."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.predictor.kernel_regression import KernelRegression


def _data(n_rows: int, seed: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Draw 10 features of which two matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 10))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] + rng.normal(0, noise, n_rows)


def _explained(model: KernelRegression, seed: int = 99) -> float:
    x, y = _data(500, seed)
    return float(1 - np.mean((model.predict(x) - y) ** 2) / np.var(y))


def test_learns_a_smooth_function_and_relevance_helps() -> None:
    x, y = _data(300, 0)
    plain = KernelRegression().fit(x, y)
    told = KernelRegression().fit(x, y, relevance=[1, 1] + [0] * 8)
    assert 0.4 < _explained(plain) < _explained(told)
    assert _explained(told) > 0.85
    ignored = KernelRegression(relevance_power=0.0).fit(x, y, relevance=[1, 1] + [0] * 8)
    np.testing.assert_array_equal(ignored.predict(x), plain.predict(x))


def test_leave_one_out_error_is_that_of_leaving_one_out() -> None:
    # Brute force at the chosen length and noise, with the features scaled as in the fit on all rows.
    x, y = _data(30, 1)
    model = KernelRegression().fit(x, y)
    rows = model.rows_.astype(np.float64)
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    median = np.median(squared)
    errors = []
    for length in (0.5, 1.0, 2.0):
        distance = np.sqrt(3 * squared / (median * length**2))
        kernel = (1 + distance) * np.exp(-distance)
        for noise in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0):
            residuals = []
            for left in range(len(y)):
                rest = np.arange(len(y)) != left
                inner = kernel[np.ix_(rest, rest)] + noise * np.eye(rest.sum())
                centred = np.linalg.solve(inner, y[rest] - y.mean())
                residuals.append(y[left] - y.mean() - kernel[left, rest] @ centred)
            errors.append(np.mean(np.square(residuals)))
    assert model.leave_one_out_error_ == pytest.approx(min(errors), rel=1e-4)


def test_noise_is_not_learned() -> None:
    # 300 rows whose target has nothing to do with the features, seed fixed: predictions stay near the mean.
    rng = np.random.default_rng(3)
    model = KernelRegression().fit(rng.normal(size=(300, 10)), rng.normal(size=300))
    assert model.predict(rng.normal(size=(200, 10))).std() < 0.25


def test_missing_features_count_as_the_mean_and_an_empty_row_is_the_mean() -> None:
    x, y = _data(200, 4)
    model = KernelRegression().fit(x, y)
    empty, partial = np.full(10, np.nan), x[0].copy()
    partial[3] = np.nan
    predicted = model.predict([empty, partial])
    assert predicted[0] == pytest.approx(y.mean())
    assert abs(predicted[1] - model.predict(x[:1])[0]) < 0.5
    holes = x.copy()
    holes[::3, 5] = np.nan
    assert np.isfinite(KernelRegression().fit(holes, y).predict(holes)).all()


def test_constant_features_change_nothing() -> None:
    x, y = _data(80, 5)
    wide = np.column_stack([x, np.ones(80), np.full(80, np.nan)])
    model = KernelRegression().fit(wide, y)
    assert model.rows_.shape == (80, 10)
    np.testing.assert_allclose(model.predict(wide), KernelRegression().fit(x, y).predict(x), atol=1e-6)
    flat = KernelRegression().fit(np.ones((5, 2)), [1.0, 2.0, 3.0, 4.0, 5.0])
    assert flat.predict(np.ones((1, 2)))[0] == pytest.approx(3.0, abs=0.01)


def test_rows_are_capped_with_the_seed() -> None:
    x, y = _data(100, 6)
    models = [KernelRegression(max_rows=50, seed=seed).fit(x, y) for seed in (1, 1, 2)]
    assert models[0].rows_.shape[0] == 50
    np.testing.assert_array_equal(models[0].rows_, models[1].rows_)
    assert not np.array_equal(models[0].rows_, models[2].rows_)


def test_restored_model_is_equal() -> None:
    x, y = _data(60, 7)
    model = KernelRegression(relevance_power=0.25, max_rows=55, seed=3).fit(x, y, relevance=np.arange(10))
    restored = KernelRegression.from_arrays(model.to_arrays())
    np.testing.assert_array_equal(restored.predict(x), model.predict(x))
    assert (restored.relevance_power, restored.max_rows, restored.seed) == (0.25, 55, 3)


def test_wrong_use_is_refused() -> None:
    x, y = _data(20, 8)
    model = KernelRegression().fit(x, y)
    with pytest.raises(NotFittedError, match="fit"):
        KernelRegression().predict(x)
    with pytest.raises(NotFittedError, match="fit"):
        KernelRegression().to_arrays()
    with pytest.raises(InvalidInputError, match=r"\(P, 10\)"):
        model.predict(x[:, :4])
    with pytest.raises(InvalidInputError, match="P >= 2"):
        KernelRegression().fit(x[:1], y[:1])
    with pytest.raises(InvalidInputError, match="finite"):
        KernelRegression().fit(x, np.where(y > 0, y, np.nan))
    with pytest.raises(InvalidInputError, match="relevance"):
        KernelRegression().fit(x, y, relevance=np.zeros(10))
    with pytest.raises(InvalidInputError, match="relevance_power"):
        KernelRegression(relevance_power=-1.0)
    arrays = model.to_arrays()
    with pytest.raises(InvalidInputError, match="lack"):
        KernelRegression.from_arrays({})
    with pytest.raises(InvalidInputError, match="disagree"):
        KernelRegression.from_arrays({**arrays, "weights": arrays["weights"][1:]})
    with pytest.raises(InvalidInputError, match="keep"):
        KernelRegression.from_arrays({**arrays, "scale": np.zeros(10)})
