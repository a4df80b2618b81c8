"""Majority vote over independent samples (self-consistency).

Abstaining samples do not vote and ties are broken uniformly, as in `difficulty.estimators.majority_vote`. The
stop rule of the task may end the draw early.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.selection import select_by_vote
from planner.strategies.task import Task
from planner.strategies.waves import conclude, draw_in_waves

__all__ = ["MajorityVote"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MajorityVote:
    """Draw `width` samples and answer with the most frequent answer.

    References
    ----------
    Wang et al. 2022, arXiv 2203.11171.
    """

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed: none."""
        return ()

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        candidates = yield from draw_in_waves(task, verifier=None)
        return conclude(task, candidates, select_by_vote(candidates, task.tie_breaker()))
