"""Stop rules: asked between the steps of a course whether what has been drawn is enough.

Each rule is a small value with its numbers and one method, which reads evidence: arrays of thousands of
replayed prompts, or the plain numbers of a live one. Rules know neither price nor prompt: which rule a prompt
gets at which price is the choice of whoever plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number, check_whole
from difficulty.arithmetic.arrays import BoolArray
from difficulty.belief.posterior import leads

__all__ = [
    "RULES",
    "Agreement",
    "BestScore",
    "Beta",
    "Evidence",
    "Never",
    "Share",
    "StopRule",
    "Success",
    "Unanimous",
]

Counts: TypeAlias = NDArray[np.int64] | int
# Thresholds come from tables, which hold scores in single precision: half a unit in its last place, and more.
_SINGLE: Final = 1e-7


class Evidence(NamedTuple):
    """What is known between two steps: arrays of one shape, or plain numbers of one prompt.

    Attributes
    ----------
    n_drawn, n_votes : ndarray of int, or int
        Samples that came back, and those whose votes count and that gave an answer. A sample that failed
        tells nothing and is in neither.
    leader, runner_up : ndarray of int, or int
        Votes, as plain counts, of the most frequent answer and of the second. Where answers are not pooled,
        votes are those of the generator that drew last.
    streak : ndarray of int, or int
        Latest samples in a row that gave one and the same answer.
    n_correct : ndarray of int, or int
        Samples that a checker accepted; 0 where there is none.
    best : ndarray of float, or float
        Best signal of the selection so far; -inf where there is none.
    """

    n_drawn: Counts
    n_votes: Counts
    leader: Counts
    runner_up: Counts
    streak: Counts
    n_correct: Counts
    best: NDArray[np.float64] | float


@runtime_checkable
class StopRule(Protocol):
    """Decides between steps whether what has been drawn is enough."""

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where to stop, in the shape of the evidence."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Never:
    """Draw every step."""

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return False for all."""
        return np.asarray(evidence.n_drawn) < 0

    def __str__(self) -> str:
        return "all steps"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Stop when one answer has `count` votes.

    Parameters
    ----------
    count : int
        At least 1, which stops at the first answer that is not an abstention.

    Raises
    ------
    InvalidInputError
        When `count` is below 1.
    """

    count: int = 2

    def __post_init__(self) -> None:
        check_whole("count", self.count, least=1)

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where the leader has enough votes."""
        return np.asarray(evidence.leader >= self.count)

    def __str__(self) -> str:
        return "until one answers" if self.count == 1 else f"until {self.count} agree"


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Stop when the leader has a share of the votes (its_hub's doubling until 75 %).

    Parameters
    ----------
    share : float
        In (0, 1].
    least : int
        Votes that there must be, at least 1.

    Raises
    ------
    InvalidInputError
        When `share` is not in (0, 1] or `least` below 1.
    """

    share: float = 0.75
    least: int = 2

    def __post_init__(self) -> None:
        check_number("share", self.share, "in (0, 1]")
        check_whole("least", self.least, least=1)

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where the leader has the share."""
        many = evidence.n_votes >= self.least
        return np.asarray(many & (evidence.leader >= self.share * evidence.n_votes - 1e-9))

    def __str__(self) -> str:
        return f"until {self.share:.0%} of the votes agree"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beta:
    """Stop when the leader leads with probability `threshold`, or when it looks futile to go on.

    Parameters
    ----------
    threshold : float
        In (0, 1]; 0.95 in the paper.
    futile_from : int
        Samples after which a prompt may be given up; 0 for never.
    futile_below : float
        It is given up while the probability is below this.

    Raises
    ------
    InvalidInputError
        When a number is out of range.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860 (Adaptive-Consistency, Beta criterion). Deviation: futility.
    """

    threshold: float = 0.95
    futile_from: int = 0
    futile_below: float = 0.0

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, "in (0, 1]")
        check_whole("futile_from", self.futile_from)
        check_number("futile_below", self.futile_below, "in [0, 1)")

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where the leader leads surely enough, or hopelessly."""
        sure = _LEADS.of(evidence.leader, evidence.runner_up)
        done = sure >= self.threshold
        if self.futile_from:
            done |= (evidence.n_drawn >= self.futile_from) & (sure < self.futile_below)
        return np.asarray(done)

    def __str__(self) -> str:
        text = f"until the leader is {self.threshold:.0%} sure"
        if self.futile_from:
            text += f", given up from {self.futile_from} samples on below {self.futile_below:.0%}"
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanimous:
    """Stop when the latest `window` samples agree (early-stopping self-consistency, on steps of that size).

    Parameters
    ----------
    window : int
        At least 1.

    Raises
    ------
    InvalidInputError
        When `window` is below 1.

    References
    ----------
    Li et al. 2024, arXiv 2401.10480.
    """

    window: int = 4

    def __post_init__(self) -> None:
        check_whole("window", self.window, least=1)

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where the latest window is unanimous."""
        return np.asarray(evidence.streak >= self.window)

    def __str__(self) -> str:
        return f"until {self.window} in a row agree"


@dataclass(frozen=True, kw_only=True, slots=True)
class BestScore:
    """Stop when the best signal so far reaches `threshold`.

    Raises
    ------
    InvalidInputError
        When `threshold` is not finite.

    References
    ----------
    Weitzman 1979, as applied to best-of-N by Kalayci, Raman, Dughmi 2025, arXiv 2510.01394: with a known
    price the optimal rule is a threshold; here whoever plans chooses among thresholds.
    """

    threshold: float

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, "finite")

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where the best is good enough."""
        return np.asarray(evidence.best >= self.threshold - _SINGLE * abs(self.threshold))

    def __str__(self) -> str:
        return f"until the best reaches {self.threshold:.3g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """Stop when a checker has accepted a sample."""

    def enough(self, evidence: Evidence) -> BoolArray:
        """Return where one was accepted."""
        return np.asarray(evidence.n_correct > 0)

    def __str__(self) -> str:
        return "until a checker accepts"


RULES: Final = (Never, Agreement, Share, Beta, Unanimous, BestScore, Success)
"""Every rule there is; a course of another one could not be written."""


class _Leads:
    """Probability that the leader leads, by votes of leader and runner-up; grown as votes do."""

    def __init__(self) -> None:
        self._table = np.zeros((0, 0))
        self._rows: list[list[float]] = []

    def of(self, leader: Counts, runner_up: Counts) -> NDArray[np.float64] | float:
        one = isinstance(leader, int) and isinstance(runner_up, int)
        most = leader if isinstance(leader, int) else int(leader.max(initial=0))
        if most >= len(self._table):
            votes = np.arange(1 << max(3, most.bit_length()), dtype=float)
            self._table = leads(votes[:, None], votes[None, :])
            self._rows = self._table.tolist()
        if one:
            # A server asks this of one prompt at a time.
            return self._rows[leader][runner_up]
        return np.asarray(self._table[leader, runner_up])


_LEADS: Final = _Leads()
