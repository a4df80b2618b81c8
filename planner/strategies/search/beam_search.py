"""Beam search over steps with a process reward model.

In each round the N beams are scored, the best N / M survive and each is extended M times, so that a round
costs at most N samples; ended beams leave with their score and their place is not refilled. A round waits for
all of its beams.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from difficulty.errors import InvalidInputError
from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.search.tree import (
    Growth,
    Path,
    TreeSettings,
    conclude_search,
    grow,
    rank,
    score_paths,
    spread,
)
from planner.strategies.task import Task

__all__ = ["BeamSearch", "search_beams"]


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

    def __post_init__(self) -> None:
        # `super()` without arguments does not work in slotted dataclasses before Python 3.14.
        TreeSettings.__post_init__(self)
        if self.beam_width < 1:
            raise InvalidInputError(f"beam_width must be at least 1, got {self.beam_width}")

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,)

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        return (yield from search_beams(task, self, beam_width=self.beam_width, lookahead=0))


def search_beams(task: Task, settings: TreeSettings, *, beam_width: int, lookahead: int) -> Flow[Outcome]:
    """Search with beams valued by the score of the path, or of a roll-out of `lookahead` steps from it."""
    rng = task.tie_breaker()
    width = task.allocation.width
    ended: list[Path] = []
    growths = [Growth(path=Path(), width=width)]
    offset = 0
    for step in range(settings.max_steps):
        children = yield from grow(task, settings, growths, offset=offset)
        offset += len(children)
        refused = any(child.ended == "cancelled" for child in children)
        last = step + 1 == settings.max_steps or refused
        if lookahead and not last:
            children, n_drawn = yield from _roll_out(task, settings, children, steps=lookahead, offset=offset)
            offset += n_drawn
        else:
            children = yield from score_paths(task, settings, children)
        ended += [child for child in children if child.ended is not None]
        slots = width - sum(not path.lost for path in ended)
        best = rank(children, rng)[: max(1, slots // beam_width)]
        if last or slots <= 0 or not best:
            ended += [child for child in children if child.ended is None and (last or child.score is None)]
            break
        growths = [
            Growth(path=path, width=n) for path, n in zip(best, spread(slots, len(best)), strict=True) if n
        ]
    return conclude_search(task, settings, [(0, path) for path in ended], rng)


def _roll_out(
    task: Task, settings: TreeSettings, children: list[Path], *, steps: int, offset: int
) -> Flow[tuple[list[Path], int]]:
    """Score each child by where `steps` greedy steps lead from it; the roll-outs are thrown away."""
    ahead = list(children)
    n_drawn = 0
    for _ in range(steps):
        live = [index for index, path in enumerate(ahead) if path.ended is None]
        if not live:
            break
        growths = [Growth(path=ahead[index], width=1) for index in live]
        grown = yield from grow(task, settings, growths, offset=offset + n_drawn, temperature=0.0)
        n_drawn += len(live)
        for index, path in zip(live, grown, strict=True):
            # A roll-out that fails tells nothing new: the child is judged by the last step that came.
            ahead[index] = ahead[index] if path.lost else path
    scored = yield from score_paths(task, settings, ahead)
    valued = [replace(child, score=path.score) for child, path in zip(children, scored, strict=True)]
    return valued, n_drawn
