"""Means of labels, mended by the prompts whose truth is known, with intervals that include the error.

The mean over all prompts of what labels say is off by what it is off on graded prompts, give or take the
noise of these. It assumes that graded prompts were drawn at random; how labels came about does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import interval


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


def rectified(label: FloatArray, truth: FloatArray, weights: FloatArray) -> Rectified:
    """Return the mean truth over all prompts.

    Parameters
    ----------
    label : ndarray of float64, shape (P,)
        What labels say of each prompt.
    truth : ndarray of float64, shape (P,)
        What is so; NaN where nobody knows. Some prompts are known.
    weights : ndarray of float64, shape (R, P)
        Of a bootstrap over groups, the plain mean first (`training.frontier.bootstrap_weights`).

    Notes
    -----
    Prediction-powered inference with a tuned weight: with n graded prompts of P, the mean of ``t * label``
    over all plus that of ``truth - t * label`` over graded ones, where ``t`` is the least squares slope of
    truth on label among these, kept in [0, 1] and shrunk by ``1 - n / P``: labels that tell nothing are not
    used, and where all are graded the mean is that of the truth. The percentile interval draws groups of
    prompts, graded and ungraded ones together.

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
    graded = weights[:, known]
    mass = graded.sum(axis=1, keepdims=True)
    graded = np.where(mass > 0, graded / np.where(mass > 0, mass, 1.0), 1 / len(real))
    whole = weights / weights.sum(axis=1, keepdims=True)
    means = trust * (whole @ label) + graded @ (real - trust * told)
    low, high = interval(means[1:])
    return Rectified(float(means[0]), (low, high), float(whole[0] @ label), trust)
