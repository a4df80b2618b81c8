"""What picking by a learned verifier delivers: best-of-N and weighted vote, cross-fitted over prompts.

Its score of a sample depends on the set it was drawn in, so that closed forms do not apply and sets are
drawn; the same sets serve all ways to pick. Planning with these curves is left to the policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.sample_log import SampleLog
from policies.learned_verifier_fit import draw_sets, fit_correctness, fold_prompts

__all__ = ["SelectionAccuracy", "learned_selection"]


class SelectionAccuracy(NamedTuple):
    """Expected accuracy of picking by the learned score, cross-fitted, for P prompts and W widths.

    Parameters
    ----------
    widths : tuple of int, length W
        Samples drawn, N.
    best_of_n, weighted_vote, vote : ndarray, shape (P, W)
        Probability that the pick is right: highest score; largest sum of scores; plain majority. NaN where a
        prompt has fewer than N samples.
    """

    widths: tuple[int, ...]
    best_of_n: NDArray[np.float64]
    weighted_vote: NDArray[np.float64]
    vote: NDArray[np.float64]


def learned_selection(
    log: SampleLog,
    generator: str,
    *,
    widths: Sequence[int] = (1, 2, 4, 8, 16),
    n_draws: int = 32,
    seed: int = 0,
    n_folds: int = 5,
) -> SelectionAccuracy:
    """Return the expected accuracy of picking by a learned verifier, beside that of the plain vote.

    Parameters
    ----------
    log, generator, seed, n_folds
        As `fit_correctness`.
    widths : sequence of int
        N, each at least 1.
    n_draws : int
        Sets drawn per prompt and width; the same sets serve all three ways to pick.

    Raises
    ------
    InvalidInputError
        As `fit_correctness`.
    """
    pool, folds = fold_prompts(log, generator, seed=seed, n_folds=n_folds)
    shape = (len(pool.n), len(widths))
    result = SelectionAccuracy(tuple(widths), *(np.full(shape, np.nan) for _ in range(3)))
    for fold in range(n_folds):
        others = log.select([p.id for p, f in zip(log.prompts, folds, strict=True) if f != fold])
        model = fit_correctness(others, generator, seed=seed, n_folds=n_folds)
        for place, width in enumerate(widths):
            members = np.flatnonzero((folds == fold) & (pool.n >= width))
            if members.size == 0:
                continue
            rng = np.random.default_rng([seed, 2, fold, place])
            rows, picks = draw_sets(pool.n[members], width, n_draws, rng, members)
            answer, correct = pool.answer[rows, picks], pool.correct[rows, picks] == 1
            used = {name: getattr(pool, name)[rows, picks] for name in model.columns}
            score = model.predict(answer, **used)
            for target, weight, sums in (
                (result.best_of_n, score, False),
                (result.weighted_vote, score, True),
                (result.vote, (answer >= 0).astype(float), True),
            ):
                right = _pick(answer, correct, weight, sums=sums)
                target[members, place] = right.reshape(len(members), n_draws).mean(-1)
    return result


def _pick(
    answer: NDArray[np.int32], correct: NDArray[np.bool_], weight: NDArray[np.float64], *, sums: bool
) -> NDArray[np.float64]:
    """Return P(right) of the pick in each set, shape (B,); ties are shared evenly among the tied samples."""
    valid = answer >= 0
    if sums:
        same = (answer[:, :, None] == answer[:, None, :]) & valid[:, :, None]
        value = np.where(same, np.where(valid, weight, 0.0)[:, None, :], 0.0).sum(-1)
        # Each answer once, however many samples gave it, so that a tie of answers is shared among answers.
        share = 1 / np.maximum(same.sum(-1), 1)
    else:
        value, share = weight, np.ones(weight.shape)
    value = np.where(valid, value, -np.inf)
    best = valid & (value >= value.max(-1, keepdims=True) - 1e-12)
    total = np.where(best, share, 0.0).sum(-1)
    right = np.where(best & correct, share, 0.0).sum(-1)
    chance: NDArray[np.float64] = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
    return chance
