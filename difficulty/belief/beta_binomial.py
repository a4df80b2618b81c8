"""A beta-binomial model of difficulty: a distribution over the success probability of a prompt.

Samples of one prompt are independent given its success probability p, and p is Beta(a, b) distributed over
prompts, except for a share `zero` of prompts that are never solved. Features of the prompt are left to the
predictor; what a gain in pass@k is worth is left to `policies`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError

__all__ = [
    "BetaBinomial",
]

_Floats = NDArray[np.float64]


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

    def _arrays(self) -> tuple[_Floats, _Floats, _Floats]:
        return np.asarray(self.a), np.asarray(self.b), np.asarray(self.zero)


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
