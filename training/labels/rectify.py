"""Means of labels, mended by the prompts whose truth is known, with intervals that include the error.

The mean over all prompts of what labels say is off by what it is off on graded prompts, give or take the
noise of these and what they are too few to show. It assumes that graded prompts were drawn at random; how
labels came about does not matter.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import interval

# Two prompts at either end of what is possible, added to the graded ones: what none of these shows may be.
_ADDED: Final = 4


class Rectified(NamedTuple):
    """A mean with its 95 % interval, beside what labels alone say.

    Attributes
    ----------
    mean : float
    interval : tuple of float
    labelled : float
        What labels say, unmended.
    trust : float
        In [0, 1]: how much labels of ungraded prompts count beside graded prompts.
    """

    mean: float
    interval: tuple[float, float]
    labelled: float
    trust: float


def rectified(
    label: FloatArray, truth: FloatArray, weights: FloatArray, *, ends: tuple[float, float] = (0.0, 1.0)
) -> Rectified:
    """Return the mean truth over all prompts.

    Parameters
    ----------
    label : ndarray of float64, shape (P,)
        What labels say of each prompt.
    truth : ndarray of float64, shape (P,)
        What is so; NaN where nobody knows. Some prompts are known.
    weights : ndarray of float64, shape (R, P)
        Of a bootstrap over groups, the plain mean first (`training.frontier.bootstrap_weights`).
    ends : tuple of float
        The least and the greatest truth that a prompt may have, as far as few prompts shall be believed.

    Notes
    -----
    Prediction-powered inference with a tuned weight: with n graded prompts of P, the mean of ``t * label``
    over all plus that of ``truth - t * label`` over graded ones, where ``t`` is the least squares slope of
    truth on label among these, kept in [0, 1] and shrunk by ``1 - n / P``: labels that tell nothing are not
    used, and where all are graded the mean is that of the truth. The percentile interval draws groups of
    prompts, graded and ungraded ones together, and is that of `careful_mean`.

    References
    ----------
    Angelopoulos et al. 2023, arXiv 2301.09633; Angelopoulos, Duchi, Zrnic 2023, arXiv 2311.01453 (tuned
    weight). Rogan, Gladen 1978, doi:10.1093/oxfordjournals.aje.a112510, for labels of yes and no.

    Examples
    --------
    >>> label, truth = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, np.nan, np.nan])
    >>> rectified(label, truth, np.ones((101, 4)) / 4).mean
    0.5
    """
    known = ~np.isnan(truth)
    told, real = label[known], truth[known]
    variance = float(((told - told.mean()) ** 2).mean())
    together = float(((told - told.mean()) * (real - real.mean())).mean())
    trust = float(np.clip(together / variance, 0.0, 1.0)) if variance > 0 else 0.0
    trust *= 1 - len(real) / len(label)
    whole = weights / weights.sum(axis=1, keepdims=True)
    least, greatest = (end - trust * float(told.mean()) for end in ends)
    mean, around = careful_mean(
        real - trust * told, weights[:, known], (least, greatest), beside=trust * (whole @ label)
    )
    return Rectified(mean, around, float(whole[0] @ label), trust)


def careful_mean(
    values: FloatArray,
    weights: FloatArray,
    ends: tuple[float, float],
    *,
    beside: FloatArray | float = 0.0,
) -> tuple[float, tuple[float, float]]:
    """Return the mean of values and a 95 % interval that is not sure of what few values cannot show.

    Twenty prompts that are all right do not show that all are. So the interval is wide enough for a second
    bootstrap, too, which also draws from two prompts at either end of what is possible, each a group.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        Of graded prompts.
    weights : ndarray of float64, shape (R, N)
        Of a bootstrap over groups, the plain mean first.
    ends : tuple of float
        The least and the greatest value.
    beside : ndarray of float64, shape (R,), or float
        What is added to each replicate.

    References
    ----------
    Agresti, Coull 1998, doi:10.1080/00031305.1998.10480550, who add two successes and two failures to the
    counts of a share; here for any bounded values, in a bootstrap over groups.

    Examples
    --------
    >>> drawn = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), size=400)
    >>> mean, (low, high) = careful_mean(np.ones(20), np.vstack([np.ones(20), drawn]), (0.0, 1.0))
    >>> mean, bool(0.75 < low < 0.85), high
    (1.0, True, 1.0)
    """
    mass = weights.sum(axis=1)
    some = mass > 0
    means = np.where(some, weights @ values / np.where(some, mass, 1.0), values.mean())
    n_groups = len(np.unique(weights, axis=1).T)
    drawn = n_groups * mass / mass[0]
    added = np.random.default_rng(0).poisson(1.0, (len(weights), _ADDED)).astype(np.float64)
    n = drawn + added.sum(axis=1)
    wider = (drawn * means + added @ np.repeat(ends, _ADDED // 2)) / np.where(n > 0, n, 1.0)
    found = [interval((each + beside)[1:]) for each in (means, np.where(n > 0, wider, means))]
    low, high = min(low for low, _ in found), max(high for _, high in found)
    return float((means + beside)[0]), (low, high)
