"""A course: all that may be done for one prompt, step by step, until a stop rule ends it.

A course whose rule is `Never` decides everything before the first sample; one of several steps of the same
generator stops early; one over several generators is a cascade. What a course is worth is left to whoever
replays it, how it is carried out to `planner.strategies.follow`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.arrays import BoolArray
from difficulty.errors import InvalidInputError
from difficulty.log.wire import MAX_SAMPLES
from policies.course.allocation import ParameterValue
from policies.course.selection import NO_SIGNAL, PLAIN_VOTE, Selection
from policies.course.stop import BestScore, Never, StopRule, Success
from policies.course.strategies import strategies_of_kind

StepKind: TypeAlias = Literal["sample", "revise", "search"]

MAX_STEPS: Final = 1024
_KINDS: Final[tuple[str, ...]] = get_args(StepKind)
_SEARCHES: Final = strategies_of_kind("search")
_SETTINGS: Final[Mapping[str, Mapping[str, type]]] = {
    "sample": {"temperature": float},
    "revise": {"instruction": str, "delimiter": str, "context": int},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is drawn together: samples, one more attempt of each chain, or one run of a search.

    Parameters
    ----------
    generator : str
        Name of the generator.
    n : int
        Samples, chains, or the width of the search; at least 1.
    kind : {"sample", "revise", "search"}
        ``"revise"`` extends ``n`` chains by one attempt; the first such step starts them.
    strategy : str
        Name of the search, for a step that is one.
    params : mapping or tuple of pairs
        Settings of the search; ``instruction``, ``delimiter`` and ``context`` of revisions
        (`planner.strategies.chains`); ``temperature`` of samples in place of the generator's. Stored as
        sorted pairs, so that steps hash.

    Raises
    ------
    InvalidInputError
        When a field is out of range.
    """

    generator: str
    n: int = 1
    kind: StepKind = "sample"
    strategy: str = ""
    params: tuple[tuple[str, ParameterValue], ...] | Mapping[str, ParameterValue] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", tuple(sorted(dict(self.params).items())))
        check_whole("n of a step", self.n)
        if not 1 <= self.n <= MAX_SAMPLES:
            raise InvalidInputError(f"a step draws 1 to {MAX_SAMPLES:,} samples, got n={self.n}")
        check_choice("kind of a step", self.kind, _KINDS)
        if self.kind == "search":
            check_choice("strategy of a search", self.strategy, _SEARCHES)
            return
        if self.strategy:
            raise InvalidInputError(f"only a search names its strategy, got {self.strategy!r}")
        self._check_settings()

    def _check_settings(self) -> None:
        allowed = _SETTINGS[self.kind]
        for name, value in dict(self.params).items():
            kind = allowed.get(name)
            if kind is None:
                raise InvalidInputError(
                    f"a step of kind {self.kind} has no parameter {name}; allowed: {', '.join(allowed)}"
                )
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = {
                float: number and math.isfinite(float(value)) and float(value) >= 0 if number else False,
                int: isinstance(value, int) and number and value >= 1,
                str: isinstance(value, str),
            }[kind]
            if not fits:
                need = {float: "a number >= 0", int: "a whole number of at least 1", str: "a text"}[kind]
                raise InvalidInputError(f"{name} must be {need}, got {value!r}")

    @property
    def parameters(self) -> dict[str, ParameterValue]:
        """Settings by name."""
        return dict(self.params)

    def __str__(self) -> str:
        name = {"sample": "", "revise": " revised", "search": f" {self.strategy}"}[self.kind]
        return f"{self.generator}{name} x{self.n}"


class _Hashed:
    """Room for a hash: courses are keys of caches that every plan asks, and their steps are many."""

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Course(_Hashed):
    """Steps in the order in which they may be drawn, how they select, and the rule that ends them.

    Parameters
    ----------
    steps : tuple of Step
        1 to 1,024. A search stands alone or last; steps that revise are equal, since they extend the same
        chains.
    selection : Selection
        How an answer is selected, whenever the course ends. A search selects by its own parameters; where it
        finds nothing, what was selected before it stands.
    stop : StopRule
        Asked between steps. A course of one step has nothing to ask: its rule is stored as `Never`.

    Raises
    ------
    InvalidInputError
        When there is no step, a search is followed by another step, chains change, or a rule reads what the
        selection does not know.

    Examples
    --------
    >>> from policies.course.stop import Agreement
    >>> course = Course(steps=waves("small", (2, 2)) + waves("large", (1,)), stop=Agreement(count=2))
    >>> str(course), course.n, course.one_shot
    ('small x2 2 times, large x1; vote; until 2 agree', 5, False)
    """

    steps: tuple[Step, ...]
    selection: Selection = PLAIN_VOTE
    stop: StopRule = field(default_factory=Never)

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise InvalidInputError(f"a course has 1 to {MAX_STEPS:,} steps, got {len(self.steps)}")
        if len(self.steps) == 1 and not isinstance(self.stop, Never):
            object.__setattr__(self, "stop", Never())
        if any(step.kind == "search" for step in self.steps[:-1]):
            raise InvalidInputError("a search stands alone or last in a course")
        chains = {step for step in self.steps if step.kind == "revise"}
        if len(chains) > 1:
            raise InvalidInputError("steps that revise must be equal: they extend the same chains")
        if self.n > MAX_SAMPLES:
            raise InvalidInputError(f"a course draws at most {MAX_SAMPLES:,} samples, got {self.n:,}")
        checked = self.selection.by == "first_success"
        if chains and checked and len(self.steps) > 1 and isinstance(self.stop, Never):
            raise InvalidInputError(
                "chains are revised for a checker until it accepts an attempt: stop with the first success"
            )
        if not isinstance(self.stop, Never) and isinstance(self.stop, Success) != checked:
            raise InvalidInputError(
                "a checker's samples stop with the first success, and nothing else does; got "
                f"selection by {self.selection.by} and {self.stop}"
            )
        if isinstance(self.stop, BestScore) and self.selection.signal == NO_SIGNAL:
            raise InvalidInputError("a threshold on the best signal needs a selection that reads one")

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash((self.steps, self.selection, self.stop)))
            return self._hash

    @property
    def n(self) -> int:
        """Samples when every step is drawn."""
        return sum(step.n for step in self.steps)

    @property
    def one_shot(self) -> bool:
        """Whether everything is decided before the first sample: nothing is asked between steps."""
        return isinstance(self.stop, Never)

    @property
    def rounds(self) -> int:
        """The most steps that wait for an earlier one; samples that no rule is asked about go at once."""
        if not self.one_shot:
            return len(self.steps)
        groups = groupby(self.steps, key=lambda step: step.kind)
        return sum(1 if kind == "sample" else len(list(steps)) for kind, steps in groups)

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of the generators in order of first use."""
        return tuple(dict.fromkeys(step.generator for step in self.steps))

    def prefix(self, n_steps: int) -> Course:
        """Return the course of the first `n_steps` steps, at least 1; of all where there are no more."""
        return self if n_steps >= len(self.steps) else replace(self, steps=self.steps[:n_steps])

    def within_rounds(self, max_rounds: int) -> Course:
        """Return the longest prefix of at most `max_rounds` rounds, at least 1."""
        check_whole("max_rounds", max_rounds, least=1)
        length = len(self.steps)
        while self.prefix(length).rounds > max_rounds and length > 1:
            length -= 1
        return self.prefix(length)

    def __str__(self) -> str:
        how = str(self.selection)
        if len(self.generators) > 1 and not self.selection.pooled:
            how += " of the last generator"
        runs = [(str(step), len(list(equal))) for step, equal in groupby(self.steps)]
        steps = ", ".join(step if times == 1 else f"{step} {times} times" for step, times in runs)
        return f"{steps}; {how}" + ("" if self.one_shot else f"; {self.stop}")


def waves(generator: str, sizes: tuple[int, ...]) -> tuple[Step, ...]:
    """Return steps of one generator, a wave of samples each."""
    return tuple(Step(generator=generator, n=size) for size in sizes)


def of_one_generator(courses: Sequence[Course]) -> BoolArray:
    """Return which courses draw from one generator, shape (C,)."""
    return np.array([len(course.generators) == 1 for course in courses], dtype=bool)
