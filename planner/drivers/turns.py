"""In which order a run opens its prompts, and what it may plan anew on the way.

A driver asks for the next prompts when it has few or none in progress, and says what those before have cost.
Without turns, all tasks are opened in their order; who plans anew under a budget is `planner.running.parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple, Protocol

from planner.ports.outcome import Outcome
from planner.strategies.task import Task


class Standing(NamedTuple):
    """What a run has come to.

    Attributes
    ----------
    closed, open : mapping of int to float
        Cost of each prompt that is done, and so far of each in progress, by number.
    lost : float
        What cancelled requests may have cost beside that: nobody counted it.
    settled : set of int
        Prompts that are done and need no more: satisfied, or failed.
    outcomes : mapping of int to Outcome
        Of the prompts that are done.
    """

    closed: Mapping[int, float]
    open: Mapping[int, float]
    lost: float
    settled: Set[int] = frozenset()
    outcomes: Mapping[int, Outcome] = MappingProxyType({})


class Turn(NamedTuple):
    """A prompt to be opened now.

    Attributes
    ----------
    number : int
        Its number; one that was opened before goes on, with the samples that it has.
    task : Task
        What it gets.
    reserve : float
        Set aside of the budget of the run for it until it has drawn something.
    """

    number: int
    task: Task
    reserve: float = 0.0


class Part(NamedTuple):
    """Prompts to be opened now, and what is set aside for all that are opened later."""

    turns: Sequence[Turn]
    aside: float = 0.0


class Turns(Protocol):
    """Decides which prompts are opened next."""

    @property
    def comes_back(self) -> bool:
        """Whether prompts may be opened again, so that their samples have to be kept."""
        ...

    def next(self, standing: Standing) -> Part:
        """Return the prompts to be opened now; none when the run is over."""
        ...
