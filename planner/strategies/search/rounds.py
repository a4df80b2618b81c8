"""Search in rounds: grow all open paths, score them, and divide the samples of the next round among them.

It assumes process rewards that compare between paths. How samples are divided is what tells searches apart,
and is left to them (`planner.strategies.search.beam_search`, `planner.strategies.search.rebase`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

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
)
from planner.strategies.task import Task

Division: TypeAlias = Callable[[list[Path], int], list[int]]
"""Children of each open path, the best first, at least one in all; paths beyond the list get none."""


def search_rounds(
    task: Task, settings: TreeSettings, divide: Division, *, lookahead: int = 0
) -> Flow[Outcome]:
    """Search with paths valued by their score, or by that of a roll-out of `lookahead` steps from them."""
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
        best = rank(children, rng)
        if last or slots <= 0 or not best:
            ended += [child for child in children if child.ended is None and (last or child.score is None)]
            break
        widths = divide(best, slots)
        growths = [Growth(path=path, width=n) for path, n in zip(best, widths, strict=False) if n]
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
