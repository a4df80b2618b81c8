"""What is believed of the success rates of many prompts while a policy learns: a filter over a grid of rates.

Each prompt has a distribution over rates; counts sharpen it, and between epochs it spreads by how much rates
were seen to move, so that old evidence fades as fast as it goes stale. Counts of a prompt are taken to be
independent draws within an epoch. What follows for the next epoch is left to `policies.groups.group_planner`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

# Equally spaced on the arcsine scale, where binomial noise is the same everywhere: dense near 0 and 1.
_N_RATES: Final = 41
RATES: Final[FloatArray] = np.sin(np.linspace(0.0, np.pi / 2, _N_RATES)) ** 2
RATES.flags.writeable = False
# Steps of the fit of the population on the first counts; it changes little after some tens.
_STEPS: Final = 60
# Part of every prior that is flat, so that no rate is ever ruled out by the others alone.
_FLAT: Final = 0.02
# The evidence about drift of earlier epochs counts this much less with each.
_MEMORY: Final = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How success rates move from one epoch to the next.

    Parameters
    ----------
    spread : float
        Standard deviation of the move, in rates; at least 0.
    learning : float
        Mean share of the failures that turn into successes, in (-1, 1); below 0 where a policy forgets.
    log_odds : float
        Mean rise of the log-odds of a success, in [-5, 5]: of .05, .5 and .95, a rise of .4 makes .07, .6 and
        .97. After the share above.

    Raises
    ------
    InvalidInputError
        When a number is out of range.
    """

    spread: float = 0.0
    learning: float = 0.0
    log_odds: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.spread <= 1 and -1 < self.learning < 1 and abs(self.log_odds) <= 5):
            raise InvalidInputError(
                "a drift has a spread in [0, 1], learning in (-1, 1) and log_odds in [-5, 5], got "
                f"{self.spread!r}, {self.learning!r} and {self.log_odds!r}"
            )

    def __str__(self) -> str:
        return (
            f"rates move by {self.spread:g}, {self.learning:+g} of the failures learned, log-odds "
            f"{self.log_odds:+g}"
        )


_TRIED: Final = (
    Drift(),
    *(
        Drift(spread=spread, learning=learning)
        for spread in (0.03, 0.06, 0.1, 0.15, 0.25)
        for learning in (-0.05, 0.0, 0.05, 0.1, 0.2)
    ),
    *(
        Drift(spread=spread, log_odds=log_odds)
        for spread in (0.03, 0.06, 0.1, 0.15)
        for log_odds in (-0.4, -0.2, 0.2, 0.4)
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RateBelief:
    """Distributions of P prompts over the G rates of `RATES`.

    Parameters
    ----------
    shares : ndarray of float64, shape (P, G)
        Rows sum to 1.
    drift : Drift, optional
        How rates move; by default it is learned from the counts.
    evidence : ndarray of float64, shape (D,)
        Log-likelihood of what was seen under each drift that is tried.
    common : bool
        All prompts still have the same flat belief, and the first counts fit a population in its place.

    Examples
    --------
    >>> belief = RateBelief.flat(3).seen(np.array([8, 8, 0]), np.array([8, 0, 0]))
    >>> belief.mean.round(1).tolist()
    [1.0, 0.0, 0.5]
    """

    shares: FloatArray
    drift: Drift | None = None
    evidence: FloatArray
    common: bool = False

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or self.shares.shape[1] != _N_RATES:
            raise InvalidInputError(f"shares must be (P, {_N_RATES}), got {self.shares.shape}")

    def __len__(self) -> int:
        return len(self.shares)

    @classmethod
    def flat(cls, n_prompts: int, *, drift: Drift | None = None) -> Self:
        """Return what is believed of prompts that nothing is known of."""
        if n_prompts < 1:
            raise InvalidInputError(f"a belief needs at least 1 prompt, got {n_prompts}")
        shares = np.tile(_widths(), (n_prompts, 1))
        return cls(shares=shares, drift=drift, evidence=np.zeros(len(_TRIED)), common=True)

    @property
    def mean(self) -> FloatArray:
        """Expected success rates, shape (P,)."""
        return np.asarray(self.shares @ RATES)

    @property
    def drift_(self) -> Drift:
        """The drift that is believed in."""
        return _TRIED[int(self.evidence.argmax())] if self.drift is None else self.drift

    def seen(
        self, n: NDArray[np.integer], n_correct: NDArray[np.integer], rows: NDArray[np.intp] | None = None
    ) -> Self:
        """Return the belief after counts of this epoch.

        Parameters
        ----------
        n, n_correct : ndarray of int, shape (R,)
            Rollouts and correct ones; 0 where a prompt was left out.
        rows : ndarray of intp, shape (R,), optional
            The prompts that were drawn, each once; by default all P.

        Raises
        ------
        InvalidInputError
            When counts contradict each other, or their number is another.
        """
        at = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.intp)
        _check(n, n_correct, at, len(self))
        likelihood = _likelihood(n, n_correct)
        shares = self.shares.copy()
        drawn = np.asarray(n) > 0
        if self.common and drawn.any():
            shares[:] = (1 - _FLAT) * _population(likelihood[drawn], _widths()) + _FLAT * _widths()
        post = shares[at] * likelihood
        shares[at] = post / post.sum(axis=1, keepdims=True)
        return replace(self, shares=shares, common=self.common and not drawn.any())

    def next_epoch(
        self, n: NDArray[np.integer], n_correct: NDArray[np.integer], rows: NDArray[np.intp] | None = None
    ) -> Self:
        """Return the belief after one more epoch of learning and the counts that it brought.

        Rates moved since the counts before; each drift that is tried is judged by how well it foretold these
        ones. Parameters as in `seen`.
        """
        if self.common:
            return self.seen(n, n_correct, rows)
        at = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.intp)
        _check(n, n_correct, at, len(self))
        evidence = self.evidence
        if self.drift is None:
            drawn = np.asarray(n) > 0
            likelihood = _likelihood(np.asarray(n)[drawn], np.asarray(n_correct)[drawn])
            before = self.shares[at[drawn]]
            found = [
                float(np.log(np.einsum("pg,pg->p", before @ _kernel(each), likelihood)).sum())
                for each in _TRIED
            ]
            evidence = _MEMORY * evidence + np.array(found)
        moved = replace(self, evidence=evidence)
        return replace(moved, shares=self.shares @ _kernel(moved.drift_)).seen(n, n_correct, rows)

    def foreseen(self) -> Self:
        """Return the belief about the coming epoch, before anything of it is seen."""
        return self if self.common else replace(self, shares=self.shares @ _kernel(self.drift_))


def _check(n: NDArray[np.integer], correct: NDArray[np.integer], at: NDArray[np.intp], size: int) -> None:
    counts, right = np.asarray(n), np.asarray(correct)
    if not counts.shape == right.shape == at.shape:
        raise InvalidInputError(
            f"n and n_correct must have one number per prompt, {at.shape}; got {counts.shape}, {right.shape}"
        )
    if counts.dtype.kind not in "iu" or right.dtype.kind not in "iu":
        raise InvalidInputError(
            f"n and n_correct must be whole numbers, got {counts.dtype} and {right.dtype}: count right "
            "rollouts (policies.groups.rollout_counts.count_rollouts), or take astype(int) of sums of "
            "rewards of 0 and 1"
        )
    wrong = np.flatnonzero((counts < 0) | (right < 0) | (right > counts))
    if len(wrong):
        first = int(wrong[0])
        raise InvalidInputError(
            f"n_correct must lie between 0 and n: prompt {first} has {right[first]} of {counts[first]}"
        )
    if len(at) and (at.min() < 0 or at.max() >= size or len(np.unique(at)) < len(at)):
        raise InvalidInputError(f"rows must be different numbers from 0 to {size - 1}")


def _likelihood(n: NDArray[np.integer], n_correct: NDArray[np.integer]) -> FloatArray:
    """Return the chance of each count at each rate, up to a factor per prompt, shape (P, G)."""
    right, wrong = np.asarray(n_correct, dtype=np.float64), np.asarray(n - n_correct, dtype=np.float64)
    with np.errstate(divide="ignore"):
        up, down = np.log(RATES), np.log(1 - RATES)
    up[-1] = down[0] = 0.0
    logs = right[:, None] * np.maximum(up, -1e6) + wrong[:, None] * np.maximum(down, -1e6)
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _population(likelihood: FloatArray, start: FloatArray) -> FloatArray:
    """Return the distribution of rates over prompts that makes their counts likeliest, by EM.

    Laird 1978, doi:10.1080/01621459.1978.10480103; stopped early, which smooths it.
    """
    found = start
    for _ in range(_STEPS):
        post = likelihood * found
        found = (post / post.sum(axis=1, keepdims=True)).mean(axis=0)
    return found


@lru_cache(maxsize=1)
def _widths() -> FloatArray:
    """Return how much of [0, 1] is nearest to each rate, shape (G,)."""
    edges = np.concatenate([[0.0], (RATES[1:] + RATES[:-1]) / 2, [1.0]])
    return np.diff(edges)


@lru_cache(maxsize=64)
def _kernel(drift: Drift) -> FloatArray:
    """Return the chance to move from each rate to each, shape (G, G); rows sum to 1."""
    from scipy.special import ndtr  # scipy costs more than the import budget of the planner

    if drift.spread == 0:
        return np.eye(_N_RATES)
    learned = drift.learning
    to = RATES + learned * (1 - RATES) if learned >= 0 else RATES * (1 + learned)
    to = to * np.exp(drift.log_odds) / (1 + to * np.expm1(drift.log_odds))
    # A move is cut at 0 and 1: what would leave stays at the end.
    edges = np.concatenate([[-np.inf], (RATES[1:] + RATES[:-1]) / 2, [np.inf]])
    return np.asarray(np.diff(ndtr((edges[None] - to[:, None]) / drift.spread), axis=1))
