"""Calibrators: monotone, they mend what is off, they are restored from arrays."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.predictor.calibration import brier_score
from difficulty.predictor.calibrators import BetaCalibrator, IsotonicCalibrator

_GRID = np.linspace(0.0, 1.0, 101)


def _overconfident(n_prompts: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw predictions whose log-odds are three times too large and shifted."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_prompts)
    n = np.full(n_prompts, 10)
    return 1 / (1 + np.exp(-(3 * z + 1))), n, rng.binomial(n, 1 / (1 + np.exp(-z)))


@pytest.mark.parametrize("calibrator", [IsotonicCalibrator(), BetaCalibrator()])
def test_calibration_mends_overconfidence(calibrator: IsotonicCalibrator | BetaCalibrator) -> None:
    # 5,000 prompts, seed fixed: the error of the true rates is 0, the uncorrected one is above 0.04, and
    # the standard error of the corrected score is below 0.001.
    p, n, c = _overconfident(5_000, 0)
    fresh_p, fresh_n, fresh_c = _overconfident(5_000, 1)
    calibrator.fit(p=p, n=n, n_correct=c)
    assert brier_score(p=fresh_p, n=fresh_n, n_correct=fresh_c).corrected > 0.04
    mended = brier_score(p=calibrator.transform(fresh_p), n=fresh_n, n_correct=fresh_c)
    assert mended.corrected < 0.005
    curve = calibrator.transform(_GRID)
    assert (np.diff(curve) >= 0).all()
    assert ((curve >= 0) & (curve <= 1)).all()


def test_beta_finds_the_coefficients_and_shrinks_to_the_identity() -> None:
    p, n, c = _overconfident(20_000, 2)
    found = BetaCalibrator().fit(p=p, n=n, n_correct=c).coefficients_
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, -1 / 3], atol=0.05)
    stiff = BetaCalibrator(regularization=1e9).fit(p=p, n=n, n_correct=c)
    np.testing.assert_allclose(stiff.transform(_GRID), np.clip(_GRID, 1e-6, 1 - 1e-6), atol=1e-3)


def test_anticorrelated_predictions_are_flattened_not_turned() -> None:
    p, n = np.linspace(0.1, 0.9, 50), np.full(50, 10)
    c = np.linspace(9, 1, 50).round().astype(int)
    for calibrator in (IsotonicCalibrator(), BetaCalibrator(regularization=0.0)):
        curve = calibrator.fit(p=p, n=n, n_correct=c).transform(p)
        assert np.ptp(curve) < 0.02
        assert curve.mean() == pytest.approx(c.sum() / n.sum(), abs=0.01)


@pytest.mark.parametrize("kind", [IsotonicCalibrator, BetaCalibrator])
def test_restored_calibrator_is_equal(kind: type[IsotonicCalibrator] | type[BetaCalibrator]) -> None:
    p, n, c = _overconfident(100, 3)
    calibrator = kind().fit(p=p, n=n, n_correct=c)
    restored = kind.from_arrays(calibrator.to_arrays())
    np.testing.assert_array_equal(restored.transform(_GRID), calibrator.transform(_GRID))
    assert calibrator.transform(_GRID.reshape(101, 1)).shape == (101, 1)


@pytest.mark.parametrize("kind", [IsotonicCalibrator, BetaCalibrator])
def test_wrong_use_is_refused(kind: type[IsotonicCalibrator] | type[BetaCalibrator]) -> None:
    with pytest.raises(NotFittedError, match="fit"):
        kind().transform([0.5])
    with pytest.raises(NotFittedError, match="fit"):
        kind().to_arrays()
    with pytest.raises(InvalidInputError, match="lack"):
        kind.from_arrays({})
    with pytest.raises(InvalidInputError, match=r"\[0, n\]"):
        kind().fit(p=[0.5], n=[1], n_correct=[2])


def test_wrong_arrays_and_parameters_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="regularization"):
        BetaCalibrator(regularization=-1.0)
    with pytest.raises(InvalidInputError, match=r"\(3,\)"):
        BetaCalibrator.from_arrays({"coefficients": np.ones(2), "regularization": np.ones(1)})
    with pytest.raises(InvalidInputError, match="one shape"):
        IsotonicCalibrator.from_arrays({"knots": np.ones(2), "values": np.ones(3)})
