"""A way to spend compute on one prompt: generator, strategy, width, depth, strategy parameters, stop rule.

The number of samples is width × depth and is never stored. What the strategies do is left to
`planner.strategies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from difficulty.arguments import check_choice, check_whole
from difficulty.errors import InvalidInputError
from difficulty.log.wire import MAX_SAMPLES
from policies.course.strategies import STRATEGIES, TRAITS, StrategyName, StrategyTraits

ParameterValue: TypeAlias = str | int | float | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """How much test-time compute one prompt gets, and in which form.

    Parameters
    ----------
    generator : str
        Name of the generator.
    strategy : str
        One of `STRATEGIES`.
    width : int
        Parallel samples or chains, at least 1.
    depth : int
        Sequential steps per chain, at least 1.
    params : mapping or tuple of pairs
        Strategy parameters, e.g. ``{"verifier": "mean_logprob"}``; stored as sorted pairs, so that
        allocations hash.

    Raises
    ------
    InvalidInputError
        When the strategy is unknown, width or depth is below 1, or their product above a million.

    Examples
    --------
    >>> allocation = Allocation(generator="qwen-1.5b/cot", strategy="majority_vote", width=8)
    >>> allocation.n
    8
    >>> print(allocation)
    qwen-1.5b/cot majority_vote N=8
    """

    generator: str
    strategy: StrategyName
    width: int = 1
    depth: int = 1
    params: tuple[tuple[str, ParameterValue], ...] | Mapping[str, ParameterValue] = ()

    def __post_init__(self) -> None:
        check_choice("strategy", self.strategy, STRATEGIES)
        check_whole("width", self.width, least=1)
        check_whole("depth", self.depth, least=1)
        if self.width * self.depth > MAX_SAMPLES:
            raise InvalidInputError(
                f"width times depth must be at most {MAX_SAMPLES:,}, got {self.width} times {self.depth}"
            )
        object.__setattr__(self, "params", tuple(sorted(dict(self.params).items())))

    @property
    def n(self) -> int:
        """Samples drawn: width × depth."""
        return self.width * self.depth

    @property
    def traits(self) -> StrategyTraits:
        """What is known of the strategy."""
        return TRAITS[self.strategy]

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Strategy parameters as a read-only mapping."""
        return MappingProxyType(dict(self.params))

    def __str__(self) -> str:
        size = f"N={self.n}" if self.depth == 1 else f"N={self.width}x{self.depth}"
        # Delimiters are written out: a line stays a line.
        words = {key: str(value).replace("\n", "\\n") for key, value in self.parameters.items()}
        extra = "".join(f" {key}={value}" for key, value in words.items())
        return f"{self.generator} {self.strategy} {size}{extra}"
