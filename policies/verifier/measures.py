"""How good a learned score is by itself: Brier score, calibration, and telling right from wrong in a prompt.

It assumes scores from models that did not learn from the prompts. What picking by the score delivers is left
to `policies.verifier.selection`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.sample_pool import SamplePool
from policies.verifier.learned_verifier import LearnedScorer

# The samples of a prompt that are scored together, at most.
_TOGETHER: Final = 16
_N_BINS: Final = 10


class ScoreMeasures(NamedTuple):
    """Measures of P(correct) on the answered samples of many prompts.

    Attributes
    ----------
    brier, base_brier : float
        Mean squared error of the score, and of the constant share of right samples.
    calibration_error : float
        See `calibration_error`.
    auc : float
        Chance that a right sample is scored above a wrong one of the same prompt; ties count half, each
        prompt the same. NaN where no prompt has both.
    """

    brier: float
    base_brier: float
    calibration_error: float
    auc: float


def measure_scores(pool: SamplePool, scorer: LearnedScorer) -> ScoreMeasures:
    """Score the first 16 samples of each prompt as one set and say how good the scores are.

    Parameters
    ----------
    pool : SamplePool
        Marked samples of P prompts; prompts that lack what the score needs are left out.
    scorer : LearnedScorer
        Its rows are those of the pool.

    Raises
    ------
    InvalidInputError
        When no prompt is left.
    """
    answer, correct = pool.answer[:, :_TOGETHER], pool.correct[:, :_TOGETHER]
    used = {name: getattr(pool, name)[:, :_TOGETHER] for name in scorer.columns}
    answered = answer >= 0
    usable = answered.any(axis=1) & ~(answered & (correct < 0)).any(axis=1)
    for values in used.values():
        usable &= ~(answered & ~np.isfinite(values)).any(axis=1)
    rows = np.flatnonzero(usable)
    if not rows.size:
        raise InvalidInputError(
            f"no prompt has marked samples of {pool.generator!r} with all that its learned verifier reads"
        )
    columns = {name: values[rows] for name, values in used.items()}
    score = scorer.score(rows, answer[rows], **columns)
    answered, right = answered[rows], correct[rows] == 1
    chance, truth = score[answered], right[answered].astype(np.float64)
    return ScoreMeasures(
        brier=float(np.mean((chance - truth) ** 2)),
        base_brier=float(np.var(truth)),
        calibration_error=calibration_error(chance, truth),
        auc=_auc(score, answered & right, answered & ~right),
    )


def calibration_error(chance: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the mean absolute gap between predicted and observed share over ten bins of equal size.

    Parameters
    ----------
    chance, truth : ndarray of float64, shape (R,)
        Predicted, and 1 where it happened, else 0.

    Examples
    --------
    >>> calibration_error(np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    0.5
    """
    order = np.argsort(chance, kind="stable")
    bins = [part for part in np.array_split(order, _N_BINS) if part.size]
    gaps = [abs(chance[part].mean() - truth[part].mean()) * part.size for part in bins]
    return float(sum(gaps) / len(chance))


def _auc(score: NDArray[np.float64], right: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> float:
    """Return the mean over prompts of the chance that a right sample is scored above a wrong one."""
    difference = np.sign(score[:, :, None] - score[:, None, :]) / 2 + 0.5
    pairs = right[:, :, None] & wrong[:, None, :]
    n_pairs = pairs.sum(axis=(1, 2))
    both = n_pairs > 0
    if not both.any():
        return float("nan")
    return float(np.mean(np.where(pairs, difference, 0.0).sum(axis=(1, 2))[both] / n_pairs[both]))
