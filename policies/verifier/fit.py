"""Fit a learned verifier on the independent samples of a log, and measure it on prompts that were left out.

Sets of several sizes are drawn from each prompt, since agreement means more among many. It assumes marked
samples; what picking by the score delivers is left to `policies.verifier.selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from difficulty.trees.grown_boosters import trees_of_boosters
from difficulty.trees.plain import PlainTrees
from policies.verifier.answer_features import COLUMNS, answer_features
from policies.verifier.learned_verifier import CorrectnessModel, LearnedScorer
from policies.verifier.measures import calibration_error

__all__ = ["CorrectnessFit", "fit_correctness"]

_WIDTHS: Final = (1, 2, 4, 8, 16, 32)
_TREE_COUNTS: Final = (0, 20, 40, 80)
# With fewer prompts there is nothing for trees to learn that the next prompts share.
_PROMPTS_FOR_TREES: Final = 100
# Samples drawn per prompt and width, so that no width dominates the fit: fewer where prompts are many.
_SAMPLES_PER_WIDTH: Final = 24
_LEAST_SAMPLES: Final = 8
_SAMPLES_IN_ALL: Final = 16_000
_TREES: Final[dict[str, Any]] = {
    "objective": "binary",
    "num_leaves": 6,
    "learning_rate": 0.12,
    "max_bin": 63,
    "min_data_in_leaf": 300,
    "lambda_l2": 10.0,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CorrectnessFit:
    """A learned verifier, and the same one fitted without each fold of the prompts.

    Parameters
    ----------
    model : CorrectnessModel
        Fitted on all prompts: for prompts that are not in the log.
    cross_fitted : LearnedScorer
        Scores each prompt of the log by the model that did not learn from its fold.
    """

    model: CorrectnessModel
    cross_fitted: LearnedScorer


def fit_correctness(log: SampleLog, generator: str, *, seed: int = 0, n_folds: int = 5) -> CorrectnessFit:
    """Fit a learned verifier on the independent samples of a log.

    Parameters
    ----------
    log : SampleLog
        Training prompts only; with answers and correctness.
    generator : str
        Whose samples.
    seed : int
        Seed of the sets that are drawn and of the folds.
    n_folds : int
        Folds of groups of prompts, at least 2, for choosing the trees and for the measures.

    Raises
    ------
    InvalidInputError
        When correctness is unknown, never varies (in the log, or without one of the folds), or there are
        fewer groups than folds.

    Notes
    -----
    Sets of 1 to 32 samples are drawn from each prompt, since agreement means more among many. Trees are taken
    where they lower the log loss of prompts that were left out by more than its standard error; their number
    is the one thing that the models of the folds share. Agreement alone needs none, and fewer than 100
    prompts get none.
    """
    pool, folds = _fold_prompts(log, generator, seed=seed, n_folds=n_folds)
    columns = tuple(name for name in COLUMNS if np.isfinite(getattr(pool, name)[pool.answer >= 0]).all())
    enough = len(np.unique(np.nonzero(pool.answer >= 0)[0])) >= _PROMPTS_FOR_TREES
    counts = _TREE_COUNTS if columns and enough else (0,)
    rows = _draw_rows(pool, columns, np.random.default_rng([seed, 1]))
    held_out = np.zeros((len(counts), len(rows.correct)))
    parts = []
    for fold in range(n_folds):
        out = folds[rows.prompt] == fold
        part = _fit_rows(rows.features[~out], rows.correct[~out], n_trees=max(counts), seed=seed)
        parts.append(part)
        for place, n_trees in enumerate(counts):
            held_out[place, out] = part.logit(rows.features[out], n_trees=n_trees)
    losses = np.logaddexp(0, held_out) - held_out * rows.correct
    chosen = _choose(losses, rows.prompt)
    final = _fit_rows(rows.features, rows.correct, n_trees=counts[chosen], seed=seed)
    chance = 0.5 * (1 + np.tanh(0.5 * held_out[chosen]))
    gap = calibration_error(chance, rows.correct)

    def model_of(fit: _Fit) -> CorrectnessModel:
        n_trees = counts[chosen]
        trees = PlainTrees.of(trees_of_boosters(fit.booster, n_trees=n_trees)) if n_trees else None
        return CorrectnessModel(
            generator=generator,
            columns=columns,
            centre=tuple(fit.centre.tolist()),
            scale=tuple(fit.scale.tolist()),
            weights=tuple(fit.weights.tolist()),
            intercept=fit.intercept,
            trees=trees,
            log_loss=float(losses[chosen].mean()),
            brier=float(np.mean((chance - rows.correct) ** 2)),
            base_brier=float(np.var(rows.correct)),
            calibration_error=gap,
        )

    scorer = LearnedScorer(models=tuple(model_of(part) for part in parts), folds=folds)
    return CorrectnessFit(model=model_of(final), cross_fitted=scorer)


def _choose(losses: NDArray[np.float64], prompt: NDArray[np.int64]) -> int:
    """Return the best row of losses, or the first where the best is not clearly better, prompt by prompt."""
    best = int(losses.mean(axis=1).argmin())
    better = losses[0] - losses[best]
    n_rows = np.bincount(prompt)
    sums = np.bincount(prompt, weights=better)[n_rows > 0]
    # Rows of one prompt err together: the standard error is that of the prompts' sums.
    error = float(np.sqrt(np.sum((sums - sums.mean()) ** 2))) / len(better)
    return best if better.mean() > error else 0


class _Rows(NamedTuple):
    prompt: NDArray[np.int64]
    features: NDArray[np.float64]
    correct: NDArray[np.float64]


class _Fit(NamedTuple):
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float
    booster: Any

    def linear(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        logit: NDArray[np.float64] = (features - self.centre) / self.scale @ self.weights + self.intercept
        return logit

    def logit(self, features: NDArray[np.float64], *, n_trees: int) -> NDArray[np.float64]:
        if self.booster is None or n_trees == 0:
            return self.linear(features)
        correction: NDArray[np.float64] = self.booster.predict(
            features, raw_score=True, num_iteration=n_trees, num_threads=1
        )
        return self.linear(features) + correction


def _fold_prompts(
    log: SampleLog, generator: str, *, seed: int, n_folds: int
) -> tuple[SamplePool, NDArray[np.intp]]:
    """Return the pool and the fold of each prompt, groups kept together."""
    pool = log.pool(generator)
    answered = pool.answer >= 0
    known = pool.correct[answered]
    if known.size == 0 or (known < 0).any() or known.min() == known.max():
        raise InvalidInputError(
            f"a learned verifier needs right and wrong answered samples of {generator!r}, each marked"
        )
    groups = sorted({prompt.group for prompt in log.prompts})
    if not 2 <= n_folds <= len(groups):
        raise InvalidInputError(f"n_folds must be between 2 and the {len(groups)} groups, got {n_folds}")
    order = np.random.default_rng([seed, 0]).permutation(len(groups)) % n_folds
    fold = dict(zip(groups, order.tolist(), strict=True))
    folds = np.array([fold[prompt.group] for prompt in log.prompts])
    for name in range(n_folds):
        kept = pool.correct[folds != name][answered[folds != name]]
        if kept.size == 0 or kept.min() == kept.max():
            raise InvalidInputError(
                f"the right (or the wrong) answers of {generator!r} all belong to one fold of prompts: too "
                "few to learn from"
            )
    return pool, folds


def _draw_rows(pool: SamplePool, columns: Sequence[str], rng: np.random.Generator) -> _Rows:
    """Draw sets of several widths from each prompt; one row per answered sample in a set."""
    parts = []
    n_samples = min(max(_SAMPLES_IN_ALL // max(len(pool.n), 1), _LEAST_SAMPLES), _SAMPLES_PER_WIDTH)
    for width in _WIDTHS:
        members = np.flatnonzero((pool.n >= width) & ~pool.counts_only)
        if members.size == 0:
            continue
        rows = np.repeat(members, max(1, n_samples // width))[:, None]
        noise = rng.random((len(rows), int(pool.n[members].max())))
        noise[np.arange(noise.shape[1]) >= pool.n[rows]] = np.inf
        picks = noise.argsort(axis=1)[:, :width]
        answer = pool.answer[rows, picks]
        features = answer_features(answer, **{name: getattr(pool, name)[rows, picks] for name in columns})
        valid = answer >= 0
        prompt = np.broadcast_to(rows, picks.shape)[valid]
        parts.append(_Rows(prompt, features[valid], (pool.correct[rows, picks][valid] == 1).astype(float)))
    return _Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _fit_rows(
    features: NDArray[np.float64], correct: NDArray[np.float64], *, n_trees: int, seed: int
) -> _Fit:
    """Fit the logistic regression, and trees on what it leaves."""
    from sklearn.linear_model import LogisticRegression

    centre = features.mean(0)
    scale = features.std(0)
    scale[scale < 1e-9] = 1.0
    linear = LogisticRegression(C=0.3, max_iter=1000).fit((features - centre) / scale, correct)
    fit = _Fit(centre, scale, linear.coef_[0], float(linear.intercept_[0]), None)
    if n_trees == 0:
        return fit
    import lightgbm

    data = lightgbm.Dataset(features, label=correct, init_score=fit.linear(features), free_raw_data=True)
    booster = lightgbm.train({**_TREES, "seed": seed}, data, num_boost_round=n_trees)
    return fit._replace(booster=booster)
