"""How one answer is selected among what has been drawn: votes, the best, or the first success.

A selection names what it reads and knows no numbers of its own, so that it can be written, hashed and looked
up. Who decides by it is `policies.course.decide`; who produces the scores is left to `planner.verifiers`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError

SelectionName: TypeAlias = Literal["vote", "best", "first_success"]
ChainPart: TypeAlias = Literal["all", "last", "best"]

NO_SIGNAL: Final = "none"
LOGPROB: Final = "mean_logprob"
_NAMES: Final[tuple[str, ...]] = get_args(SelectionName)
_PARTS: Final[tuple[str, ...]] = get_args(ChainPart)
_CHECKER: Final = "score"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """How one answer is selected among what has been drawn.

    Parameters
    ----------
    by : {"vote", "best", "first_success"}
        Self-consistency, best-of-N, or the first sample that a checker accepts.
    signal : str
        What weighs votes or ranks samples: ``"none"``, ``"mean_logprob"``, or the name of a verifier:
        ``"score"`` is the one that logs record, ``"learned"`` the learned P(correct). With
        ``"first_success"`` the name of the checker, ``"score"`` where it is none.
    power : float
        Votes weigh ``exp(power * (mean_logprob - usual))`` or ``score ** power``; at least 0. Nothing else
        reads it.
    pooled : bool
        Whether answers of different generators add up; else the latest generator that answered decides.
    weights : mapping or tuple of pairs
        Weight of one vote by generator, above 0; 1 where not named. Stored as sorted pairs.
    usual : mapping or tuple of pairs
        Usual mean log-probability by generator, from which votes weighed by it are measured, so that those of
        different generators compare; 0 where not named. Stored as sorted pairs.
    of_chain : {"all", "last", "best"}
        Which attempts of a chain take part: all, the last that answered, or the one with the best signal
        (without a signal: of the chain's most frequent answer, the latest).
    threshold : float
        Least score that a checker accepts.
    or_vote : bool
        Where no sample was accepted, the vote decides instead of nothing.

    Raises
    ------
    InvalidInputError
        When a field is out of range, or a selection lacks the signal that it needs.

    Examples
    --------
    >>> str(Selection(signal="mean_logprob", power=3.0)), Selection(by="best", signal="score").verifiers
    ('vote by mean logprob', ('score',))
    """

    by: SelectionName = "vote"
    signal: str = NO_SIGNAL
    power: float = 1.0
    pooled: bool = True
    weights: tuple[tuple[str, float], ...] | Mapping[str, float] = ()
    usual: tuple[tuple[str, float], ...] | Mapping[str, float] = ()
    of_chain: ChainPart = "all"
    threshold: float = 0.5
    or_vote: bool = False

    def __post_init__(self) -> None:
        for name in ("weights", "usual"):
            given = getattr(self, name)
            pairs = given.items() if isinstance(given, Mapping) else given
            object.__setattr__(self, name, tuple(sorted((key, float(value)) for key, value in pairs)))
        if self.by not in _NAMES or self.of_chain not in _PARTS:
            raise InvalidInputError(
                f"a selection is by {', '.join(_NAMES)}, of a chain's {', '.join(_PARTS)} attempts; got "
                f"{self.by!r} and {self.of_chain!r}"
            )
        if not self.signal:
            raise InvalidInputError(f"signal must be the name of a score or {NO_SIGNAL!r}, got ''")
        if self.by == "best" and self.signal == NO_SIGNAL:
            raise InvalidInputError("best-of-N needs a signal: mean_logprob, or the name of a verifier")
        if self.by == "first_success" and self.signal == LOGPROB:
            raise InvalidInputError("a log-probability accepts no sample; name a checker")
        if self.or_vote and self.by != "first_success":
            raise InvalidInputError(f"or_vote belongs to first_success, got {self.by!r}")
        check_number("power", self.power, ">= 0")
        check_number("threshold", self.threshold, "finite")
        for key, weight in dict(self.weights).items():
            check_number(f"the weight of {key!r}", weight, "above 0")
        for key, usual in dict(self.usual).items():
            if not math.isfinite(usual):
                raise InvalidInputError(f"the usual log-probability of {key!r} must be finite, got {usual!r}")

    @property
    def checker(self) -> str | None:
        """Name of the verifier that accepts samples; None where none does."""
        if self.by != "first_success":
            return None
        return _CHECKER if self.signal == NO_SIGNAL else self.signal

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers that have to score samples."""
        if self.checker is not None:
            return (self.checker,)
        return () if self.signal in (NO_SIGNAL, LOGPROB) else (self.signal,)

    def weight(self, generator: str) -> float:
        """Return the weight of one vote of a generator."""
        return dict(self.weights).get(generator, 1.0)

    def usual_of(self, generator: str) -> float:
        """Return the usual mean log-probability of a generator."""
        return dict(self.usual).get(generator, 0.0)

    def __str__(self) -> str:
        how = {"vote": "vote", "best": "best", "first_success": "first success"}[self.by]
        if self.signal not in ((_CHECKER, NO_SIGNAL) if self.checker else (NO_SIGNAL,)):
            how += f" by {self.signal.replace('_', ' ')}"
        if self.of_chain != "all":
            how += f" of the {self.of_chain} attempts"
        return how


PLAIN_VOTE: Final = Selection()
