"""Known stop rules, one small class each, all asked in the same way: is the next wave worth drawing?

They are baselines and special cases of `policies.ladder.value_rule`; a rule from the literature that was
defined for one sample at a time is asked after each wave instead. What the waves are is the ladder's affair:
its_hub's doubling is `Agreement(share=0.75)` on a doubling ladder, zen-router is `Agreement(count=2)` on two
cheap samples before a strong one, ESC is `Unanimous` on equal waves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.posterior import is_mode, leads
from difficulty.errors import InvalidInputError
from policies.ladder.evidence import Evidence

__all__ = [
    "AdaptiveConsistency",
    "Agreement",
    "Always",
    "OneProbe",
    "Unanimous",
]

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Always:
    """Draw every wave of the ladder: a static allocation.

    Examples
    --------
    >>> str(Always())
    'Always()'
    """

    def go_on(self, evidence: Evidence, *, price: float) -> BoolArray:
        """Return True for all."""
        return np.ones(len(evidence), dtype=bool)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Stop when the leader has `count` votes and at least `share` of all votes.

    Parameters
    ----------
    count : int
        Votes, at least 1.
    share : float
        In [0, 1].
    """

    count: int = 2
    share: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.share <= 1:
            raise InvalidInputError(f"count must be at least 1 and share in [0, 1], got {self}")

    def go_on(self, evidence: Evidence, *, price: float) -> BoolArray:
        """Return where the leader has not convinced yet."""
        share = evidence.leader_count / np.maximum(evidence.n_votes, 1)
        return (evidence.leader_count < self.count) | (share < self.share)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveConsistency:
    """Stop when the leader leads with probability `threshold`.

    Parameters
    ----------
    threshold : float
        In (0, 1]; 0.95 in the paper.
    criterion : {"beta", "dirichlet"}
        A duel of the two leading answers, or all of them.
    prior_leader, prior_runner_up : float
        Pseudo-votes of the Beta criterion; more for the leader is Bayesian mode stopping with a prior that
        expects agreement. They apply to the duel only.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860; Huang, Ma, Zhou 2026, arXiv 2602.05395.
    """

    threshold: float = 0.95
    criterion: Literal["beta", "dirichlet"] = "beta"
    prior_leader: float = 1.0
    prior_runner_up: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1 or self.criterion not in ("beta", "dirichlet"):
            raise InvalidInputError(
                f"threshold must lie in (0, 1] and criterion be 'beta' or 'dirichlet', got {self}"
            )
        if not (self.prior_leader > 0 and self.prior_runner_up > 0):
            raise InvalidInputError(f"pseudo-votes must be above 0, got {self}")

    def go_on(self, evidence: Evidence, *, price: float) -> BoolArray:
        """Return where the leader does not lead surely enough."""
        if self.criterion == "beta":
            sure = leads(
                evidence.leader_count,
                evidence.runner_up_count,
                prior_leader=self.prior_leader,
                prior_runner_up=self.prior_runner_up,
            )
        else:
            rest = evidence.n_votes - evidence.leader_count - evidence.runner_up_count
            sure = is_mode(
                evidence.leader_count, evidence.runner_up_count, rest, np.maximum(evidence.n_answers - 2, 0)
            )
        return np.asarray(sure < self.threshold)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanimous:
    """Stop when the latest `window` samples agree (early-stopping self-consistency, on waves of that size).

    Parameters
    ----------
    window : int
        Samples, at least 1.

    References
    ----------
    Li et al. 2024, arXiv 2401.10480.
    """

    window: int = 4

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InvalidInputError(f"window must be at least 1, got {self.window}")

    def go_on(self, evidence: Evidence, *, price: float) -> BoolArray:
        """Return where the latest window is not over yet, or not unanimous."""
        return np.asarray((evidence.n_drawn % self.window != 0) | (evidence.streak < self.window))


@dataclass(frozen=True, kw_only=True, slots=True)
class OneProbe:
    """Spend by the look of the first samples: easy ones get `base` samples, surprising or long ones more.

    Parameters
    ----------
    base : float
        Samples for a prompt whose samples look as usual, above 0.
    slope : float
        Growth of the logarithm of samples per standard deviation.
    by : {"mean_logprob", "length"}
        Which sign of difficulty; low log-probability or great length.

    References
    ----------
    UAB, arXiv 2605.26849: one probe, then a concave greedy on its negative log-likelihood. Deviation: a
    log-linear number of samples in place of the greedy's curve (the tuned slope plays its part), and later
    samples refine the probe.
    """

    base: float = 4.0
    slope: float = 0.5
    by: Literal["mean_logprob", "length"] = "mean_logprob"

    def __post_init__(self) -> None:
        if not self.base > 0 or self.by not in ("mean_logprob", "length"):
            raise InvalidInputError(f"base must be above 0 and by 'mean_logprob' or 'length', got {self}")

    def go_on(self, evidence: Evidence, *, price: float) -> BoolArray:
        """Return where fewer samples than the probe asks for have been drawn."""
        sign = -evidence.mean_logprob if self.by == "mean_logprob" else evidence.length
        return evidence.n_drawn < self.base * np.exp(self.slope * sign)
