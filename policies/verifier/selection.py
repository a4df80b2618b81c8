"""What picking by a learned verifier delivers: best-of-N and weighted vote over recorded pools.

Its score of a sample depends on the set it was drawn in, so that closed forms do not apply: sets are drawn,
the same ones for every way to pick. It assumes scores from models that did not learn from the prompt.
Planning with these curves is left to the policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.estimators.vote_draws import all_subsets, subsets
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from policies.verifier.answer_features import group_codes, group_sums
from policies.verifier.fit import fit_correctness
from policies.verifier.learned_verifier import LearnedScorer

__all__ = ["PICKS", "SelectionAccuracy", "learned_selection", "selection_accuracy"]

PICKS: Final = ("best_of_n", "weighted_best_of_n")
"""Strategies that pick by a score."""

# Samples drawn per prompt and width, and the least and most sets that they make: wide sets are alike.
_SAMPLES: Final = 384
_LEAST_DRAWS: Final = 8
_MOST_DRAWS: Final = 64
# Samples that are scored at a time, to bound memory: about 100 MB of features.
_CHUNK: Final = 1 << 19


class SelectionAccuracy(NamedTuple):
    """Expected accuracy of picking by the learned score for P prompts and W widths.

    Attributes
    ----------
    widths : tuple of int, length W
        Samples drawn, N.
    best_of_n, weighted_best_of_n, vote : ndarray, shape (P, W)
        Probability that the pick is right: highest score; largest sum of scores; plain majority. NaN where a
        prompt has fewer than N samples, or one that is unmarked or lacks what the score needs.
    """

    widths: tuple[int, ...]
    best_of_n: NDArray[np.float64]
    weighted_best_of_n: NDArray[np.float64]
    vote: NDArray[np.float64]


def selection_accuracy(
    pool: SamplePool,
    scorer: LearnedScorer,
    widths: Sequence[int],
    *,
    columns: slice = slice(None),
    seed: int = 0,
) -> SelectionAccuracy:
    """Return the expected accuracy of picking by a learned score, beside that of the plain vote.

    Parameters
    ----------
    pool : SamplePool
        Recorded samples of P prompts.
    scorer : LearnedScorer
        Scores them; its rows are those of the pool.
    widths : sequence of int
        N, each at least 1.
    columns : slice
        The part of each pool that sets are drawn from.
    seed : int
        Seed of the sets; they depend on it, on the size of the pool and on the width alone.

    Notes
    -----
    Between 8 and 64 sets are drawn per prompt and width without replacement, or all of them where there are
    no more; ties are shared evenly among the tied, as the strategies break them.
    """
    answer, correct = pool.answer[:, columns], pool.correct[:, columns]
    used = {name: getattr(pool, name)[:, columns] for name in scorer.columns}
    shape = (len(answer), len(widths))
    result = SelectionAccuracy(tuple(widths), *(np.full(shape, np.nan) for _ in range(3)))
    present, answered = answer != -2, answer >= 0
    usable = ~(present & (correct < 0)).any(axis=1) & ~pool.counts_only
    for values in used.values():
        usable &= ~(answered & ~np.isfinite(values)).any(axis=1)
    n = present.sum(axis=1)
    for size in np.unique(n[usable]):
        rows = np.flatnonzero(usable & (n == size))
        for place, width in enumerate(widths):
            if width > size:
                continue
            sets = _sets(int(size), width, seed)
            step = max(1, _CHUNK // sets.size)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                codes, marks, *values = (
                    table[part][:, sets].reshape(-1, width)
                    for table in (answer, correct == 1, *used.values())
                )
                score = scorer.score(
                    np.repeat(part, len(sets)), codes, **dict(zip(used, values, strict=True))
                )
                for target, weight, sums in (
                    (result.best_of_n, score, False),
                    (result.weighted_best_of_n, score, True),
                    (result.vote, np.ones(codes.shape), True),
                ):
                    chance = _pick(codes, marks, weight, sums=sums)
                    target[part, place] = chance.reshape(len(part), len(sets)).mean(axis=1)
    return result


def learned_selection(
    log: SampleLog,
    generator: str,
    *,
    widths: Sequence[int] = (1, 2, 4, 8, 16),
    seed: int = 0,
    n_folds: int = 5,
) -> SelectionAccuracy:
    """Fit a learned verifier and return what picking by it delivers, cross-fitted by group.

    Parameters
    ----------
    log, generator, seed, n_folds
        As in `fit_correctness`.
    widths : sequence of int
        N, each at least 1.

    Raises
    ------
    InvalidInputError
        As `fit_correctness`.
    """
    fit = fit_correctness(log, generator, seed=seed, n_folds=n_folds)
    return selection_accuracy(log.pool(generator), fit.cross_fitted, widths, seed=seed)


def _sets(n_samples: int, width: int, seed: int) -> NDArray[np.int64]:
    """Return sets of positions, shape (D, width)."""
    n_draws = min(max(_SAMPLES // width, _LEAST_DRAWS), _MOST_DRAWS)
    every = all_subsets(n_samples, width, n_draws)
    return subsets(n_samples, width, n_draws, seed) if every is None else every


def _pick(
    answer: NDArray[np.int32], correct: NDArray[np.bool_], weight: NDArray[np.float64], *, sums: bool
) -> NDArray[np.float64]:
    """Return P(right) of the pick in each set, shape (B,); ties are shared evenly among the tied."""
    valid = answer >= 0
    value, share = weight, np.ones(weight.shape)
    if sums:
        group = group_codes(answer)
        value = np.take_along_axis(group_sums(weight, group, valid), group, axis=1)
        # Each answer once, however many samples gave it, so that a tie of answers is shared among answers.
        count = np.take_along_axis(group_sums(np.ones(weight.shape), group, valid), group, axis=1)
        share = 1 / np.maximum(count, 1)
    value = np.where(valid, value, -np.inf)
    best = valid & (value >= value.max(-1, keepdims=True) - 1e-12)
    total = np.where(best, share, 0.0).sum(-1)
    right = np.where(best & correct, share, 0.0).sum(-1)
    chance: NDArray[np.float64] = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
    return chance
