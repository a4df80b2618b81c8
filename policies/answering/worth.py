"""What drawing for a prompt is worth where errors and silence have prices, before anything is drawn.

A plan is worth what calibration prompts that were told the same chance of success brought in the end, with
their answers given or withheld as they will be. It assumes that what is told of prompts to come is as true as
what is told out of fold. Choosing by it is left to `planner.planning.priced_answers`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from policies.answering.answering import Answering, AnswerPrice

# Calibration prompts whose mean tells what a told chance is worth: a share of them, and so many at least.
_SHARE: Final = 0.1
_FEWEST: Final = 20


def worth_over_silence(known: Answering, told: FloatArray, price: AnswerPrice) -> FloatArray:
    """Return what plans are worth beyond no answer at all, shape (N, L); 0 where no answer would be given.

    Parameters
    ----------
    known : Answering
        What a bundle knows of being right.
    told : ndarray of float64, shape (N, L)
        Told chance that the answer is right, of N prompts at all levels of the policy.
    price : AnswerPrice
        Of errors and of silence.

    Notes
    -----
    Beyond silence, a right answer is worth 1 + a, a wrong one a - w, a withheld one nothing. The mean of the
    calibration prompts that were told about the same never falls with what was told; levels between those
    that were played take from both neighbours.
    """
    levels = np.arange(told.shape[1])
    played, curves = [], []
    for way in np.flatnonzero(known.levels >= 0).tolist():
        curve = _curve(known, way, price)
        if curve is not None:
            played.append(int(known.levels[way]))
            curves.append(curve)
    if not played:
        return np.zeros_like(told)
    order = np.argsort(played)
    at = np.array(played)[order]
    after = np.searchsorted(at, levels).clip(0, len(at) - 1)
    before = np.maximum(after - (at[after] > levels), 0)
    gap = np.maximum(at[after] - at[before], 1)
    share = ((levels - at[before]) / gap).clip(0.0, 1.0)
    found = np.empty_like(told)
    for level in levels.tolist():
        low, high = (np.interp(told[:, level], *curves[order[end[level]]]) for end in (before, after))
        found[:, level] = (1 - share[level]) * low + share[level] * high
    return found


def _curve(known: Answering, way: int, price: AnswerPrice) -> tuple[FloatArray, FloatArray] | None:
    """Return told chances, and what plans that told them were worth; None where nobody knows."""
    told, confidence = known.told[:, way], known.confidence[:, way]
    rows = np.flatnonzero(~np.isnan(told) & ~np.isnan(confidence))
    if len(rows) < _FEWEST:
        return None
    rows = rows[np.argsort(told[rows], kind="stable")]
    given = (confidence[rows] > 0) & (confidence[rows] >= price.threshold)
    worth = np.where(given, np.where(known.correct[rows, way], 1 + price.none, price.none - price.wrong), 0.0)
    size = min(max(_FEWEST, round(_SHARE * len(rows))), len(rows))
    means = _means(worth, size)
    rising = np.maximum.accumulate(means) + np.minimum.accumulate(means[::-1])[::-1]
    return _means(told[rows], size), rising / 2


def _means(values: FloatArray, size: int) -> FloatArray:
    """Return the means of all runs of some size."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((total[size:] - total[:-size]) / size)
