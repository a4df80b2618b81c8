"""Which of several ways to answer are tested, and how much of the chance to miss a target each test may use.

The way that answers most is taken, so that the luckiest of equal ways is: ways whose errors come apart need
stricter tests than ways that err together, and ways far from the target need none. It assumes confidence out
of fold. The test of one way is left to `policies.answering.risk`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from policies.answering.risk import ALONE, in_reach

# Ways that are tested: those that promise the most answers by their confidence alone, which costs no chance.
_TESTED: Final = 6
_DRAWS: Final = 2000


def parts_of_chance(
    confidence: FloatArray,
    correct: NDArray[np.bool_],
    target_risk: float,
    *,
    sure: float,
    batch: int | None = None,
) -> FloatArray:
    """Return the part that the test of each way may use, shape (K,); 0 for ways that are not tested.

    Parameters
    ----------
    confidence : ndarray of float64, shape (P, K)
        Of calibration prompts, out of fold; -inf where there is no answer, NaN where nothing was played.
    correct : ndarray of bool, shape (P, K)
        Whether answers are right.
    target_risk, sure, batch
        As in `policies.answering.risk.choose_threshold`.

    Notes
    -----
    Were all tested ways just at the target, the greatest of their standardised errors would be the maximum of
    correlated normal numbers; each may use the chance at which that maximum misses by 1 - `sure`. Ways that
    are out of reach of luck at every threshold do not count (moment selection).

    References
    ----------
    Westfall, Young 1993, "Resampling-Based Multiple Testing", for the maximum under dependence. Andrews,
    Soares 2010, Econometrica 78:119, doi:10.3982/ECTA7502, section 4, for leaving out what does not bind.
    """
    promised = np.array([_promised(column, target_risk) for column in confidence.T])
    tested = np.argsort(-promised, kind="stable")[:_TESTED]
    errors = []
    for way in tested.tolist():
        known = ~np.isnan(confidence[:, way])
        least = in_reach(confidence[known, way], correct[known, way], target_risk, sure=sure, batch=batch)
        if least is not None:
            given = np.where(known, confidence[:, way], -np.inf) >= least
            errors.append(given * (~correct[:, way] - target_risk))
    parts = np.zeros(confidence.shape[1])
    parts[tested] = ALONE * _share(np.array(errors), 1 - sure)
    return parts


def _promised(confidence: FloatArray, target_risk: float) -> float:
    """Return which share of the prompts could be answered at a risk if confidence were right."""
    ranked = -np.sort(-confidence[np.isfinite(confidence)])
    if not len(ranked):
        return -1.0
    error = np.cumsum(1 - ranked) / np.arange(1, len(ranked) + 1)
    kept = np.flatnonzero(error <= target_risk)
    return (kept[-1] + 1) / len(confidence) if len(kept) else -float(error[: len(error) // 10 + 1].mean())


def _share(errors: FloatArray, miss: float) -> float:
    """Return the part of the chance to miss that each of correlated tests may use."""
    from scipy.stats import norm  # scipy costs more than the import budget of the planner

    apart = [row - row.mean() for row in errors if row.std() > 0]
    if len(apart) < 2:
        return 1.0
    unit = np.array([row / np.linalg.norm(row) for row in apart])
    drawn = np.random.default_rng(0).standard_normal((_DRAWS, unit.shape[1])) @ unit.T
    return min(float(norm.sf(np.quantile(drawn.max(axis=1), 1 - miss))) / miss, 1.0)
