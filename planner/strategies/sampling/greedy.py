"""One sample at temperature 0.

It is the cheapest allocation and the baseline of all others; width and depth are 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow, draw
from planner.strategies.selection import Selected
from planner.strategies.task import Task
from planner.strategies.waves import conclude

__all__ = ["Greedy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Greedy:
    """Draw one sample at temperature 0."""

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed: none."""
        return ()

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        ((reply,),) = yield from draw((task.request(n=1, offset=0, temperature=0.0),))
        candidate = task.candidate(reply)
        return conclude(task, (candidate,), Selected(None if candidate.answer is None else 0, "only"))
