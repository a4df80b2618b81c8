"""Draw until right under one budget: everybody a little first, then more for those that are still unsolved.

It assumes a checker that recognises a right answer, and one generator: then a prompt that has failed so far
goes on with the samples that it has, so that nobody's share is decided before it is known who needs it. What
each prompt gets at each level is the planner's affair, that no amount is exceeded the drivers'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.logger import logger_of
from planner.drivers.turns import Part, Standing, Turn
from planner.planning.until_right import LEAST_FAILING
from planner.running.parts import LeastAnswer
from planner.strategies.task import Task
from policies.plan.plan import AllocationPlan

_LOG: Final = logger_of(__name__)

# Share of what is left that a round spends; the last rounds spend all of it, and the first one less, since
# expected costs may be half of what comes.
_SHARE: Final = 0.5
_FIRST_SHARE: Final = 0.25
# Rounds that spend a share, and all.
_ROUNDS: Final = 6
_MOST_ROUNDS: Final = 12
# What may be left unspent, as a share of the budget.
_UNSPENT: Final = 0.002
# Share of the budget at the expected cost that the ratio of actual to expected costs starts from, and how far
# it may go.
_PRIOR: Final = 0.02
_RATIOS: Final = (0.2, 5.0)
# At last, plans may expect to cost so much more than what is left: they were made for prompts with better
# luck, and what a sample costs is settled when it is sent.
_AT_LAST: Final = 1.25


class Levels(Protocol):
    """What each prompt of a batch would take at each of L levels, from the least to the most."""

    @property
    def value(self) -> FloatArray:
        """Expected chance of being solved, shape (P, L)."""
        ...

    @property
    def cost(self) -> FloatArray:
        """Expected cost, shape (P, L)."""
        ...

    def at(self, rows: Sequence[int], levels: Sequence[int]) -> Sequence[AllocationPlan]:
        """Return the plans of some prompts, each at a level of its own."""
        ...


class Deepening:
    """The turns of a batch that draws until right; implements `planner.drivers.turns.Turns`.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        Of P prompts, for the whole budget; outcomes tell what these expected.
    limit : float
        The budget, above 0, in the unit of the plans.
    task_of : callable
        Makes the task of a prompt, by its number and plan.
    levels : Levels
        Of the same P prompts.
    least : sequence of LeastAnswer
        Set aside for each prompt until it has drawn something; empty to set nothing aside.
    seed : int
        Decides who goes on where that is all the same.
    """

    comes_back = True

    def __init__(
        self,
        plans: Sequence[AllocationPlan],
        *,
        limit: float,
        task_of: Callable[[int, AllocationPlan], Task],
        levels: Levels,
        least: Sequence[LeastAnswer],
        seed: int,
    ) -> None:
        self._plans, self._limit, self._task_of, self._levels = list(plans), limit, task_of, levels
        self._least = np.array([one.cost for one in least] or [0.0] * len(plans))
        self._rng = np.random.default_rng([seed, len(plans)])
        self._level = np.full(len(plans), -1)
        self._n_rounds = 0
        self._spent = self._expected = 0.0

    def next(self, standing: Standing) -> Part:
        """Return the prompts that go on now, planned with what is left; none while others are in progress."""
        if standing.open or self._n_rounds == _MOST_ROUNDS:
            return Part([])
        spent = sum(standing.closed.values()) + standing.lost
        left = self._limit - spent
        if self._n_rounds and left < _UNSPENT * self._limit:
            return Part([])
        start = _PRIOR * self._limit
        ratio = float(np.clip((start + spent) / (start + self._expected), *_RATIOS))
        settled = np.zeros(len(self._plans), dtype=bool)
        settled[list(standing.settled)] = True
        rows = np.flatnonzero(~settled)
        share = _SHARE if self._n_rounds < _ROUNDS else 1.0
        share = share if self._n_rounds else _FIRST_SHARE
        chosen, cost = self._deeper(rows, share * left / ratio)
        for most in (left / ratio, _AT_LAST * left):
            if not len(chosen):
                chosen, cost = self._deeper(rows, most)
        if not len(chosen):
            return Part([])
        self._n_rounds += 1
        self._expected += cost
        _LOG.info(
            "round %d: %d prompts go on, %d are settled, %.6g of the budget is left",
            self._n_rounds, len(chosen), len(standing.settled), left,
        )  # fmt: skip
        factor = 0.0
        if self._n_rounds == 1 and self._least.sum() > 0:
            factor = min(1.0, self._limit / float(self._least.sum()))
        found = self._levels.at(chosen.tolist(), self._level[chosen].tolist())
        return Part(
            [
                Turn(row, self._task_of(row, self._as_told(row, plan)), factor * float(self._least[row]))
                for row, plan in zip(chosen.tolist(), found, strict=True)
            ]
        )

    def _as_told(self, row: int, plan: AllocationPlan) -> AllocationPlan:
        """Return the plan with the cost that was told before anything was drawn."""
        return replace(plan, expected_cost=self._plans[row].expected_cost)

    def _deeper(self, rows: NDArray[np.intp], budget: float) -> tuple[NDArray[np.intp], float]:
        """Move prompts to a level that a budget pays, and some to the next; return who, and the cost."""
        more = self._more(rows)
        totals = more.sum(axis=0)
        affordable = np.flatnonzero(totals <= budget)
        level = int(affordable[-1]) if len(affordable) else -1
        first = bool((self._level[rows] < 0).any())
        if level < 0 and first:  # everybody is asked at least once, as far as the money goes
            level = int(totals.argmin())
        paid = more[:, level] if level >= 0 else np.zeros(len(rows))
        reached = np.where(paid > 0, level, self._level[rows])
        left = budget - float(paid.sum())
        if level + 1 < more.shape[1] and not first:
            beyond = more[:, level + 1] - paid
            order = self._rng.permutation(np.flatnonzero(beyond > 0))
            order = order[np.argsort(reached[order], kind="stable")]
            some = order[: int(np.count_nonzero(np.cumsum(beyond[order]) <= left))]
            reached[some] = level + 1
            paid = paid.copy()
            paid[some] += beyond[some]
        moved = paid > 0
        self._level[rows[moved]] = reached[moved]
        return rows[moved], float(paid.sum())

    def _more(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return what each prompt is expected to cost beyond the present, given that it is unsolved."""
        now = self._level[rows]
        drawn = now >= 0
        at = np.arange(len(rows)), np.maximum(now, 0)
        value, cost = self._levels.value[rows], self._levels.cost[rows]
        spent = np.where(drawn, cost[at], 0.0)
        failing = np.where(drawn, np.maximum(1 - value[at], LEAST_FAILING), 1.0)
        return np.asarray(np.maximum(cost - spent[:, None], 0.0) / failing[:, None])
