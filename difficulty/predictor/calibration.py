"""Score predicted success rates against counts: Brier, CRPS, explained share, reliability.

Counts are noisy rates, so each score that compares with the true rate has the expected sampling noise taken
off it; what remains is the predictor's own error. It assumes that the samples of one prompt are independent
given the prompt's rate. Mending a miscalibrated prediction is left to `calibrators`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError


class BrierScore(NamedTuple):
    """Mean squared error of predicted rates.

    Attributes
    ----------
    raw : float
        Mean of (p - n_correct / n)**2.
    noise : float
        The part of `raw` that is expected from sampling alone; NaN when no prompt has two samples.
    corrected : float
        Unbiased estimate of the mean of (p - true rate)**2 over prompts with n >= 2; below zero by chance.
    """

    raw: float
    noise: float
    corrected: float


class ReliabilityCurve(NamedTuple):
    """Observed against predicted rates in B bins of about equally many prompts; each field has shape (B,).

    Attributes
    ----------
    predicted, observed : numpy.ndarray
        Mean predicted rate, weighted by n, and share of correct samples.
    lower, upper : numpy.ndarray
        Interval for the observed rate.
    n_prompts, n_samples : numpy.ndarray
        What each bin holds.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    n_prompts: NDArray[np.int64]
    n_samples: NDArray[np.int64]


def brier_score(
    *, p: ArrayLike, n: ArrayLike, n_correct: ArrayLike, noise: ArrayLike | None = None
) -> BrierScore:
    """Return the mean squared error of predicted rates, raw and with sampling noise removed.

    Parameters
    ----------
    p : array_like, shape (P,)
        Predicted success rates in [0, 1].
    n, n_correct : array_like, shape (P,)
        Samples and correct samples per prompt, or sums of rewards in [0, 1]; prompts with n = 0 are left
        out.
    noise : array_like, shape (P,), optional
        Variance of each ``n_correct / n`` from sampling, of prompts with n >= 2; by default that of samples
        which are right or wrong.

    Raises
    ------
    InvalidInputError
        When shapes differ, a rate is outside [0, 1], n_correct is outside [0, n], or no prompt has a sample.

    Notes
    -----
    With n independent samples, c (n - c) / (n**2 (n - 1)) is an unbiased estimate of the variance of c / n.

    References
    ----------
    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> score = brier_score(p=[0.5, 0.5], n=[4, 4], n_correct=[1, 3])
    >>> round(score.raw, 4), round(score.noise, 4), round(score.corrected, 4)
    (0.0625, 0.0625, 0.0)
    """
    rate, n_, c = check_counts(p, n, n_correct)
    error = (rate - c / n_) ** 2
    many = n_ >= 2
    if not many.any():
        return BrierScore(float(error.mean()), float("nan"), float("nan"))
    own = _noise(n_, c, noise, n)[many]
    return BrierScore(float(error.mean()), float(own.mean()), float((error[many] - own).mean()))


def explained_share(
    *, p: ArrayLike, n: ArrayLike, n_correct: ArrayLike, noise: ArrayLike | None = None
) -> float:
    """Return the share of the variance of the *true* rates that a prediction explains.

    It is R squared with sampling noise removed from numerator and denominator: 1 for the true rates, 0 for
    their mean, below 0 for worse than the mean. Parameters and errors as in `brier_score`.

    Returns
    -------
    float
        At most about 1; NaN when fewer than two prompts have two samples or more, or when the rates do not
        vary beyond sampling noise.

    Examples
    --------
    >>> explained_share(p=[0.0, 0.5, 1.0], n=[9, 9, 9], n_correct=[0, 4, 9]) > 0.95
    True
    """
    rate, n_, c = check_counts(p, n, n_correct)
    many = n_ >= 2
    own = _noise(n_, c, noise, n)[many]
    rate, n_, c = rate[many], n_[many], c[many]
    if rate.size < 2:
        return float("nan")
    spread = own.mean()
    variance = float(np.var(c / n_, ddof=1) - spread)
    if variance <= 0:
        return float("nan")
    return float(1.0 - (np.mean((rate - c / n_) ** 2) - spread) / variance)


def rate_crps(*, support: ArrayLike, weights: ArrayLike, n: ArrayLike, n_correct: ArrayLike) -> float:
    """Return the mean continuous ranked probability score of rate distributions against observed rates.

    Parameters
    ----------
    support : array_like, shape (S,)
        Success rates in [0, 1], ascending.
    weights : array_like, shape (P, S)
        Non-negative weights of the support points for each prompt; rows are normalised.
    n, n_correct : array_like, shape (P,)
        Samples and correct samples per prompt; prompts with n = 0 are left out.

    Returns
    -------
    float
        Mean of the integral over x of (F(x) - 1[x >= n_correct / n])**2; 0 is perfect. The observed rate is
        noisy: this compares predictors on the same counts, and `count_crps` is the one that is proper for
        counts.

    Raises
    ------
    InvalidInputError
        When shapes do not fit, the support does not ascend within [0, 1], or weights are negative or sum to
        zero.

    References
    ----------
    Gneiting, Raftery 2007, doi:10.1198/016214506000001437, eq. 21.

    Examples
    --------
    >>> rate_crps(support=[0.0, 1.0], weights=[[0.5, 0.5]], n=[2], n_correct=[1])
    0.25
    """
    points, shares, n_, c = _distribution(support, weights, n, n_correct)
    observed = (c / n_)[:, None]
    # The integrand is constant between neighbours among support points and the observed rate.
    below = np.clip(observed - points[:-1], 0.0, np.diff(points))
    above = np.diff(points) - below
    cdf = np.cumsum(shares, axis=1)[:, :-1]
    inside = (cdf**2 * below + (1.0 - cdf) ** 2 * above).sum(axis=1)
    outside = np.maximum(points[0] - observed, 0.0) + np.maximum(observed - points[-1], 0.0)
    return float((inside + outside[:, 0]).mean())


def reliability_curve(
    *, p: ArrayLike, n: ArrayLike, n_correct: ArrayLike, n_bins: int = 10
) -> ReliabilityCurve:
    """Bin prompts by predicted rate and compare with what was observed, with 95 % intervals.

    Parameters
    ----------
    p, n, n_correct : array_like, shape (P,)
        As in `brier_score`.
    n_bins : int, default 10
        Bins at most, >= 1; equal predictions stay in one bin.

    Raises
    ------
    InvalidInputError
        As in `brier_score`, and when `n_bins` is below 1.

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
    >>> curve = reliability_curve(p=[0.1, 0.1, 0.9, 0.9], n=[5] * 4, n_correct=[0, 1, 4, 5], n_bins=2)
    >>> curve.observed.tolist(), curve.n_samples.tolist()
    ([0.1, 0.9], [10, 10])
    """
    if n_bins < 1:
        raise InvalidInputError(f"n_bins must be an integer >= 1, got {n_bins!r}")
    from scipy.special import ndtri

    rate, n_, c = check_counts(p, n, n_correct)
    edges = np.unique(np.quantile(rate, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))
    _, member = np.unique(np.searchsorted(edges, rate, side="left"), return_inverse=True)
    n_prompts = np.bincount(member)
    n_samples = np.bincount(member, n_)
    observed = np.bincount(member, c) / n_samples
    spread = np.bincount(member, (c - observed[member] * n_) ** 2)
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
        predicted=np.bincount(member, rate * n_) / n_samples,
        observed=observed,
        lower=np.maximum(centre - half, 0.0),
        upper=np.minimum(centre + half, 1.0),
        n_prompts=n_prompts,
        n_samples=n_samples.astype(np.int64),
    )


def _noise(
    n: NDArray[np.float64], c: NDArray[np.float64], noise: ArrayLike | None, recorded: ArrayLike
) -> NDArray[np.float64]:
    """Return the variance of c / n where n >= 2: the given one, or the unbiased estimate for counts."""
    if noise is not None:
        return np.asarray(noise, dtype=np.float64)[np.asarray(recorded) > 0]
    return c * (n - c) / (n**2 * np.maximum(n - 1.0, 1.0))


def check_counts(
    p: ArrayLike, n: ArrayLike, n_correct: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Validate predictions and counts, all of shape (P,), and leave out prompts without samples.

    Raises
    ------
    InvalidInputError
        When shapes differ, a rate is outside [0, 1], n_correct is outside [0, n], or no prompt has a sample.

    Examples
    --------
    >>> [values.tolist() for values in check_counts([0.5, 0.1], [0, 4], [0, 1])]
    [[0.1], [4.0], [1.0]]
    """
    rate, n_, c = (np.asarray(values, dtype=np.float64) for values in (p, n, n_correct))
    if rate.ndim != 1 or rate.shape != n_.shape or rate.shape != c.shape:
        raise InvalidInputError(
            f"p, n and n_correct must have one shape (P,), got {rate.shape}, {n_.shape} and {c.shape}"
        )
    if not ((n_ >= 0) & (c >= 0) & (c <= n_)).all():
        raise InvalidInputError("n_correct must lie in [0, n] for every prompt")
    some = n_ > 0
    if not some.any():
        raise InvalidInputError("a score needs at least one prompt with a sample")
    if not ((rate[some] >= 0) & (rate[some] <= 1)).all():
        raise InvalidInputError("predicted rates must lie in [0, 1] and not be NaN")
    return rate[some], n_[some], c[some]


def _distribution(
    support: ArrayLike, weights: ArrayLike, n: ArrayLike, n_correct: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Validate distributions over rates and counts, and normalise the weights."""
    points = np.asarray(support, dtype=np.float64)
    shares = np.asarray(weights, dtype=np.float64)
    if points.ndim != 1 or shares.ndim != 2 or shares.shape[1] != points.size or not points.size:
        raise InvalidInputError(
            f"support must have shape (S,) and weights (P, S), got {points.shape} and {shares.shape}"
        )
    if not ((points >= 0) & (points <= 1)).all() or not (np.diff(points) >= 0).all():
        raise InvalidInputError("support must ascend within [0, 1]")
    totals = shares.sum(axis=1, keepdims=True)
    if not (shares >= 0).all() or not (totals > 0).all():
        raise InvalidInputError("weights must be >= 0 and each row must have a positive sum")
    some = np.asarray(n, dtype=np.float64) > 0
    if some.shape != (len(shares),):
        raise InvalidInputError(f"n must have shape ({len(shares)},), got {some.shape}")
    _, n_, c = check_counts(np.zeros(some.shape), n, n_correct)
    return points, (shares / totals)[some], n_, c
