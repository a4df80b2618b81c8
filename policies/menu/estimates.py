"""What strategies over independent samples are worth: the exact estimator of each, on the samples of a pool.

Estimators count no answer at all as 0; what it is worth where samples earn rewards is added here. Chains,
recorded runs and picks by a learned verifier are left to `policies.menu.curves`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_mean
from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.contrast import contrast_curve, variance_curve
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k_curve
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from difficulty.log.sample_pool import ChainPool, SamplePool
from policies.course.selection import LOGPROB
from policies.menu.signals import recorded_signals

Estimator: TypeAlias = Callable[[SamplePool, slice, NDArray[np.int_], str, int], FloatArray]
"""Pool, which of its samples, widths, name of the verifier, seed: value, shape (P, W)."""


def _vote(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
    if widths.max() == 1:
        return _rates(pool, columns)[:, None]
    worth, nothing = selectable(pool, columns)
    value = majority_vote_accuracy(pool.answer[:, columns], worth, widths) + nothing
    # One sample needs no vote: its correctness counts even where its answer was not recorded.
    value[:, widths == 1] = _rates(pool, columns)[:, None]
    value[pool.counts_only[:, None] & (widths > 1)] = np.nan
    return value


def _best(pool: SamplePool, columns: slice, widths: NDArray[np.int_], verifier: str, _: int) -> FloatArray:
    correct, answer = pool.correct[:, columns], pool.answer[:, columns]
    scores = _scores(pool, verifier)[:, columns]
    # Where answers are recorded, a sample without one is never selected, as in the strategy.
    unrecorded = pool.worth is None and bool(((answer == -1) & (correct == 1)).any())
    if unrecorded or not bool((answer >= 0).any()):
        return best_of_n_accuracy(scores, pool.value[:, columns], widths)
    worth, nothing = selectable(pool, columns)
    return best_of_n_accuracy(scores, worth, widths, answer=answer) + nothing


def _weighted(
    pool: SamplePool, columns: slice, widths: NDArray[np.int_], verifier: str, seed: int
) -> FloatArray:
    worth, nothing = selectable(pool, columns)
    scores = _scores(pool, verifier)[:, columns]
    return weighted_vote_accuracy(pool.answer[:, columns], scores, worth, widths, seed=seed).mean + nothing


def _by_counts(curve: Callable[..., FloatArray]) -> Estimator:
    """Return the estimator of a curve that needs no more than how many samples are right."""

    def estimate(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
        correct = pool.correct[:, columns]
        return curve((correct >= 0).sum(axis=1), (correct == 1).sum(axis=1), widths)

    return estimate


ESTIMATORS: Final[dict[str, Estimator]] = {
    "majority_vote": _vote,
    "best_of_n": _best,
    "weighted_best_of_n": _weighted,
    "first_success": _by_counts(pass_at_k_curve),
}
"""By strategy over independent samples."""
GROUPS: Final[dict[str, Estimator]] = {
    "contrast": _by_counts(contrast_curve),
    "variance": _by_counts(variance_curve),
}
"""By objective over groups of rollouts, in place of the vote."""


def _scores(pool: SamplePool, verifier: str) -> FloatArray:
    """Return a recorded signal, NaN where the log has none of that name; a mean log-probability becomes a
    probability, so that sums of it make sense.
    """
    values = recorded_signals(pool).get(verifier, np.full_like(pool.score, np.nan))
    return np.exp(values) if verifier == LOGPROB else values


def _rates(pool: SamplePool, columns: slice) -> FloatArray:
    """Return the mean value of the samples whose value is known, shape (P,)."""
    return row_mean(pool.value[:, columns])


def selectable(
    recorded: SamplePool | ChainPool, columns: slice
) -> tuple[FloatArray | NDArray[np.int8], FloatArray]:
    """Return what samples are worth beyond no answer at all, and what that is worth, shape (P, 1).

    Where nobody answers, nothing is selected: that is never right, and earns the rewards that abstentions
    earned. Estimators count it as 0.
    """
    if recorded.worth is None:
        return recorded.correct[:, columns], np.zeros((len(recorded.n), 1))
    value, silent = recorded.worth[:, columns], recorded.answer[:, columns] == -1
    nothing = np.nan_to_num(row_mean(np.where(silent, value, np.nan).reshape(len(value), -1)))
    apart = nothing.reshape(-1, *[1] * (value.ndim - 1))
    return np.where(silent, 0.0, value - apart), nothing[:, None]
