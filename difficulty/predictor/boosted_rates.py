"""Predict success rates from prompt features with LightGBM, one model per generator.

Models are small, learn fast and stop where held-out folds get no better, so that fitting takes seconds and
small logs, or features that say nothing, end in few rounds or none. It assumes the folds that everything
downstream is fitted on. Mixing with other predictors is left to `difficulty.predictor.success_predictor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_rates import mean_rates, means_outside
from difficulty.trees.grown_boosters import trees_of_boosters
from difficulty.trees.trees import Trees

if TYPE_CHECKING:
    import lightgbm


# Out of fold, rounds of .1 on few features explain as much as twice as many of .05 on a third of them, in a
# third of the time (reasoning-gym, CRUXEval-O, word problems, arithmetic); rounds of .2 explain .02 less.
_BOOSTING: Final[Mapping[str, Any]] = {
    "objective": "cross_entropy",
    "metric": "cross_entropy",
    "learning_rate": 0.1,
    "num_leaves": 8,
    "min_data_in_leaf": 8,
    "feature_fraction": 0.15,
    "feature_pre_filter": False,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
    "max_bin": 31,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # small data: threads cost more than they bring
}
_MAX_ROUNDS: Final = 250
_PATIENCE: Final = 20
# Log-odds of rates that are nearly 0 or 1 stay finite.
_CLIP: Final = 0.005


@dataclass(frozen=True, kw_only=True, eq=False)
class BoostedRates(ArrayRecord):
    """Boosted trees of G generators, one after the other.

    Parameters
    ----------
    base : ndarray of float64, shape (G,)
        Log-odds of each generator's mean, for those without trees.
    ends : ndarray of int64, shape (G,)
        Trees of the generators up to each one; equal to the one before where a generator has none.
    trees : Trees or None
        All trees; None where no generator has any.

    Raises
    ------
    InvalidInputError
        When the arrays do not fit together.
    """

    base: FloatArray
    ends: NDArray[np.int64]
    trees: Trees | None
    PARTS: ClassVar = {"trees": Trees}

    def __post_init__(self) -> None:
        n_trees = 0 if self.trees is None else self.trees.n_trees
        if self.base.dtype.kind != "f" or self.base.ndim != 1 or not np.isfinite(self.base).all():
            raise InvalidInputError("base of boosted rates must be finite and have shape (G,)")
        ends = self.ends
        if ends.dtype.kind != "i" or ends.shape != self.base.shape or not len(ends):
            raise InvalidInputError("ends of boosted rates must be whole numbers of shape (G,), G at least 1")
        if np.any(np.diff(ends, prepend=0) < 0) or ends[-1] != n_trees:
            raise InvalidInputError(f"ends of boosted rates must ascend to {n_trees}, got {ends.tolist()}")
        if self.trees is not None and self.trees.value.shape[1] != 1:
            raise InvalidInputError("trees of boosted rates must have one value per leaf")

    def log_odds(self, features: NDArray[np.floating]) -> FloatArray:
        """Return predicted log-odds of N prompts with features (N, F), shape (N, G)."""
        if self.trees is None:
            return self.base[None].repeat(len(features), axis=0)
        return self.of_leaves(self.trees.leaves(features))

    def of_leaves(self, leaves: NDArray[np.integer]) -> FloatArray:
        """Return the same of N prompts that fall into these leaves of the T trees, (N, T)."""
        result = self.base[None].repeat(len(leaves), axis=0)
        if self.trees is None:
            return result
        value = self.trees.value[:, 0].take(leaves)
        start = 0
        for column, end in enumerate(self.ends.tolist()):
            if end > start:
                # Tree by tree: equal rows get equal sums however many there are at once.
                result[:, column] = np.add.accumulate(value[:, start:end], axis=1)[:, -1]
            start = end
        return result


class FittedBoosting(NamedTuple):
    """What a fit leaves.

    Attributes
    ----------
    boosted : BoostedRates
        Fitted on all prompts.
    out_of_fold : ndarray of float64, shape (P, G)
        Log-odds that models without the prompt's fold predict.
    """

    boosted: BoostedRates
    out_of_fold: FloatArray


def fit_boosted_rates(
    features: NDArray[np.floating],
    rates: FloatArray,
    known: NDArray[np.bool_],
    folds: NDArray[np.integer],
    *,
    seed: int,
) -> FittedBoosting:
    """Fit one model per generator on P prompts.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features; NaN where unknown.
    rates : ndarray of float64, shape (P, G)
        Rates in [0, 1].
    known : ndarray of bool, shape (P, G)
        Where a rate counts.
    folds : ndarray of int, shape (P,)
        Fold of each prompt.
    seed : int
        Seed of the boosting.

    Notes
    -----
    A generator's rounds are those with the least mean error over held-out folds: one number that has seen
    them all. A generator whose rates do not vary gets no trees.
    """
    import lightgbm

    table = np.asarray(features, dtype=np.float64)
    base = _log_odds(mean_rates(rates, known, otherwise=0.5))
    out_of_fold = _log_odds(means_outside(rates, known, folds, otherwise=0.5))
    ends: list[int] = []
    grown: list[lightgbm.Booster] = []
    members = [folds == fold for fold in np.unique(folds)]
    parts = [_Part.of(table, ~held, held) for held in members]
    whole = lightgbm.Dataset(
        table, label=rates[:, 0], params=dict(_BOOSTING), free_raw_data=False
    ).construct()
    for column in range(rates.shape[1]):
        rate, counts = rates[:, column], known[:, column]
        rounds = 0
        if np.ptp(rate[counts]) > 0 if counts.any() else False:
            fits = [part.train(rate, counts, seed=seed) for part in parts]
            curve = np.mean([fit.errors for fit in fits], axis=0)
            rounds = int(curve.argmin())
        if rounds:
            for fit, held in zip(fits, members, strict=True):
                if fit.booster is not None:
                    out_of_fold[held, column] = np.asarray(
                        fit.booster.predict(table[held], raw_score=True, num_threads=1, num_iteration=rounds)
                    )
            whole.set_label(rate).set_weight(counts.astype(np.float64))
            booster = lightgbm.train({**_BOOSTING, "seed": seed}, whole, num_boost_round=rounds)
            grown.append(booster)
        ends.append(sum(booster.num_trees() for booster in grown))
    trees = trees_of_boosters(*grown) if grown else None
    boosted = BoostedRates(base=base, ends=np.array(ends, dtype=np.int64), trees=trees)
    return FittedBoosting(boosted, out_of_fold)


class _Fit(NamedTuple):
    """A model of one fold, and its error on the rest after 0, 1, ... rounds."""

    booster: lightgbm.Booster | None
    errors: FloatArray


class _Part(NamedTuple):
    """The prompts outside one fold, and those inside, binned once for all generators."""

    learn: NDArray[np.bool_]
    held: NDArray[np.bool_]
    outside: lightgbm.Dataset
    inside: lightgbm.Dataset

    @classmethod
    def of(cls, table: FloatArray, learn: NDArray[np.bool_], held: NDArray[np.bool_]) -> _Part:
        import lightgbm

        outside = lightgbm.Dataset(
            table[learn], label=np.zeros(int(learn.sum())), params=dict(_BOOSTING), free_raw_data=False
        )
        inside = outside.create_valid(table[held], label=np.zeros(int(held.sum())), params=dict(_BOOSTING))
        return cls(learn, held, outside.construct(), inside.construct())

    def train(self, rate: FloatArray, counts: NDArray[np.bool_], *, seed: int) -> _Fit:
        """Fit one generator's rates; no model where they do not vary outside, or none is known inside."""
        import lightgbm

        ours = rate[self.learn][counts[self.learn]]
        flat = np.zeros(_MAX_ROUNDS + 1)
        if not counts[self.held].any() or not len(ours) or np.ptp(ours) == 0:
            return _Fit(None, flat)
        for data, rows in ((self.outside, self.learn), (self.inside, self.held)):
            data.set_label(rate[rows]).set_weight(counts[rows].astype(np.float64))
        record: dict[str, Any] = {}
        booster = lightgbm.train(
            {**_BOOSTING, "seed": seed},
            self.outside,
            num_boost_round=_MAX_ROUNDS,
            valid_sets=[self.inside],
            callbacks=[
                lightgbm.record_evaluation(record),
                lightgbm.early_stopping(_PATIENCE, verbose=False),
            ],
        )
        errors = record["valid_0"]["cross_entropy"]
        inside = rate[self.held][counts[self.held]]
        flat[0] = _cross_entropy(float(ours.mean()), inside)
        flat[1 : len(errors) + 1] = errors
        flat[len(errors) + 1 :] = errors[-1]
        return _Fit(booster, flat)


def _cross_entropy(mean: float, rates: FloatArray) -> float:
    share = min(max(mean, 1e-12), 1 - 1e-12)
    return float(-(rates * np.log(share) + (1 - rates) * np.log(1 - share)).mean())


def _log_odds(rates: FloatArray) -> FloatArray:
    share = rates.clip(_CLIP, 1 - _CLIP)
    return np.asarray(np.log(share / (1 - share)))
