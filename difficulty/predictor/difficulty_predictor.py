"""Predict where a prompt lies among prompts of known difficulty, from its features.

Each prompt gets a few *coordinates*: its level (log-odds of mean success over generators) and, with several
generators, how it deviates from that level in the directions in which generators differ most. LightGBM and
a kernel regression learn each coordinate from counts, and their mean is taken; out-of-fold coordinates of
the training prompts are kept, since everything downstream must be fitted on those. LightGBM is needed to fit
only. Turning coordinates into a distribution is left to `difficulty.belief.reference_prompts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.predictor.kernel_regression import KernelRegression
from difficulty.trees.lightgbm_text import trees_of_booster
from difficulty.trees.trees import Trees

if TYPE_CHECKING:
    import lightgbm

__all__ = ["DifficultyPredictor", "group_folds"]

FloatArray: TypeAlias = NDArray[np.float64]

# Pseudo-samples at the generator's mean that are added to each prompt's count before rates are taken.
_PSEUDO_SAMPLES = 1.0
_LEVEL_CLIP = 0.005
# Strong regularisation: 200 to 1,000 training prompts are usual, and flexible models overfit them.
_BOOSTING: Mapping[str, Any] = {
    "learning_rate": 0.04,
    "num_leaves": 7,
    "min_data_in_leaf": 8,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
    "max_bin": 63,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # small data: threads cost more than they bring
}
_ROUNDS = 150


def group_folds(groups: NDArray[np.str_], *, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Assign each prompt to a fold so that a group is never cut.

    Parameters
    ----------
    groups : ndarray of str, shape (P,)
        Group of each prompt.
    n_folds : int
        At least 2; fewer are used when there are fewer groups.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    ndarray of intp, shape (P,)
        Fold of each prompt.

    Examples
    --------
    >>> group_folds(np.array(["a", "a", "b"]), n_folds=2, seed=0).shape
    (3,)
    """
    names, inverse = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % min(n_folds, max(len(names), 1)))[inverse]


@dataclass(eq=False)
class DifficultyPredictor:
    """LightGBM and kernel regression on prompt features, fitted on pass@k counts.

    Parameters
    ----------
    n_deviations : int
        Directions in which generators differ that are predicted beside the level; at most G - 1 are used.
    n_folds : int
        Folds of the out-of-fold predictions.
    seed : int
        Seed of folds and boosting.

    Attributes
    ----------
    coordinates_ : ndarray of float64, shape (P, 1 + D)
        Out-of-fold coordinates of the training prompts.
    folds_ : ndarray of intp, shape (P,)
        Fold of each training prompt.
    directions_ : ndarray of float64, shape (D, G)
        Directions of the deviations in generator space.
    r2_ : ndarray of float64, shape (1 + D,)
        Out-of-fold share of variance explained, per coordinate (on rates, sampling noise included).
    boosters_ : list of Trees
        One model of LightGBM per coordinate, fitted on all training prompts.
    regressions_ : list of KernelRegression
        Likewise; features are scaled by how much the booster of the same coordinate gained from them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(200, 3))
    >>> n = np.full((200, 1), 20)
    >>> n_correct = rng.binomial(n, 1 / (1 + np.exp(-2 * features[:, :1])))
    >>> predictor = DifficultyPredictor(seed=0).fit(features, n, n_correct)
    >>> bool(predictor.r2_[0] > 0.5)
    True
    """

    n_deviations: int = 2
    n_folds: int = 5
    seed: int = 0
    coordinates_: FloatArray = field(init=False, repr=False)
    folds_: NDArray[np.intp] = field(init=False, repr=False)
    directions_: FloatArray = field(init=False, repr=False)
    r2_: FloatArray = field(init=False, repr=False)
    boosters_: list[Trees] = field(init=False, repr=False)
    regressions_: list[KernelRegression] = field(init=False, repr=False)

    def fit(
        self,
        features: NDArray[np.floating[Any]],
        n: NDArray[np.integer[Any]],
        n_correct: NDArray[np.integer[Any]],
        *,
        groups: NDArray[np.str_] | None = None,
    ) -> DifficultyPredictor:
        """Fit on counts of correct samples.

        Parameters
        ----------
        features : ndarray, shape (P, F)
            Features of the training prompts; NaN allowed.
        n, n_correct : ndarray of int, shape (P, G)
            Samples and correct samples per generator; 0 samples where a generator has no line.
        groups : ndarray of str, shape (P,), optional
            Prompts of one group share a fold.

        Raises
        ------
        InvalidInputError
            When shapes disagree or fewer than 10 prompts are given.
        """
        if features.ndim != 2 or n.shape != n_correct.shape or len(features) != len(n):
            raise InvalidInputError(
                "features must be (P, F) and n, n_correct (P, G) with the same P; "
                f"got {features.shape}, {n.shape}, {n_correct.shape}"
            )
        n_prompts = len(n)
        if n_prompts < 10:
            raise InvalidInputError(
                f"at least 10 training prompts are needed to predict difficulty, got {n_prompts}"
            )
        keys = np.arange(n_prompts).astype(str) if groups is None else np.asarray(groups)
        self.folds_ = group_folds(keys, n_folds=self.n_folds, seed=self.seed)
        targets, self.directions_ = _targets(n, n_correct, self.n_deviations)
        self.coordinates_ = np.zeros_like(targets)
        for column in range(targets.shape[1]):
            for fold in np.unique(self.folds_):
                test = self.folds_ == fold
                models = _fit_pair(features[~test], targets[~test, column], level=column == 0, seed=self.seed)
                self.coordinates_[test, column] = _coordinate(*models, features[test], level=column == 0)
        self.r2_ = _explained(self.coordinates_, targets)
        self.boosters_, self.regressions_ = [], []
        for column in range(targets.shape[1]):
            booster, regression = _fit_pair(features, targets[:, column], level=column == 0, seed=self.seed)
            self.boosters_.append(booster)
            self.regressions_.append(regression)
        return self

    def predict(self, features: NDArray[np.floating[Any]]) -> FloatArray:
        """Return coordinates of prompts, shape (P, 1 + D).

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "boosters_"):
            raise NotFittedError(
                "this DifficultyPredictor is not fitted; call fit(features, n, n_correct) first"
            )
        return np.stack(
            [
                _coordinate(booster, regression, features, level=column == 0)
                for column, (booster, regression) in enumerate(
                    zip(self.boosters_, self.regressions_, strict=True)
                )
            ],
            axis=1,
        )


def _targets(
    n: NDArray[np.integer[Any]], n_correct: NDArray[np.integer[Any]], n_deviations: int
) -> tuple[FloatArray, FloatArray]:
    """Return level (share in [0, 1]) and deviation scores, shape (P, 1 + D), and the directions (D, G)."""
    total = n.sum(axis=0)
    mean = np.divide(n_correct.sum(axis=0), total, out=np.full(total.shape, 0.5), where=total > 0)
    rates = (n_correct + _PSEUDO_SAMPLES * mean) / (n + _PSEUDO_SAMPLES)
    level = rates.mean(axis=1)
    deviation = rates - level[:, None]
    deviation = deviation - deviation.mean(axis=0)
    n_deviations = min(n_deviations, n.shape[1] - 1)
    directions = np.linalg.svd(deviation, full_matrices=False)[2][:n_deviations]
    # The sign of a singular vector is arbitrary; fix it so that equal data give equal bytes.
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    directions = directions * signs[:, None]
    return np.column_stack([level, deviation @ directions.T]), directions


def _boost(
    features: NDArray[np.floating[Any]], target: FloatArray, *, level: bool, seed: int
) -> lightgbm.Booster:
    """Fit one booster: cross-entropy on a share for the level, squared error for a deviation."""
    import lightgbm

    objective = "cross_entropy" if level else "regression"
    data = lightgbm.Dataset(np.asarray(features, dtype=np.float64), label=target, free_raw_data=True)
    return lightgbm.train({**_BOOSTING, "objective": objective, "seed": seed}, data, num_boost_round=_ROUNDS)


def _fit_pair(
    features: NDArray[np.floating[Any]], target: FloatArray, *, level: bool, seed: int
) -> tuple[Trees, KernelRegression]:
    """Fit both models of one coordinate."""
    booster = _boost(features, target, level=level, seed=seed)
    relevance = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    regression = KernelRegression(seed=seed)
    regression.fit(features, target, relevance=relevance if relevance.any() else None)
    return trees_of_booster(booster), regression


def _coordinate(
    booster: Trees,
    regression: KernelRegression,
    features: NDArray[np.floating[Any]],
    *,
    level: bool,
) -> FloatArray:
    """Return the mean of both models' raw scores: log-odds for the level, the score for a deviation, shape
    (P,).
    """
    boosted = booster.predict(features)[:, 0]
    smooth = np.asarray(regression.predict(features), dtype=np.float64)
    if level:
        share = smooth.clip(_LEVEL_CLIP, 1 - _LEVEL_CLIP)
        smooth = np.log(share / (1 - share))
    return 0.5 * (boosted + smooth)


def _explained(coordinates: FloatArray, targets: FloatArray) -> FloatArray:
    """Return 1 - residual variance / variance per coordinate; the level is compared as a share."""
    predicted = coordinates.copy()
    predicted[:, 0] = 1 / (1 + np.exp(-predicted[:, 0]))
    variance = targets.var(axis=0)
    residual = ((targets - predicted) ** 2).mean(axis=0)
    return np.where(variance > 0, 1 - residual / np.where(variance > 0, variance, 1.0), 0.0)
