"""Fit how sure answers are: the policy's courses are played on training prompts, and judged out of fold.

It assumes beliefs out of fold, and folds that keep near-duplicates together. What follows for answering is
left to `policies.answering`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.sample_log import SampleLog
from difficulty.trees.grown_boosters import trees_of_boosters
from policies.answering.answering import Answering
from policies.answering.confidence import ConfidenceModel
from policies.answering.evidence import FEATURES, Usual, evidence_of
from policies.course.course import Course, Step
from policies.table.recorded import Recorded
from training.answering.replays import play, playable

# Levels of the policy that are played, from its dearest price to the cheapest.
_LEVELS: Final = 6
# Plays of each prompt at each level; of many prompts one says enough.
_PLAYS: Final = 3
_PLAYED: Final = 20_000
# Generators in a panel, the best ones, and samples of each.
_PANELS: Final = ((2, 1), (2, 3), (3, 1), (3, 2), (3, 5), (4, 1), (4, 3), (4, 5), (6, 1), (6, 3))
# Share of the prompts that must have the samples for a panel.
_SHARE: Final = 0.9
_FEWEST: Final = 60
_TREE_COUNTS: Final = (0, 15, 30, 60, 120)
_TREES: Final[dict[str, Any]] = {
    "objective": "binary",
    "num_leaves": 7,
    "learning_rate": 0.08,
    "max_bin": 63,
    "lambda_l2": 5.0,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "feature_fraction": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


def fit_answering(
    log: SampleLog,
    courses: tuple[Course, ...],
    chosen: NDArray[np.intp],
    *,
    told: FloatArray,
    panels: Sequence[int] = (),
    rates: FloatArray,
    folds: NDArray[np.intp],
    groups: NDArray[np.str_],
    seed: int = 0,
) -> Answering | None:
    """Fit what is known of being right; None where there is too little, or no course can be played.

    Parameters
    ----------
    log : SampleLog
        P training prompts.
    courses : tuple of Course
        The C courses.
    chosen : ndarray of intp, shape (P, L)
        What each prompt takes at each level, by beliefs out of fold.
    told : ndarray of float64, shape (P, L)
        Chance that its answer is right, as plans tell it, by the same beliefs.
    panels : sequence of int
        Columns of courses that everybody may get (`panels_of`).
    rates : ndarray of float64, shape (P, G)
        Success rates of one sample that beliefs out of fold promise; NaN where not known.
    folds : ndarray of intp, shape (P,)
        By group.
    groups : ndarray, shape (P,)
        Near-duplicates share one; one prompt of each calibrates.
    seed : int
        Of orders, ties and trees.
    """
    recorded = Recorded.of(log, n_orders=_PLAYS, seed=seed)
    able = np.array([playable(course, recorded) for course in courses])
    usual = _usual(log)
    names = list(log.generators)
    levels = np.unique(np.linspace(0, chosen.shape[1] - 1, _LEVELS).round().astype(np.int64))
    size = len(chosen)
    ways = np.column_stack([chosen[:, levels], *(np.full(size, column) for column in panels)])
    plays = max(min(_PLAYS, _PLAYED // ways.size), 1)
    rng = np.random.default_rng([seed, 7])
    shape = (*ways.shape, plays)
    evidence = np.full((*shape, len(FEATURES)), np.nan)
    right = np.full(shape, np.nan)
    for row, taken in enumerate(ways.tolist()):
        promised = dict(zip(names, rates[row].tolist(), strict=True))
        for place, at in enumerate(taken):
            if not able[at]:
                continue
            for order in range(plays):
                found = play(recorded, courses[at], row, order, rng)
                if found is not None:
                    evidence[row, place, order] = evidence_of(
                        found.given, found.selected, rates=promised, usual=usual
                    )
                    right[row, place, order] = found.right > 0.5
    played = ~np.isnan(right)
    if played.any(axis=(1, 2)).sum() < _FEWEST or len(np.unique(right[played])) < 2:
        return None
    dearest = np.broadcast_to(_last_known(right[:, : len(levels)])[:, None, None], shape)
    rows = _Rows(
        evidence=evidence[played],
        prompt=np.broadcast_to(np.arange(size)[:, None, None], shape)[played],
        folds=folds,
    )
    sure = _fit(rows, right[played], seed)
    solvable = _fit(rows, dearest[played], seed + 1)
    confidence = np.full(shape, np.nan)
    confidence[played] = sure.held_out
    calibrating = np.unique(groups, return_index=True)[1]
    return Answering(
        right=sure.model,
        solvable=solvable.model,
        usual=usual,
        levels=np.concatenate([levels, np.full(len(panels), -1)]),
        columns=np.concatenate([np.full(len(levels), -1), np.array(panels, dtype=np.int64)]),
        confidence=confidence[calibrating, :, 0],
        correct=right[calibrating, :, 0] > 0.5,
        told=np.hstack([told[:, levels], np.full((size, len(panels)), np.nan)])[calibrating],
    )


def panels_of(log: SampleLog) -> list[Course]:
    """Return votes of several generators at once, the best ones; none where their answers do not compare."""
    recorded = Recorded.of(log, n_orders=1)
    if not recorded.pooled or not log.has_answers:
        return []
    counts = log.counts()
    rate = counts.n_correct.sum(axis=0) / np.maximum(counts.n.sum(axis=0), 1)
    order = [name for _, name in sorted(zip(-rate, log.generators, strict=True)) if name in recorded.samples]
    found = []
    for size, n in _PANELS:
        names = order[:size]
        enough = all((recorded.samples[name].n >= n).mean() >= _SHARE for name in names)
        if len(names) == size and enough:
            found.append(Course(steps=tuple(Step(generator=name, n=n) for name in names)))
    return found


class _Rows(NamedTuple):
    evidence: FloatArray
    prompt: NDArray[np.intp]
    folds: NDArray[np.intp]


class _Fitted(NamedTuple):
    model: ConfidenceModel
    held_out: FloatArray


def _last_known(right: FloatArray) -> FloatArray:
    """Return the mean over plays at the dearest level that was played, as right or wrong, shape (P,)."""
    known = ~np.isnan(right)
    total = np.asarray(np.where(known, right, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1))
    some = np.asarray(known.any(axis=2))
    last = some.shape[1] - 1 - some[:, ::-1].argmax(axis=1)
    return np.asarray(total[np.arange(len(total)), last] > 0.5, dtype=np.float64)


def _usual(log: SampleLog) -> dict[str, Usual]:
    found = {}
    for name in log.generators:
        pool = log.pool(name)
        parts = (pool.mean_logprob, np.log1p(pool.output_tokens))
        found[name] = Usual(*(float(np.nanmean(p)) if np.isfinite(p).any() else math.nan for p in parts))
    return found


def _fit(rows: _Rows, right: FloatArray, seed: int) -> _Fitted:
    """Fit on all, and predict each fold by a fit on the others; trees where they help out of fold."""
    fold = rows.folds[rows.prompt]
    logits = np.zeros((len(_TREE_COUNTS), len(right)))
    for name in np.unique(fold):
        out = fold == name
        part = _grow(rows.evidence[~out], right[~out], max(_TREE_COUNTS), seed)
        for place, n_trees in enumerate(_TREE_COUNTS):
            logits[place, out] = part.logit(rows.evidence[out], n_trees)
    losses = np.logaddexp(0, logits) - logits * right
    best = int(losses.mean(axis=1).argmin())
    better = np.bincount(rows.prompt, weights=losses[0] - losses[best])
    error = float(np.sqrt(np.sum((better - better.mean()) ** 2))) / len(right)
    at = best if (losses[0] - losses[best]).mean() > error else 0
    whole = _grow(rows.evidence, right, _TREE_COUNTS[at], seed)
    chance = 1 / (1 + np.exp(-logits[at].clip(-30, 30)))
    return _Fitted(whole.model(), np.where(rows.evidence[:, 0] > 0, chance, 0.0))


class _Grown(NamedTuple):
    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    intercept: float
    booster: Any

    def linear(self, evidence: FloatArray) -> FloatArray:
        rows = np.nan_to_num((evidence - self.centre) / self.scale, nan=0.0)
        return np.asarray(rows @ self.weights + self.intercept)

    def logit(self, evidence: FloatArray, n_trees: int) -> FloatArray:
        if self.booster is None or not n_trees:
            return self.linear(evidence)
        more = self.booster.predict(evidence, raw_score=True, num_iteration=n_trees, num_threads=1)
        return np.asarray(self.linear(evidence) + more)

    def model(self) -> ConfidenceModel:
        return ConfidenceModel(
            centre=self.centre,
            scale=self.scale,
            weights=self.weights,
            intercept=self.intercept,
            trees=None if self.booster is None else trees_of_boosters(self.booster),
        )


def _grow(evidence: FloatArray, right: FloatArray, n_trees: int, seed: int) -> _Grown:
    """Fit log-odds that are linear, and trees on what they leave."""
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(evidence)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, evidence, 0.0).sum(axis=0) / count
    scale = np.sqrt((np.where(known, evidence - centre, 0.0) ** 2).sum(axis=0) / count)
    scale[scale < 1e-9] = 1.0
    n_features = evidence.shape[1]
    if len(np.unique(right)) < 2:
        share = float(np.clip(right.mean(), 0.01, 0.99))
        return _Grown(centre, scale, np.zeros(n_features), math.log(share / (1 - share)), None)
    rows = np.nan_to_num((evidence - centre) / scale, nan=0.0)
    linear = LogisticRegression(C=0.1, max_iter=1000).fit(rows, right)
    grown = _Grown(centre, scale, linear.coef_[0], float(linear.intercept_[0]), None)
    if not n_trees:
        return grown
    import lightgbm

    data = lightgbm.Dataset(evidence, label=right, init_score=grown.linear(evidence), free_raw_data=True)
    options = {**_TREES, "seed": seed, "min_data_in_leaf": max(len(right) // 100, 20)}
    return grown._replace(booster=lightgbm.train(options, data, num_boost_round=n_trees))
