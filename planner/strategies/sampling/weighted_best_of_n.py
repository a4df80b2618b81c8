"""Weighted best-of-N: the answer whose samples have the highest total score.

Scores are added as they are (or their maximum is taken), as in `difficulty.estimators.weighted_vote`, which
suits scores in [0, 1]; abstaining samples have no weight and ties are broken uniformly over answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.selection import Aggregate, select_weighted
from planner.strategies.task import Task
from planner.strategies.waves import conclude, draw_in_waves

__all__ = ["WeightedBestOfN"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedBestOfN:
    """Draw `width` samples and answer with the answer of the highest total score.

    Parameters
    ----------
    verifier : str
        Name of the verifier that scores.
    aggregate : {"sum", "max"}
        How the scores of one answer combine.
    """

    verifier: str = "score"
    aggregate: Aggregate = "sum"

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,)

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        candidates = yield from draw_in_waves(task, verifier=self.verifier)
        choice = select_weighted(candidates, task.tie_breaker(), aggregate=self.aggregate)
        return conclude(task, candidates, choice)
