"""When to stop drawing: the hook that adaptive policies use, and the two trivial rules.

A stop rule looks at what has been drawn for one prompt and says how many samples the next wave has. It
assumes that all samples of a wave are back before it is asked; rules that learn from beliefs are left to
`policies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from difficulty.errors import InvalidInputError

__all__ = ["AllAtOnce", "DrawState", "FixedWaves", "StopRule"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawState:
    """What is known about one prompt between two waves.

    Parameters
    ----------
    prompt_id : str
        The prompt.
    width : int
        Samples that the allocation permits in all.
    answers : tuple of str or None
        Answers so far in sample order; None for abstaining and failed samples.
    scores : tuple of float or None
        Verifier scores so far; empty where the strategy uses no verifier.
    mean_logprobs : tuple of float or None
        Mean log-probabilities so far, in nats per token.
    output_tokens : tuple of int
        Tokens generated per sample.
    n_failed : int
        Samples so far that failed.
    """

    prompt_id: str
    width: int
    answers: tuple[str | None, ...] = ()
    scores: tuple[float | None, ...] = ()
    mean_logprobs: tuple[float | None, ...] = ()
    output_tokens: tuple[int, ...] = ()
    n_failed: int = 0

    @property
    def n_drawn(self) -> int:
        """Samples drawn so far, failed ones included."""
        return len(self.answers)

    @property
    def n_left(self) -> int:
        """Samples that the allocation still permits."""
        return self.width - self.n_drawn


class StopRule(Protocol):
    """Decides the size of the next wave."""

    def decide(self, state: DrawState) -> int:
        """Return how many samples to draw next, or 0 to stop; more than `state.n_left` counts as `n_left`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AllAtOnce:
    """Draw the whole width in one wave.

    Examples
    --------
    >>> AllAtOnce().decide(DrawState(prompt_id="p", width=8))
    8
    """

    def decide(self, state: DrawState) -> int:
        """Return all that is left."""
        return state.n_left


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedWaves:
    """Draw the whole width in waves of equal size.

    Parameters
    ----------
    size : int
        Samples per wave, at least 1.

    Raises
    ------
    InvalidInputError
        When `size` is below 1.

    Examples
    --------
    >>> FixedWaves(size=4).decide(DrawState(prompt_id="p", width=6, answers=("42",) * 4))
    2
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidInputError(f"a wave has at least 1 sample, got size={self.size}")

    def decide(self, state: DrawState) -> int:
        """Return `size`, or what is left."""
        return min(self.size, state.n_left)
