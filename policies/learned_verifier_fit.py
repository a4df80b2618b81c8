"""Fit a learned verifier on the independent samples of a log, and measure it on prompts that were left out.

Sets of several sizes are drawn from each prompt, since agreement means more among many. It assumes marked
samples; what picking by the score delivers is left to `policies.learned_selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.sample_log import SampleLog
from difficulty.sample_pool import SamplePool
from policies.answer_features import COLUMNS, answer_features
from policies.learned_verifier import CorrectnessModel

__all__ = ["draw_sets", "fit_correctness", "fold_prompts"]

_WIDTHS: Final = (1, 2, 4, 8, 16)
_TREE_COUNTS: Final = (0, 25, 50, 100, 200)
_SAMPLES_PER_WIDTH: Final = 24  # drawn per prompt and width, so that no width dominates the fit
_TREES: Final[dict[str, Any]] = {
    "objective": "binary",
    "num_leaves": 6,
    "learning_rate": 0.06,
    "min_data_in_leaf": 300,
    "lambda_l2": 10.0,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


def fit_correctness(log: SampleLog, generator: str, *, seed: int = 0, n_folds: int = 5) -> CorrectnessModel:
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
        When correctness is unknown, never varies, or there are fewer groups than folds.

    Notes
    -----
    Sets of 1 to 16 samples are drawn from each prompt, since agreement means more among many. The measures
    are those of prompts that the weights were not fitted on.
    """
    pool, folds = fold_prompts(log, generator, seed=seed, n_folds=n_folds)
    columns = tuple(name for name in COLUMNS if np.isfinite(getattr(pool, name)[pool.answer >= 0]).all())
    rows = _draw_rows(pool, columns, np.random.default_rng([seed, 1]))
    losses = np.zeros(len(_TREE_COUNTS))
    held_out = np.zeros((len(_TREE_COUNTS), len(rows.correct)))
    for fold in range(n_folds):
        out = folds[rows.prompt] == fold
        part = _fit_rows(rows.features[~out], rows.correct[~out], n_trees=max(_TREE_COUNTS), seed=seed)
        for place, n_trees in enumerate(_TREE_COUNTS):
            held_out[place, out] = part.logit(rows.features[out], n_trees=n_trees)
    for place in range(len(_TREE_COUNTS)):
        losses[place] = _log_loss(held_out[place], rows.correct)
    chosen = int(losses.argmin())
    final = _fit_rows(rows.features, rows.correct, n_trees=_TREE_COUNTS[chosen], seed=seed)
    chance = _sigmoid(held_out[chosen])
    return CorrectnessModel(
        generator=generator,
        columns=columns,
        centre=tuple(final.centre.tolist()),
        scale=tuple(final.scale.tolist()),
        weights=tuple(final.weights.tolist()),
        intercept=final.intercept,
        trees="" if final.booster is None else final.booster.model_to_string(),
        log_loss=float(losses[chosen]),
        brier=float(np.mean((chance - rows.correct) ** 2)),
        base_brier=float(np.var(rows.correct)),
        calibration_error=_calibration_error(chance, rows.correct),
    )


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


def fold_prompts(
    log: SampleLog, generator: str, *, seed: int, n_folds: int
) -> tuple[SamplePool, NDArray[np.int64]]:
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
    return pool, np.array([fold[prompt.group] for prompt in log.prompts])


def draw_sets(
    n: NDArray[np.int64], width: int, n_draws: int, rng: np.random.Generator, members: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw sets of `width` from each prompt's n samples; row indices (S, 1) and column indices (S, width)."""
    sizes = np.repeat(n, n_draws)
    noise = rng.random((len(sizes), int(n.max())))
    noise[np.arange(noise.shape[1]) >= sizes[:, None]] = np.inf
    return np.repeat(members, n_draws)[:, None], noise.argsort(axis=1)[:, :width]


def _draw_rows(pool: SamplePool, columns: Sequence[str], rng: np.random.Generator) -> _Rows:
    """Draw sets of several widths from each prompt; one row per answered sample in a set."""
    parts = []
    for width in _WIDTHS:
        members = np.flatnonzero((pool.n >= width) & ~pool.counts_only)
        if members.size == 0:
            continue
        rows, picks = draw_sets(pool.n[members], width, max(1, _SAMPLES_PER_WIDTH // width), rng, members)
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


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * logit))
    return chance


def _log_loss(logit: NDArray[np.float64], correct: NDArray[np.float64]) -> float:
    return float(np.mean(np.logaddexp(0, logit) - correct * logit))


def _calibration_error(chance: NDArray[np.float64], correct: NDArray[np.float64]) -> float:
    """Return the mean absolute gap between predicted and observed share over ten bins of equal size."""
    order = np.argsort(chance, kind="stable")
    bins = [part for part in np.array_split(order, 10) if part.size]
    gaps = [abs(chance[part].mean() - correct[part].mean()) * part.size for part in bins]
    return float(sum(gaps) / len(chance))
