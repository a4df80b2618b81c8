"""Predict the success rate of every generator on a prompt from its features, calibrated out of fold.

Log-odds of boosted trees and of a Gaussian process are averaged, since their errors differ, and drawn to the
generator's mean by what they proved out of fold: a generator for which features say nothing is told its mean.
It assumes features of at least ten prompts with text. Which training prompts resemble a prompt is left to
`difficulty.belief.text_belief`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError
from difficulty.predictor.boosted_rates import BoostedRates, fit_boosted_rates
from difficulty.predictor.gaussian_process import GaussianProcess, fit_gaussian_process
from difficulty.predictor.success_rates import means_outside, success_rates

_MIN_PROMPTS: Final = 10
# Predicted rates are kept this far from 0 and 1 before their log-odds are averaged.
_CLIP: Final = 0.01
# Steps of Newton's method for two numbers per generator, and how firmly they are held at 0 and 1.
_STEPS: Final = 25
_HOLD: Final = 1.0
_MAX_SLOPE: Final = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class SuccessPredictor(ArrayRecord):
    """Boosted trees, a Gaussian process, and how far to believe their mean.

    Parameters
    ----------
    boosted : BoostedRates
        Log-odds of G generators.
    process : GaussianProcess
        Rates of the same generators.
    intercept, slope : ndarray of float64, shape (G,)
        Calibration of the mean log-odds; slope 0 says that the features tell nothing.
    skill : ndarray of float64, shape (G,)
        Share of the rates' variance that is explained out of fold, sampling noise included; at most 1, and at
        most 0 where features tell nothing.

    Raises
    ------
    InvalidInputError
        When the parts do not fit together.
    """

    boosted: BoostedRates
    process: GaussianProcess
    intercept: FloatArray
    slope: FloatArray
    skill: FloatArray
    PARTS: ClassVar = {"boosted": BoostedRates, "process": GaussianProcess}

    def __post_init__(self) -> None:
        shape = self.boosted.base.shape
        if self.process.offset.shape != shape:
            raise InvalidInputError("boosted trees and Gaussian process must have the same generators")
        for name in ("intercept", "slope", "skill"):
            array = getattr(self, name)
            if array.dtype.kind != "f" or array.shape != shape or not np.isfinite(array).all():
                raise InvalidInputError(
                    f"{name} of a success predictor must be finite and have shape {shape}"
                )
        trees = self.boosted.trees
        if trees is not None and trees.n_features != len(self.process.centre):
            raise InvalidInputError("boosted trees and Gaussian process must have the same features")

    def predict(
        self, features: NDArray[np.floating], leaves: NDArray[np.integer] | None = None
    ) -> FloatArray:
        """Return success rates of N prompts with features (N, F), shape (N, G), in (0, 1).

        `leaves`, (N, T), are theirs in the T boosted trees where they have been found before.
        """
        boosted = self.boosted.log_odds(features) if leaves is None else self.boosted.of_leaves(leaves)
        mixed = _mixed(boosted, self.process.predict(features))
        return _rates(self.intercept + self.slope * mixed)


class FittedSuccess(NamedTuple):
    """What a fit leaves.

    Attributes
    ----------
    predictor : SuccessPredictor
        Fitted on all prompts.
    out_of_fold : ndarray of float64, shape (P, G)
        Calibrated rates that a predictor without the prompt's fold tells.
    """

    predictor: SuccessPredictor
    out_of_fold: FloatArray


def fit_success_predictor(
    features: NDArray[np.floating],
    n: NDArray[np.integer[Any]],
    n_correct: NDArray[Any],
    folds: NDArray[np.integer],
    *,
    seed: int,
    relevance: FloatArray | None = None,
) -> FittedSuccess:
    """Fit on counts of P prompts and G generators.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features; NaN where unknown.
    n, n_correct : ndarray, shape (P, G)
        Samples and correct samples, or the sum of their shares of a scale; 0 samples where a generator has no
        line.
    folds : ndarray of int, shape (P,)
        Fold of each prompt, at least two of them.
    seed : int
        Seed of boosting and draws.
    relevance : ndarray of float64, shape (F,), optional
        How much each feature matters, from a forest; by default all alike.

    Raises
    ------
    InvalidInputError
        When shapes disagree, there are fewer than ten prompts or two folds, or no sample at all.

    Notes
    -----
    The calibration, two numbers per generator, has seen all folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(200, 3))
    >>> n = np.full((200, 1), 20)
    >>> n_correct = rng.binomial(n, 1 / (1 + np.exp(-2 * features[:, :1])))
    >>> fitted = fit_success_predictor(features, n, n_correct, np.arange(200) % 5, seed=0)
    >>> bool(fitted.predictor.skill[0] > 0.5)
    True
    """
    rates = success_rates(n, n_correct)
    if features.ndim != 2 or len(features) != len(n) or folds.shape != (len(n),):
        raise InvalidInputError(
            f"features must be (P, F) and folds (P,) with P = {len(n)}; got {features.shape}, {folds.shape}"
        )
    if len(n) < _MIN_PROMPTS or len(np.unique(folds)) < 2:
        raise InvalidInputError(
            f"at least {_MIN_PROMPTS} prompts in two folds are needed to predict success, got {len(n)} in "
            f"{len(np.unique(folds))}"
        )
    weight = np.ones(features.shape[1]) if relevance is None else relevance
    boosting = fit_boosted_rates(features, rates.rate, rates.known, folds, seed=seed)
    process = fit_gaussian_process(features, rates.rate, folds, relevance=weight, seed=seed)
    mixed = _mixed(boosting.out_of_fold, process.out_of_fold)
    intercept, slope = _calibrated(mixed, rates.rate, rates.known)
    told = _rates(intercept + slope * mixed)
    mean = means_outside(rates.rate, rates.known, folds, otherwise=rates.rate.mean(axis=0))
    skill = _skill(told, mean, rates.rate, rates.known)
    mute = skill <= 0
    overall = rates.mean.clip(_CLIP, 1 - _CLIP)
    intercept = np.where(mute, np.log(overall / (1 - overall)), intercept)
    slope = np.where(mute, 0.0, slope)
    predictor = SuccessPredictor(
        boosted=boosting.boosted, process=process.process, intercept=intercept, slope=slope, skill=skill
    )
    return FittedSuccess(predictor, np.where(mute, mean, told))


def _mixed(log_odds: FloatArray, rates: FloatArray) -> FloatArray:
    share = rates.clip(_CLIP, 1 - _CLIP)
    limit = np.log(1 / _CLIP - 1)
    return np.asarray(0.5 * (log_odds.clip(-limit, limit) + np.log(share / (1 - share))))


def _rates(log_odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _calibrated(
    mixed: FloatArray, rates: FloatArray, known: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return intercept and slope of each generator by penalised logistic regression on rates, (G,) each."""
    intercept, slope = np.zeros(mixed.shape[1]), np.ones(mixed.shape[1])
    weight = known.astype(np.float64)
    for _ in range(_STEPS):
        told = _rates(intercept + slope * mixed)
        error = weight * (told - rates)
        spread = weight * told * (1 - told)
        gradient = np.stack(
            [error.sum(axis=0) + _HOLD * intercept, (error * mixed).sum(axis=0) + _HOLD * (slope - 1)]
        )
        one, two = spread.sum(axis=0) + _HOLD, (spread * mixed**2).sum(axis=0) + _HOLD
        both = (spread * mixed).sum(axis=0)
        determinant = one * two - both**2
        intercept = intercept - (two * gradient[0] - both * gradient[1]) / determinant
        slope = slope - (one * gradient[1] - both * gradient[0]) / determinant
    return intercept, slope.clip(0.0, _MAX_SLOPE)


def _skill(told: FloatArray, mean: FloatArray, rates: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Return 1 - squared error / squared error of the mean outside the fold, (G,); 0 where rates are one."""
    error = np.where(known, (told - rates) ** 2, 0).sum(axis=0)
    plain = np.where(known, (mean - rates) ** 2, 0).sum(axis=0)
    return np.where(plain > 1e-12, 1 - error / np.maximum(plain, 1e-12), 0.0)
