"""Predict a number from prompt features: the mean of a Gaussian process over the training prompts.

Its errors are other than those of boosted trees, so the mean of the two beat either on every log that we
tried. It assumes some hundred to some thousand training prompts, and features of which many matter a little;
noise and length scale follow from the closed-form leave-one-out error. Distributions and cross-fitting are
left to the predictor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arithmetic.row_product import row_product
from difficulty.errors import InvalidInputError, NotFittedError

__all__ = ["KernelRegression"]

_Real = TypeVar("_Real", np.float32, np.float64)

# Length scales, in medians of the distance between training prompts, and ratios of noise to signal that are
# tried.
_SCALES = (0.5, 1.0, 2.0)
_NOISES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Standardised features are clipped here, so that one odd prompt is not far from everything.
_CLIP = 4.0
# A feature without any relevance still counts a little: boosted trees miss what only many features say
# together.
_LEAST_RELEVANCE = 0.1
_CHUNK_ROWS = 1024
# Saved models with numbers beyond these would overflow.
_MAX_NUMBER = 1e9
_MIN_REACH = 1e-9


class KernelRegression:
    """Gaussian process mean with a Matérn 3/2 kernel; follows the conventions of scikit-learn.

    Parameters
    ----------
    relevance_power : float, default 0.5
        How strongly `relevance` bends distances: a feature is scaled by (0.1 + relevance / mean) ** power, >=
        0.
    max_rows : int, default 2000
        Training rows kept at most, drawn with the seed, >= 2: cost grows with their cube.
    seed : int, default 0
        Seed of that draw.

    Attributes
    ----------
    rows_ : numpy.ndarray, shape (T, F'), float32
        Scaled features of the training prompts, without constant columns.
    weights_ : numpy.ndarray, shape (T,), float32
        Weight of each training prompt.
    leave_one_out_error_ : float
        Mean squared leave-one-out error at the chosen scale and noise.

    Notes
    -----
    Features enter as sign(x) log(1 + abs(x)), standardised; a missing one as the mean. A row
    without any feature is predicted as the mean of the target. The noise ratio reaches 30, at which the
    prediction is nearly the mean: where features say nothing, nothing is predicted.

    References
    ----------
    Rasmussen, Williams 2006, Gaussian Processes for Machine Learning, eq. 2.25, 4.17 and 5.12.

    Examples
    --------
    >>> x = np.linspace(0.0, 3.0, 40)[:, None]
    >>> model = KernelRegression().fit(x, np.sin(x[:, 0]))
    >>> bool(abs(model.predict([[1.0]])[0] - np.sin(1.0)) < 0.05)
    True
    """

    rows_: NDArray[np.float32]
    weights_: NDArray[np.float32]
    leave_one_out_error_: float

    def __init__(self, *, relevance_power: float = 0.5, max_rows: int = 2000, seed: int = 0) -> None:
        if not relevance_power >= 0 or max_rows < 2:
            raise InvalidInputError(
                f"relevance_power must be >= 0 and max_rows >= 2, got {relevance_power!r} and {max_rows!r}"
            )
        self.relevance_power = relevance_power
        self.max_rows = max_rows
        self.seed = seed

    def fit(
        self, features: ArrayLike, target: ArrayLike, relevance: ArrayLike | None = None
    ) -> KernelRegression:
        """Fit on P prompts.

        Parameters
        ----------
        features : array_like, shape (P, F)
            Features; NaN where unknown.
        target : array_like, shape (P,)
            What to predict, finite.
        relevance : array_like, shape (F,), optional
            How much each feature matters, >= 0 and not all 0, for instance the gain of boosted trees that
            were fitted on the same prompts; by default all matter alike.

        Raises
        ------
        InvalidInputError
            When shapes do not fit, there are fewer than two prompts, or a value is out of range.
        """
        x, y = np.asarray(features, dtype=np.float64), np.asarray(target, dtype=np.float64)
        if x.ndim != 2 or y.shape != x.shape[:1] or len(y) < 2 or not np.isfinite(y).all():
            raise InvalidInputError(
                f"features must be (P, F) and target (P,) and finite, P >= 2; got {x.shape} and {y.shape}"
            )
        gain = np.ones(x.shape[1]) if relevance is None else np.asarray(relevance, dtype=np.float64)
        if gain.shape != x.shape[1:] or not (gain >= 0).all() or (gain.size and not gain.any()):
            raise InvalidInputError(f"relevance must have shape ({x.shape[1]},), be >= 0 and not all 0")
        if len(y) > self.max_rows:
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(y), self.max_rows, replace=False))
            x, y = x[chosen], y[chosen]
        x = _compress(x)
        known = np.isfinite(x)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, x, 0.0).sum(axis=0) / count
        deviation = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)
        varies = deviation > 1e-9
        scale = np.zeros(x.shape[1])
        relative = gain / gain.mean() if gain.size else gain
        least = _LEAST_RELEVANCE
        scale[varies] = ((least + relative[varies]) / (least + 1.0)) ** self.relevance_power
        self._mean, self._deviation, self._scale = mean, np.where(varies, deviation, 1.0), scale
        self._offset = float(y.mean())
        rows = self._scaled(x)
        self.rows_ = rows.astype(np.float32)
        squared = _squared_distance(rows, rows)
        median = float(np.median(squared)) or 1.0
        best = np.inf
        for length in _SCALES:
            values, vectors = np.linalg.eigh(_matern(squared / (median * length**2)))
            values = np.maximum(values, 0.0)
            turned = vectors.T @ (y - self._offset)
            for noise in _NOISES:
                inverse = 1.0 / (values + noise)
                weights = vectors @ (inverse * turned)
                error = float(np.mean((weights / (vectors**2 @ inverse)) ** 2))
                if error < best:
                    best, self._reach, self.weights_ = error, median * length**2, weights.astype(np.float32)
        self.leave_one_out_error_ = best
        return self

    def predict(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return predictions for P prompts, shape (P,).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidInputError
            When the number of features differs from that in `fit`.
        """
        if not hasattr(self, "rows_"):
            raise NotFittedError("this KernelRegression is not fitted; call fit or from_arrays first")
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self._mean.size:
            raise InvalidInputError(f"features must have shape (P, {self._mean.size}), got {x.shape}")
        result = np.full(len(x), self._offset)
        for start in range(0, len(x), _CHUNK_ROWS):
            part = _compress(x[start : start + _CHUNK_ROWS])
            some = np.isfinite(part).any(axis=1)
            rows = self._scaled(part[some]).astype(np.float32)
            lengths = (rows * rows).sum(axis=1)[:, None] + (self.rows_ * self.rows_).sum(axis=1)
            squared = np.maximum(lengths - 2 * row_product(rows, self.rows_.T), 0)
            kernel = _matern(squared / np.float32(self._reach))
            result[start : start + _CHUNK_ROWS][some] += row_product(kernel, self.weights_[:, None])[:, 0]
        return result

    @property
    def n_features(self) -> int:
        """Number of features, F; NotFittedError before `fit`."""
        if not hasattr(self, "rows_"):
            raise NotFittedError("this KernelRegression is not fitted; call fit or from_arrays first")
        return int(self._mean.size)

    def to_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Return what `from_arrays` needs, without pickle; NotFittedError before `fit`."""
        if not hasattr(self, "rows_"):
            raise NotFittedError("this KernelRegression is not fitted; call fit first")
        return {
            "rows": self.rows_,
            "weights": self.weights_,
            "mean": self._mean,
            "deviation": self._deviation,
            "scale": self._scale,
            "numbers": np.array([self._offset, self._reach, self.leave_one_out_error_]),
            "parameters": np.array([self.relevance_power, self.max_rows, self.seed], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> KernelRegression:
        """Restore a fitted model from `to_arrays`; InvalidInputError when the arrays do not fit together."""
        names = {"rows", "weights", "mean", "deviation", "scale", "numbers", "parameters"}
        if missing := names - set(arrays):
            raise InvalidInputError(f"arrays of a KernelRegression lack {sorted(missing)}")
        power, max_rows, seed = (float(value) for value in arrays["parameters"])
        model = cls(relevance_power=power, max_rows=int(max_rows), seed=int(seed))
        model.rows_ = np.asarray(arrays["rows"], dtype=np.float32)
        model.weights_ = np.asarray(arrays["weights"], dtype=np.float32)
        model._mean, model._deviation, model._scale = (
            np.asarray(arrays[name], dtype=np.float64) for name in ("mean", "deviation", "scale")
        )
        model._offset, model._reach, model.leave_one_out_error_ = (
            float(value) for value in arrays["numbers"]
        )
        if model.rows_.ndim != 2 or model.weights_.shape != model.rows_.shape[:1]:
            raise InvalidInputError(
                f"rows (T, F') and weights (T,) disagree: {model.rows_.shape} and {model.weights_.shape}"
            )
        if not model._mean.shape == model._deviation.shape == model._scale.shape:
            raise InvalidInputError("mean, deviation and scale must have one shape (F,)")
        if model._mean.ndim != 1 or not (model._deviation > 0).all() or not (model._scale >= 0).all():
            raise InvalidInputError(
                "mean, deviation and scale must be lists, deviations above 0 and scales >= 0"
            )
        numbers = (model.rows_, model.weights_, model._mean, model._deviation, model._scale, model._offset)
        if not all((np.abs(part) <= _MAX_NUMBER).all() for part in numbers):
            raise InvalidInputError(
                f"numbers of a KernelRegression must be finite and within ±{_MAX_NUMBER:g}"
            )
        if not _MIN_REACH <= model._reach <= _MAX_NUMBER:
            raise InvalidInputError(f"a KernelRegression reaches over {model._reach!r}, which cannot be")
        if np.count_nonzero(model._scale) != model.rows_.shape[1]:
            raise InvalidInputError(f"scale must keep {model.rows_.shape[1]} features, as rows have")
        return model

    _mean: NDArray[np.float64]
    _deviation: NDArray[np.float64]
    _scale: NDArray[np.float64]
    _offset: float
    _reach: float

    def _scaled(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardise and scale compressed features, without those that count for nothing."""
        standard = np.nan_to_num(np.clip((x - self._mean) / self._deviation, -_CLIP, _CLIP), nan=0.0)
        return (standard * self._scale)[:, self._scale > 0]


def _compress(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sign(x) log(1 + abs(x)): counts and lengths have long tails."""
    return np.sign(x) * np.log1p(np.abs(x))


def _squared_distance(a: NDArray[_Real], b: NDArray[_Real]) -> NDArray[_Real]:
    """Return squared Euclidean distances between rows, shape (len(a), len(b))."""
    squared: NDArray[_Real] = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
    squared[squared < 0] = 0  # rounding
    return squared


def _matern(squared: NDArray[_Real]) -> NDArray[_Real]:
    """Return the Matérn 3/2 kernel of squared scaled distances."""
    distance: NDArray[_Real] = np.sqrt(3 * squared)
    kernel: NDArray[_Real] = (1 + distance) * np.exp(-distance)
    return kernel
