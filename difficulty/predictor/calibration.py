"""Score predicted success rates against counts: Brier, CRPS, explained share, reliability.

Counts are noisy rates, so each score that compares with the true rate has the expected sampling noise taken
off it; what remains is the predictor's own error. It assumes at least two samples of each prompt, which are
independent given the prompt's rate. What is scored is left to `training.evaluation.belief_scores`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray

# Prompts scored at a time against some thousand support points each.
_CHUNK_ROWS: Final = 256


class ReliabilityCurve(NamedTuple):
    """Observed against predicted rates in B bins of about equally many prompts; each field has shape (B,).

    Attributes
    ----------
    predicted, observed : numpy.ndarray
        Mean predicted rate, weighted by samples, and share of correct samples.
    lower, upper : numpy.ndarray
        Interval for the observed rate.
    n : numpy.ndarray
        Prompts of each bin.
    """

    predicted: FloatArray
    observed: FloatArray
    lower: FloatArray
    upper: FloatArray
    n: NDArray[np.int64]


def brier_score(p: FloatArray, rate: FloatArray, noise: FloatArray) -> float:
    """Return an unbiased estimate of the mean squared error of predicted rates; below zero by chance.

    Parameters
    ----------
    p : ndarray of float64, shape (P,)
        Predicted success rates in [0, 1].
    rate : ndarray of float64, shape (P,)
        Observed ones.
    noise : ndarray of float64, shape (P,)
        Unbiased estimates of their variance from sampling: with c right among n samples,
        c (n - c) / (n**2 (n - 1)).

    References
    ----------
    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> round(brier_score(np.array([0.5, 0.5]), np.array([0.25, 0.75]), np.array([0.0625, 0.0625])), 4)
    0.0
    """
    return float(((p - rate) ** 2 - noise).mean())


def explained_share(p: FloatArray, rate: FloatArray, noise: FloatArray) -> float:
    """Return the share of the variance of the *true* rates that a prediction explains.

    It is R squared with sampling noise removed from numerator and denominator: 1 for the true rates, 0 for
    their mean, below 0 for worse than the mean. Parameters as in `brier_score`.

    Returns
    -------
    float
        At most about 1; NaN with fewer than two prompts, or when rates do not vary beyond sampling noise.

    Examples
    --------
    >>> rates = np.array([0.0, 0.5, 1.0])
    >>> explained_share(rates, rates, np.zeros(3))
    1.0
    """
    spread = noise.mean()
    variance = float(np.var(rate, ddof=1) - spread) if rate.size > 1 else 0.0
    if variance <= 0:
        return float("nan")
    return float(1.0 - (np.mean((p - rate) ** 2) - spread) / variance)


def rate_crps(support: FloatArray, weights: FloatArray, rate: FloatArray) -> float:
    """Return the mean continuous ranked probability score of rate distributions against observed rates.

    Parameters
    ----------
    support : ndarray of float64, shape (S,)
        Success rates in [0, 1], ascending.
    weights : ndarray of float64, shape (P, S) or (1, S)
        Shares of the support points for each prompt, or for all.
    rate : ndarray of float64, shape (P,)
        Observed rates.

    Returns
    -------
    float
        Mean of the integral over x of (F(x) - 1[x >= rate])**2; 0 is perfect. The observed rate is noisy:
        this compares predictors on the same counts.

    References
    ----------
    Gneiting, Raftery 2007, doi:10.1198/016214506000001437, eq. 21.

    Examples
    --------
    >>> rate_crps(np.array([0.0, 1.0]), np.array([[0.5, 0.5]]), np.array([0.5]))
    0.25
    """
    gaps, scores = np.diff(support), np.empty(len(rate))
    for start in range(0, len(rate), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        observed = rate[part, None]
        # The integrand is constant between neighbours among support points and the observed rate.
        below = np.clip(observed - support[:-1], 0.0, gaps)
        above = gaps - below
        cdf = np.cumsum(weights if len(weights) == 1 else weights[part], axis=1)[:, :-1]
        inside = (cdf**2 * below + (1.0 - cdf) ** 2 * above).sum(axis=1)
        outside = np.maximum(support[0] - observed, 0.0) + np.maximum(observed - support[-1], 0.0)
        scores[part] = inside + outside[:, 0]
    return float(scores.mean())


def reliability_curve(
    p: FloatArray, n: NDArray[np.integer], n_correct: FloatArray, *, n_bins: int
) -> ReliabilityCurve:
    """Bin prompts by predicted rate and compare with what was observed, with 95 % intervals.

    Parameters
    ----------
    p : ndarray of float64, shape (P,)
        As in `brier_score`.
    n, n_correct : ndarray, shape (P,)
        Samples and correct samples per prompt, or sums of rewards in [0, 1].
    n_bins : int
        Bins at most, >= 1; equal predictions stay in one bin.

    Notes
    -----
    Wilson intervals with an effective number of samples: prompts in a bin differ, so that samples
    of one prompt tell less than as many prompts would. It follows from the variance between prompts of the
    ratio estimator, is at most the number of samples, and is the number of prompts where every sample agrees.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> p, n, n_correct = np.array([0.1, 0.1, 0.9, 0.9]), np.full(4, 5), np.array([0.0, 1.0, 4.0, 5.0])
    >>> reliability_curve(p, n, n_correct, n_bins=2).observed.tolist()
    [0.1, 0.9]
    """
    from scipy.special import ndtri

    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))
    _, member = np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)
    n_prompts = np.bincount(member)
    n_samples = np.bincount(member, n)
    observed = np.bincount(member, n_correct) / n_samples
    spread = np.bincount(member, (n_correct - observed[member] * n) ** 2)
    variance = spread / n_samples**2 * n_prompts / np.maximum(n_prompts - 1, 1)
    binomial = observed * (1.0 - observed)
    known = (variance > 0) & (binomial > 0)
    effective = np.where(known, binomial / np.where(known, variance, 1.0), n_prompts)
    effective = np.clip(effective, 1.0, n_samples)
    z = float(ndtri(0.975))
    scale = 1.0 + z**2 / effective
    centre = (observed + z**2 / (2.0 * effective)) / scale
    half = z / scale * np.sqrt(binomial / effective + z**2 / (4.0 * effective**2))
    return ReliabilityCurve(
        predicted=np.bincount(member, p * n) / n_samples,
        observed=observed,
        lower=np.maximum(centre - half, 0.0),
        upper=np.minimum(centre + half, 1.0),
        n=n_prompts,
    )
