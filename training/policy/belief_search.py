"""Look for a better mixture of the belief than the default by Optuna, and use it only where it is better.

A mixture is worth what prompts gain that choose static courses by it, out of fold. The best of many trials is
lucky, so the gain of searching is told honestly: for each fold by the trial that is best on the others. What
is searched is resumable and shared as far as the storage allows; growing forests is left to
`difficulty.belief`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.mixture import OutOfFold
from training.menu.storage import enqueue_missing, study_storage
from training.policy.bench import Bench, paired
from training.policy.offers import Believed
from training.policy.population import best_static

if TYPE_CHECKING:
    import optuna

Progress: TypeAlias = Callable[[int, int], None]

# Prompts that each trial asks: a trial over thousands takes a second.
_ASKED: Final = 400
_N_PRICES: Final = 16
_MOST_COURSES: Final = 60
# Standard errors over groups that the gain of searching must exceed.
_SURE: Final = 1.5
_N_RANDOM: Final = 12
_SEED_STRIDE: Final = 1_000_003
_FOLDS: Final = "gain_by_fold"


def search_belief(
    parts: OutOfFold,
    bench: Bench,
    default: BeliefOptions,
    *,
    n_trials: int,
    seed: int = 0,
    storage: str | os.PathLike[str] | None = None,
    name: str = "belief",
    progress: Progress | None = None,
) -> BeliefOptions:
    """Return the options of the best mixture, or the default ones where searching is not shown to gain.

    Parameters
    ----------
    parts : OutOfFold
        What is mixed, for the P prompts of the bench.
    bench : Bench
        Values, costs and prices; its weights are not read.
    default : BeliefOptions
        What the gain is measured from; options of the forest are kept.
    n_trials : int
        Trials in all, those of a resumed study among them, at least 1; the first is the default.
    seed : int
        Of the sampler and of the prompts that are asked.
    storage : str or path, optional
        Journal file or Optuna RDB URL.
    name : str
        Of the study; equal only for equal data.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    InvalidInputError
        When the storage cannot be used.
    """
    import optuna as library

    scorer = _Scorer(parts, bench, default, seed)
    verbosity = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        study: optuna.Study = library.create_study(
            direction="maximize", study_name=name, storage=study_storage(storage), load_if_exists=True
        )
        enqueue_missing(study, [_point(default), *_FIRST])

        def objective(trial: optuna.Trial) -> float:
            # Seeded by the trial's number: a resumed study goes on as if it had never stopped, and several
            # workers do not draw the same points.
            study.sampler = library.samplers.TPESampler(
                seed=seed * _SEED_STRIDE + trial.number, n_startup_trials=_N_RANDOM
            )
            by_fold = scorer.by_fold(_options(_suggest(trial), default))
            trial.set_user_attr(_FOLDS, by_fold.tolist())
            return float(by_fold.mean())

        def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            if progress is not None:
                progress(min(trial.number + 1, n_trials), n_trials)

        done = sum(trial.state.is_finished() for trial in study.trials)
        study.optimize(objective, n_trials=max(n_trials - done, 0), callbacks=[report])
        finished = sorted(
            (trial for trial in study.trials if trial.state.name == "COMPLETE"),
            key=lambda trial: trial.number,
        )
    finally:
        library.logging.set_verbosity(verbosity)
    found = [_options(trial.params, default) for trial in finished]
    return scorer.judged(found, np.array([trial.user_attrs[_FOLDS] for trial in finished]))


class _Scorer:
    """What mixtures are worth to prompts that choose static courses by them, out of fold."""

    def __init__(self, parts: OutOfFold, bench: Bench, default: BeliefOptions, seed: int) -> None:
        self._parts, self._default = parts, default
        self._folds, self._groups = bench.folds, bench.groups
        usual = best_static(bench)
        at = np.unique(np.linspace(0, len(bench.prices) - 1, _N_PRICES).round().astype(int))
        self._prices = bench.prices[at]
        self._share = bench.scale.span + self._prices * np.maximum(
            bench.cost.mean(axis=0, dtype=float)[usual[at]], 0.0
        )
        columns = np.flatnonzero(bench.static)
        if len(columns) > _MOST_COURSES:
            worth = (bench.value - self._prices[:, None, None] * bench.cost).mean(axis=1)[:, columns]
            behind = (worth.max(axis=1, keepdims=True) - worth).min(axis=0)
            columns = np.sort(columns[np.argsort(behind, kind="stable")[:_MOST_COURSES]])
        self._value, self._cost = bench.value[:, columns], bench.cost[:, columns]
        rows = np.random.default_rng(seed).permutation(len(bench))
        self._asked = np.sort(rows[:_ASKED])

    def worth(self, options: BeliefOptions, rows: NDArray[np.intp]) -> FloatArray:
        """Return the mean worth over prices that some prompts realise, shape (N,)."""
        weights = self._parts.weights(options, rows)
        expected, spent = Believed.by(weights, self._value, self._cost)
        total = np.zeros(len(rows))
        for price, share in zip(self._prices, self._share, strict=True):
            taken = (expected - np.float32(price) * spent).argmax(axis=1)
            total += (self._value[rows, taken] - price * self._cost[rows, taken]) / share
        return total / len(self._prices)

    def by_fold(self, options: BeliefOptions) -> FloatArray:
        """Return the mean worth of the asked prompts of each fold."""
        worth, folds = self.worth(options, self._asked), self._folds[self._asked]
        names = np.unique(self._folds)
        return np.array([worth[folds == fold].mean() if (folds == fold).any() else 0.0 for fold in names])

    def judged(self, found: list[BeliefOptions], by_fold: FloatArray) -> BeliefOptions:
        """Return the best options where choosing among them gains on folds that had no say."""
        if not found:
            return self._default
        gain = np.zeros(len(self._folds))
        for place, fold in enumerate(np.unique(self._folds)):
            best = found[int(np.delete(by_fold, place, axis=1).mean(axis=1).argmax())]
            if best != self._default:
                rows = np.flatnonzero(self._folds == fold)
                gain[rows] = self.worth(best, rows) - self.worth(self._default, rows)
        mean, error = paired(gain, self._groups)
        return found[int(by_fold.mean(axis=1).argmax())] if mean > _SURE * error else self._default


# The parts alone and in pairs: known points before the sampler guesses.
_FIRST: Final[tuple[dict[str, float], ...]] = (
    {"nearest": 0.0, "kernel": 0.0, "n_nearest": 120, "bandwidth": 1.0},
    {"nearest": 1.0, "kernel": 0.0, "n_nearest": 40, "bandwidth": 1.0},
    {"nearest": 0.0, "kernel": 2.0, "n_nearest": 120, "bandwidth": 0.5},
)


def _point(options: BeliefOptions) -> dict[str, float]:
    return {
        "nearest": options.nearest / options.forest,
        "kernel": options.kernel / options.forest,
        "n_nearest": options.n_nearest,
        "bandwidth": options.bandwidth,
    }


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "nearest": trial.suggest_float("nearest", 0.0, 4.0),
        "kernel": trial.suggest_float("kernel", 0.0, 4.0),
        "n_nearest": trial.suggest_int("n_nearest", 10, 300, log=True),
        "bandwidth": trial.suggest_float("bandwidth", 0.2, 2.0, log=True),
    }


def _options(point: dict[str, Any], default: BeliefOptions) -> BeliefOptions:
    return replace(
        default,
        forest=1.0,
        nearest=float(point["nearest"]),
        kernel=float(point["kernel"]),
        n_nearest=int(point["n_nearest"]),
        bandwidth=float(point["bandwidth"]),
    )
