"""REBASE: reward-balanced tree search.

In each round the open paths share the remaining width in proportion to the softmax of their rewards, so that
good paths get many children and hopeless ones none. A path that ends takes one place of the width with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from difficulty.arguments import check_number
from planner.ports.outcome import Outcome
from planner.strategies.flow import Flow
from planner.strategies.search.rounds import search_rounds
from planner.strategies.search.tree import Path, TreeSettings
from planner.strategies.task import Task

__all__ = ["Rebase", "rebase_widths"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebase(TreeSettings):
    """Search with at most `width` samples per round, balanced by reward.

    Parameters
    ----------
    balance : float
        Temperature T_b of the softmax over rewards, above 0; small is greedy.
    max_steps, delimiter, max_step_tokens, verifier, selection
        See `TreeSettings`.

    References
    ----------
    Wu, Sun, Li, Welleck, Yang 2024, arXiv 2408.00724, section 3.2: W_j = Round(B_i softmax(R / T_b)).
    Deviation: where rounding exceeds B_i, the least rewarded paths give way; where it leaves nothing, the
    best path gets one child.
    """

    balance: float = 0.1

    def __post_init__(self) -> None:
        # `super()` without arguments does not work in slotted dataclasses before Python 3.14.
        TreeSettings.__post_init__(self)
        check_number("balance", self.balance, "above 0")

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        return (yield from search_rounds(task, self, self._divide))

    def _divide(self, best: list[Path], slots: int) -> list[int]:
        rewards = [path.score for path in best if path.score is not None]
        return rebase_widths(rewards, slots, balance=self.balance)


def rebase_widths(rewards: Sequence[float], total: int, *, balance: float) -> list[int]:
    """Return the number of children of each path.

    Parameters
    ----------
    rewards : sequence of float
        Rewards of the open paths, best first, at least one.
    total : int
        B_i, samples of this round, at least 1.
    balance : float
        T_b, above 0.

    Returns
    -------
    list of int
        Widths, at least one of them above 0, with a sum of at most `total`.

    Examples
    --------
    >>> rebase_widths([0.9, 0.8, 0.1], 8, balance=0.1)
    [6, 2, 0]
    """
    logits = np.asarray(rewards, dtype=np.float64) / balance
    weights = np.exp(logits - logits.max())
    widths = [int(width) for width in np.rint(total * weights / weights.sum())]
    excess = sum(widths) - total
    for index in reversed(range(len(widths))):
        cut = min(widths[index], max(excess, 0))
        widths[index] -= cut
        excess -= cut
    if not any(widths):
        widths[0] = 1
    return widths
