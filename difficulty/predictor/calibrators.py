"""Mend predicted success rates that are systematically off: isotonic and beta calibration, fitted on counts.

A calibrator maps a predicted rate to the rate that prompts with such a prediction had, one monotone curve for
all. It assumes predictions that were made out of fold: calibrating on predictions for training prompts only
hides overfitting. Whether it helped is left to the scores of `calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.predictor.calibration import check_counts

__all__ = ["BetaCalibrator", "IsotonicCalibrator"]

# Predictions are kept this far from 0 and 1 before their logarithm is taken.
_EDGE = 1e-6
# A prompt's samples share its difficulty: they weigh as at most so many.
_MAX_WEIGHT = 10.0


class IsotonicCalibrator:
    """Calibrate by the best non-decreasing step function, joined by lines; for a thousand prompts and more.

    Attributes
    ----------
    knots_, values_ : numpy.ndarray, shape (K,)
        Predicted rates and what they are mapped to, both ascending.

    References
    ----------
    Zadrozny, Elkan 2002, doi:10.1145/775047.775151.

    Examples
    --------
    >>> calibrator = IsotonicCalibrator().fit(p=[0.1, 0.5, 0.9], n=[10, 10, 10], n_correct=[0, 2, 4])
    >>> calibrator.transform([0.5, 0.7]).round(2).tolist()
    [0.2, 0.3]
    """

    knots_: NDArray[np.float64]
    values_: NDArray[np.float64]

    def fit(self, *, p: ArrayLike, n: ArrayLike, n_correct: ArrayLike) -> IsotonicCalibrator:
        """Fit on predicted rates and counts of P prompts; errors as in `calibration.brier_score`."""
        from sklearn.isotonic import IsotonicRegression

        rate, n_, c = check_counts(p, n, n_correct)
        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(rate, c / n_, n_)
        self.knots_ = np.asarray(model.X_thresholds_, dtype=np.float64)
        self.values_ = np.asarray(model.y_thresholds_, dtype=np.float64)
        return self

    def transform(self, p: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated rates for predicted ones, of the same shape.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "knots_"):
            raise NotFittedError("this IsotonicCalibrator is not fitted; call fit or from_arrays first")
        return np.interp(np.asarray(p, dtype=np.float64), self.knots_, self.values_)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` needs, without pickle; NotFittedError before `fit`."""
        if not hasattr(self, "knots_"):
            raise NotFittedError("this IsotonicCalibrator is not fitted; call fit first")
        return {"knots": self.knots_, "values": self.values_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> IsotonicCalibrator:
        """Restore a fitted calibrator from `to_arrays`; InvalidInputError when they do not fit together."""
        knots, values = (_array(arrays, name) for name in ("knots", "values"))
        if not knots.size or knots.shape != values.shape:
            raise InvalidInputError(
                f"knots and values need one shape (K,), got {knots.shape}, {values.shape}"
            )
        calibrator = cls()
        calibrator.knots_, calibrator.values_ = knots, values
        return calibrator


class BetaCalibrator:
    """Calibrate by logit(q) = a log(p) - b log(1 - p) + c with a, b >= 0; three numbers, for small logs.

    Parameters
    ----------
    regularization : float, default 1.0
        Strength of the pull towards the identity a = b = 1, c = 0, in squared units per unit of weight, >= 0.

    Attributes
    ----------
    coefficients_ : numpy.ndarray, shape (3,)
        a, b and c.

    Notes
    -----
    Kull et al. drop a negative coefficient and fit again; here it is bounded at zero. Samples of
    one prompt count together as at most ten, since prompts and not samples are what a calibrator may
    generalise from.

    References
    ----------
    Kull, Silva Filho, Flach 2017, PMLR 54:623-631 (beta calibration).

    Examples
    --------
    >>> calibrator = BetaCalibrator().fit(p=[0.5] * 200, n=[10] * 200, n_correct=[2] * 200)
    >>> calibrator.transform([0.5]).round(1).tolist()
    [0.2]
    """

    coefficients_: NDArray[np.float64]

    def __init__(self, *, regularization: float = 1.0) -> None:
        if not regularization >= 0:
            raise InvalidInputError(f"regularization must be >= 0, got {regularization!r}")
        self.regularization = regularization

    def fit(self, *, p: ArrayLike, n: ArrayLike, n_correct: ArrayLike) -> BetaCalibrator:
        """Fit on predicted rates and counts of P prompts; errors as in `calibration.brier_score`."""
        from scipy.optimize import minimize
        from scipy.special import expit

        rate, n_, c = check_counts(p, n, n_correct)
        inputs = _inputs(rate)
        share = c / n_
        weight = np.minimum(n_, _MAX_WEIGHT)
        identity = np.array([1.0, 1.0, 0.0])

        def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            """Return the penalised negative log-likelihood and its gradient."""
            z = inputs @ x
            pull = x - identity
            value = float(weight @ (np.logaddexp(0.0, z) - share * z)) + self.regularization * float(
                pull @ pull
            )
            return value, inputs.T @ (weight * (expit(z) - share)) + 2.0 * self.regularization * pull

        bounds = [(0.0, None), (0.0, None), (None, None)]
        found = minimize(loss, identity, jac=True, method="L-BFGS-B", bounds=bounds)
        self.coefficients_ = np.asarray(found.x, dtype=np.float64)
        return self

    def transform(self, p: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated rates for predicted ones, of the same shape.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "coefficients_"):
            raise NotFittedError("this BetaCalibrator is not fitted; call fit or from_arrays first")
        z = _inputs(np.asarray(p, dtype=np.float64)) @ self.coefficients_
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)), dtype=np.float64)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` needs, without pickle; NotFittedError before `fit`."""
        if not hasattr(self, "coefficients_"):
            raise NotFittedError("this BetaCalibrator is not fitted; call fit first")
        return {"coefficients": self.coefficients_, "regularization": np.array([self.regularization])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> BetaCalibrator:
        """Restore a fitted calibrator from `to_arrays`; InvalidInputError when they do not fit together."""
        coefficients, regularization = (_array(arrays, name) for name in ("coefficients", "regularization"))
        if coefficients.shape != (3,) or regularization.shape != (1,):
            raise InvalidInputError(f"coefficients must have shape (3,), got {coefficients.shape}")
        calibrator = cls(regularization=float(regularization[0]))
        calibrator.coefficients_ = coefficients
        return calibrator


def _inputs(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p), -log(1 - p) and 1 along a new last axis."""
    inside = np.clip(p, _EDGE, 1.0 - _EDGE)
    return np.stack([np.log(inside), -np.log1p(-inside), np.ones_like(inside)], axis=-1)


def _array(arrays: Mapping[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    """Return one array of a saved calibrator."""
    if name not in arrays:
        raise InvalidInputError(f"arrays of a calibrator lack {name!r}")
    return np.asarray(arrays[name], dtype=np.float64)
