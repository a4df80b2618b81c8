"""A beta-binomial model of difficulty: a distribution over the success probability, fitted on counts.

Samples of one prompt are independent given its success probability p, and p is Beta(a, b) distributed over
prompts, except for a share `zero` of prompts that are never solved. Features of the prompt are left to the
predictor; what a gain in pass@k is worth is left to `policies`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError

__all__ = ["BetaBinomial", "fit_beta_binomial"]

_Floats = NDArray[np.float64]

_LOG_BOUND = 7.0
"""Bound on |log a| and |log b| in fits: samples by the hundred cannot tell Beta(1100, 1100) from a point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BetaBinomial:
    """A zero-inflated Beta distribution of the success probability p, for one population or for many at once.

    Parameters
    ----------
    a, b : float or numpy.ndarray of float64
        Shape parameters of the Beta part, > 0 and finite.
    zero : float or numpy.ndarray of float64
        Probability in [0, 1] that p is exactly 0. Arrays broadcast together; scalars stay scalars.

    Raises
    ------
    InvalidInputError
        When a parameter is out of range or shapes do not broadcast.

    References
    ----------
    Kazdan et al., 2025, arXiv:2510.05197 (beta-binomial forecasts of pass@k); Levi, 2024, arXiv:2410.16377
    (the power law in k that it implies). The zero inflation is ours.

    Examples
    --------
    >>> belief = BetaBinomial(a=1.0, b=1.0)
    >>> round(float(belief.pass_at_k(3)), 6), round(float(belief.marginal_gain(1)), 6)
    (0.75, 0.166667)
    >>> belief.posterior(4, 1)
    BetaBinomial(a=2.0, b=4.0, zero=0.0)
    """

    a: float | _Floats
    b: float | _Floats
    zero: float | _Floats = 0.0

    def __post_init__(self) -> None:
        for name in ("a", "b", "zero"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            low_enough = value <= 1 if name == "zero" else np.isfinite(value)
            if not ((value >= 0 if name == "zero" else value > 0) & low_enough).all():
                allowed = "between 0 and 1" if name == "zero" else "finite and > 0"
                raise InvalidInputError(f"{name} must be {allowed}, got {getattr(self, name)!r}")
            object.__setattr__(self, name, float(value) if value.ndim == 0 else value)
        try:
            np.broadcast_shapes(np.shape(self.a), np.shape(self.b), np.shape(self.zero))
        except ValueError as error:
            raise InvalidInputError(
                "a, b and zero must broadcast together, got shapes "
                f"{np.shape(self.a)}, {np.shape(self.b)} and {np.shape(self.zero)}"
            ) from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BetaBinomial):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ("a", "b", "zero"))

    @property
    def mean(self) -> _Floats:
        """E[p], in [0, 1]: the chance that one sample is correct."""
        a, b, zero = self._arrays()
        return np.asarray((1 - zero) * a / (a + b))

    @property
    def variance(self) -> _Floats:
        """Var[p], in [0, 1/4]."""
        a, b, zero = self._arrays()
        second = (1 - zero) * a * (a + 1) / ((a + b) * (a + b + 1))
        return np.asarray(np.maximum(second - np.square(self.mean), 0.0))

    def log_marginal(self, n: ArrayLike, n_correct: ArrayLike) -> _Floats:
        """Compute the log probability of `n_correct` of `n` samples being correct.

        Parameters
        ----------
        n, n_correct : array_like of int
            Samples and correct ones among them; broadcast against the parameters.

        Returns
        -------
        numpy.ndarray of float64, the broadcast shape
            Natural logarithm, binomial coefficient included; -inf where impossible.

        Raises
        ------
        InvalidInputError
            When ``n_correct`` is not between 0 and ``n``.

        Examples
        --------
        >>> BetaBinomial(a=1.0, b=1.0).log_marginal(4, [0, 4]).round(6).tolist()  # log(1/5)
        [-1.609438, -1.609438]
        """
        from scipy.special import betaln, gammaln

        recorded, correct = _counts(n, n_correct)
        a, b, zero = self._arrays()
        choose = gammaln(recorded + 1) - gammaln(correct + 1) - gammaln(recorded - correct + 1)
        beta = choose + betaln(a + correct, b + recorded - correct) - betaln(a, b)
        with np.errstate(divide="ignore"):
            inflated = np.where(correct == 0, np.log(zero), -np.inf)
            return np.asarray(np.logaddexp(inflated, np.log1p(-zero) + beta))

    def pass_at_k(self, k: ArrayLike) -> _Floats:
        """Compute the expected chance E[1 - (1-p)^k] that one of k more samples is correct.

        Parameters
        ----------
        k : array_like of int
            Samples, >= 0; broadcasts against the parameters.

        Returns
        -------
        numpy.ndarray of float64, the broadcast shape
            Probabilities in [0, 1 - zero], rising in k.

        Raises
        ------
        InvalidInputError
            When ``k < 0``.

        Examples
        --------
        >>> BetaBinomial(a=1.0, b=1.0, zero=0.5).pass_at_k([1, 3]).round(6).tolist()
        [0.25, 0.375]
        """
        _, _, zero = self._arrays()
        return np.asarray((1 - zero) * -np.expm1(self._log_all_wrong(k)))

    def marginal_gain(self, k: ArrayLike) -> _Floats:
        """Compute E[p (1-p)^k]: how much one more sample adds to the chance of a correct one after k samples.

        Parameters
        ----------
        k : array_like of int
            Samples already planned, >= 0; broadcasts against the parameters.

        Returns
        -------
        numpy.ndarray of float64, the broadcast shape
            Probabilities in [0, 1], falling in k; ``pass_at_k(k + 1) - pass_at_k(k)``.

        Raises
        ------
        InvalidInputError
            When ``k < 0``.

        Notes
        -----
        Putting E[p] for p in ``p (1-p)^k`` overstates the gain of large k wherever p is uncertain.

        Examples
        --------
        >>> BetaBinomial(a=1.0, b=1.0).marginal_gain([0, 1, 2]).round(6).tolist()
        [0.5, 0.166667, 0.083333]
        """
        a, b, zero = self._arrays()
        return np.asarray((1 - zero) * np.exp(self._log_all_wrong(k)) * a / (a + b + np.asarray(k)))

    def posterior(self, n: ArrayLike, n_correct: ArrayLike) -> BetaBinomial:
        """Update the distribution by what has been drawn.

        Parameters
        ----------
        n, n_correct : array_like of int
            Samples drawn and correct ones among them; broadcast against the parameters.

        Returns
        -------
        BetaBinomial
            Of the broadcast shape; `zero` vanishes as soon as one sample is correct.

        Raises
        ------
        InvalidInputError
            When ``n_correct`` is not between 0 and ``n``.

        Examples
        --------
        >>> BetaBinomial(a=1.0, b=1.0, zero=0.5).posterior(3, 0)  # 0.5 / (0.5 + 0.5 * 1/4)
        BetaBinomial(a=1.0, b=4.0, zero=0.8)
        """
        recorded, correct = _counts(n, n_correct)
        a, b, zero = self._arrays()
        alive = (1 - zero) * np.exp(self._log_all_wrong(recorded))
        total = zero + alive
        still_zero = np.divide(zero, total, out=np.ones(np.shape(total)), where=total > 0)
        shape = np.broadcast_shapes(still_zero.shape, correct.shape)
        return BetaBinomial(
            a=_plain(np.broadcast_to(a + correct, shape)),
            b=_plain(np.broadcast_to(b + recorded - correct, shape)),
            zero=_plain(np.where(correct > 0, 0.0, still_zero)),
        )

    def _arrays(self) -> tuple[_Floats, _Floats, _Floats]:
        return np.asarray(self.a), np.asarray(self.b), np.asarray(self.zero)

    def _log_all_wrong(self, k: ArrayLike) -> _Floats:
        """Return log(B(a, b+k) / B(a, b)): the log chance that k samples of the Beta part are all wrong."""
        from scipy.special import betaln

        drawn = np.asarray(k)
        if (drawn < 0).any():
            raise InvalidInputError(f"k must be >= 0, got {drawn.min()}")
        a, b, _ = self._arrays()
        return np.asarray(np.minimum(betaln(a, b + drawn) - betaln(a, b), 0.0))


def fit_beta_binomial(
    n: ArrayLike, n_correct: ArrayLike, *, weight: ArrayLike | None = None, zero_inflated: bool = True
) -> BetaBinomial:
    """Fit a beta-binomial distribution on the counts of many prompts by maximum likelihood.

    Parameters
    ----------
    n, n_correct : array_like of int, shape (P,)
        Samples recorded and correct ones among them; prompts with ``n == 0`` say nothing and are ignored.
    weight : array_like of float, shape (P,), optional
        Weight of each prompt's log likelihood, >= 0; by default 1.
    zero_inflated : bool
        Whether to fit a share of prompts that are never solved.

    Returns
    -------
    BetaBinomial
        With scalar parameters, a and b within 0.001 to 1,100.

    Raises
    ------
    InvalidInputError
        When counts contradict each other, or no prompt with weight has a sample.

    Notes
    -----
    Prompts with equal counts are pooled, so the cost does not grow with P. The optimiser starts from moments
    and from two fixed points and keeps the best end, so the result does not depend on a seed. With one sample
    per prompt only the mean is identified; then the spread is where the optimiser ended, not a finding.

    References
    ----------
    Kazdan et al., 2025, arXiv:2510.05197, for the model; the optimiser is L-BFGS-B of SciPy.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.binomial(20, np.where(rng.random(2000) < 0.3, 0.0, rng.beta(2.0, 3.0, 2000)))
    >>> fitted = fit_beta_binomial(np.full(2000, 20), counts)
    >>> round(fitted.zero, 1), round(fitted.mean.item(), 1)
    (0.3, 0.3)
    """
    from scipy.optimize import minimize

    recorded, correct = _counts(n, n_correct)
    share = np.ones(recorded.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if not (recorded.ndim == 1 and recorded.shape == correct.shape == share.shape):
        raise InvalidInputError(
            "n, n_correct and weight must share a shape (P,), "
            f"got {recorded.shape}, {correct.shape} and {share.shape}"
        )
    if not (np.isfinite(share) & (share >= 0)).all():
        raise InvalidInputError("weight must be finite and >= 0")
    used = (recorded > 0) & (share > 0)
    if not used.any():
        raise InvalidInputError("a fit needs at least one prompt with a sample and a weight > 0, got none")
    pairs, inverse = np.unique(np.stack([recorded[used], correct[used]]), axis=1, return_inverse=True)
    mass: _Floats = np.bincount(inverse.reshape(-1), weights=share[used]).astype(np.float64)
    mass = mass / mass.sum()

    def model(parameters: _Floats) -> BetaBinomial:
        zero = 1.0 / (1.0 + np.exp(-parameters[2])) if zero_inflated else 0.0
        return BetaBinomial(a=np.exp(parameters[0]), b=np.exp(parameters[1]), zero=zero)

    def loss(parameters: _Floats) -> float:
        return -float(mass @ model(parameters).log_marginal(pairs[0], pairs[1]))

    bounds = [(-_LOG_BOUND, _LOG_BOUND)] * 2 + [(-12.0, 12.0)] * zero_inflated
    ends = [
        minimize(loss, start[: len(bounds)], method="L-BFGS-B", bounds=bounds)
        for start in _starts(pairs, mass)
    ]
    best = min(ends, key=lambda end: float(end.fun))
    return model(np.asarray(best.x))


def _starts(pairs: NDArray[np.int64], mass: _Floats) -> list[_Floats]:
    """Return starting points (log a, log b, logit zero): from moments, even, and U-shaped with many zeros."""
    mean = float(np.clip(mass @ (pairs[1] / pairs[0]), 0.01, 0.99))
    return [
        np.array([np.log(2 * mean), np.log(2 * (1 - mean)), -3.0]),
        np.array([np.log(0.3), np.log(0.3), -1.0]),
        np.array([1.0, 1.0, float(np.log(1.1 - mean) - np.log(mean))]),
    ]


def _counts(n: ArrayLike, n_correct: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Validate counts."""
    recorded, correct = np.asarray(n), np.asarray(n_correct)
    for name, array in (("n", recorded), ("n_correct", correct)):
        if array.size and array.dtype.kind not in "iu":
            raise InvalidInputError(f"{name} must hold whole numbers, got dtype {array.dtype}")
    if ((correct < 0) | (correct > recorded)).any():
        raise InvalidInputError(
            "n_correct must be between 0 and n; leave out prompts whose correctness is not known"
        )
    return recorded.astype(np.int64), correct.astype(np.int64)


def _plain(array: _Floats) -> float | _Floats:
    """Return a float for a 0-d array."""
    return float(array) if array.ndim == 0 else array
