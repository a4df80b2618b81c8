"""Diverse verifier tree search: N / M independent subtrees, greedy inside.

Each subtree samples M continuations per step and goes on with the best scored one; when that one ends the
answer, all continuations of the round that ended are candidates. Subtrees share nothing, so that a recorded
run may be subsampled.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow, together
from planner.strategies.search.tree import (
    Growth,
    Path,
    TreeSettings,
    conclude_search,
    grow,
    score_paths,
    spread,
)
from planner.strategies.task import Task

__all__ = ["DVTS"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DVTS(TreeSettings):
    """Search `width` / `beam_width` subtrees, each greedy over `beam_width` continuations per step.

    Parameters
    ----------
    beam_width : int
        M, continuations per step and subtree, at least 1. A width that is no multiple gives subtrees whose
        sizes differ by at most 1.
    max_steps, delimiter, max_step_tokens, verifier, selection
        See `TreeSettings`.

    References
    ----------
    Beeching et al. 2024, "Scaling test-time compute with open models" (search-and-learn).
    """

    beam_width: int = 4

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        width = task.allocation.width
        sizes = spread(width, max(1, width // self.beam_width))
        subtrees = []
        first = 0
        for number, size in enumerate(sizes):
            subtrees.append(self._subtree(task, number=number, size=size, first=first))
            first += size
        ended = yield from together(subtrees)
        paths = [(chain, path) for chain, row in enumerate(ended) for path in row]
        return conclude_search(task, self, paths, task.tie_breaker())

    def _subtree(self, task: Task, *, number: int, size: int, first: int) -> Flow[list[Path]]:
        """Return the ended paths of one subtree; samples of step ``s`` start at ``s * width + first``."""
        rng = task.tie_breaker().spawn(number + 1)[number]
        current = Path()
        failed: list[Path] = []
        for step in range(self.max_steps):
            offset = step * task.allocation.width + first
            children = yield from grow(task, self, [Growth(path=current, width=size)], offset=offset)
            children = yield from score_paths(task, self, children)
            failed += [child for child in children if child.lost]
            scored = [child for child in children if child.score is not None]
            if not scored:
                return failed + [child for child in children if not child.lost]
            top = max(child.score for child in scored if child.score is not None)
            tied = [child for child in scored if child.score == top]
            current = tied[int(rng.integers(len(tied)))]
            if current.ended is not None:
                return failed + [child for child in children if child.ended is not None and not child.lost]
        return [*failed, current]
