"""Lookahead search: beam search that values a step by where a short greedy roll-out leads.

Each beam is rolled out for k steps at temperature 0 before it is scored, which multiplies the cost by up to k
+ 1; the roll-outs are thrown away and paid for. Everything else is beam search.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.search.beam_search import beams
from planner.strategies.search.rounds import search_rounds
from planner.strategies.search.tree import TreeSettings
from planner.strategies.task import Task

__all__ = ["Lookahead"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookahead(TreeSettings):
    """Search with `width` beams, each valued by a roll-out of `lookahead` steps.

    Parameters
    ----------
    beam_width : int
        Children of each surviving beam, at least 1.
    lookahead : int
        k, steps of the roll-out, at least 1.
    max_steps, delimiter, max_step_tokens, verifier, selection
        See `TreeSettings`.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 5.2.
    """

    beam_width: int = 4
    lookahead: int = 1

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        return (yield from search_rounds(task, self, beams(self.beam_width), lookahead=self.lookahead))
