"""Beam search over steps with a process reward model.

In each round the N beams are scored, the best N / M survive and each is extended M times, so that a round
costs at most N samples; ended beams leave with their score and their place is not refilled. A round waits for
all of its beams.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.search.rounds import Division, search_rounds
from planner.strategies.search.tree import TreeSettings, spread
from planner.strategies.task import Task

__all__ = ["BeamSearch", "beams"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamSearch(TreeSettings):
    """Search with `width` beams, keeping one in `beam_width` per round.

    Parameters
    ----------
    beam_width : int
        M, children of each surviving beam, at least 1.
    max_steps, delimiter, max_step_tokens, verifier, selection
        See `TreeSettings`.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 5.2; Beeching et al. 2024, "Scaling test-time compute with
    open models". Deviation: identical beams are not removed, and finished beams are not sampled again.
    """

    beam_width: int = 4

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        return (yield from search_rounds(task, self, beams(self.beam_width)))


def beams(beam_width: int) -> Division:
    """Return the division that keeps one path in `beam_width`, the best ones, with equal shares."""
    return lambda best, slots: spread(slots, min(len(best), max(1, slots // beam_width)))
