"""Best-of-N: the sample that a verifier scores highest.

Ties are broken uniformly, as in `difficulty.estimators.best_of_n`. Abstaining samples are not scored and
cannot win; the estimator sees the same where they carry a score below all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.selection import select_best
from planner.strategies.task import Task
from planner.strategies.waves import conclude, draw_in_waves

__all__ = ["BestOfN"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfN:
    """Draw `width` samples and answer with the best scored one.

    Parameters
    ----------
    verifier : str
        Name of the verifier that scores.
    """

    verifier: str = "score"

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,)

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        candidates = yield from draw_in_waves(task, verifier=self.verifier)
        return conclude(task, candidates, select_best(candidates, task.tie_breaker()))
