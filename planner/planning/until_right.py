"""What each prompt takes while a checker accepts nothing: the levels of the policy, and more samples.

Beyond the widest course that the log could value, a prompt goes on with samples of the same generator; it is
taken that none of them will be right, so that no value is promised and no budget overrun. How far a run goes
is left to `planner.running.deepening`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.planning.menu import Menu
from policies.course.allocate import summary_of
from policies.course.course import MAX_STEPS, Course, waves
from policies.course.stop import Success
from policies.plan.plan import AllocationPlan

__all__ = ["LEAST_FAILING", "UntilRight", "until_right"]

Write: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.intp]], list[AllocationPlan]]
"""Writes the plans of some prompts (first) at levels of the policy (second)."""

# What a prompt that was all but sure and failed is taken to have had as its chance of failing.
LEAST_FAILING: Final = 0.02
# Samples of each further level over those of the one before.
_MORE: Final = 1.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UntilRight:
    """N prompts at L levels of the policy and at further ones; implements `planner.running.deepening.Levels`.

    Parameters
    ----------
    write : callable
        Writes plans at levels of the policy.
    start : int
        The first of its levels that counts.
    samples : ndarray of intp, shape (N, F)
        Samples that a prompt may have drawn in all at each further level, never falling.
    value, cost : ndarray, shape (N, L + F)
        Told value and expected cost of all levels.
    """

    write: Write
    start: int
    samples: NDArray[np.intp]
    value: NDArray[np.float64]
    cost: NDArray[np.float64]

    def at(self, rows: Sequence[int], levels: Sequence[int]) -> list[AllocationPlan]:
        """Return the plans of some prompts, each at a level of its own."""
        n_levels = self.value.shape[1] - self.samples.shape[1]
        at, level = np.asarray(rows, dtype=np.intp), np.asarray(levels, dtype=np.intp)
        plans = self.write(at, self.start + np.minimum(level, n_levels - 1))
        further = lru_cache(maxsize=None)(_widened)
        for place in np.flatnonzero(level >= n_levels):
            row, column = at[place], level[place]
            plan = plans[place]
            assert plan.course is not None
            course = further(plan.course, int(self.samples[row, column - n_levels]))
            plans[place] = replace(
                plan,
                course=course,
                allocation=summary_of(course),
                expected_cost=float(self.cost[row, column]),
                cost_interval=None,
            )
        return plans


def until_right(
    menu: Menu,
    courses: Sequence[Course],
    write: Write,
    *,
    start: int,
    each: NDArray[np.float64] | None,
    cap: float | None = None,
) -> UntilRight:
    """Return the levels of a menu from `start` on, and further ones as long as courses may be.

    Parameters
    ----------
    menu : Menu
        Of N prompts. At the levels that count, all courses draw from one generator, until a checker accepts.
    courses : sequence of Course
        That the menu names.
    write : callable
        Writes plans at levels of the menu.
    start : int
        The first level that counts.
    each : ndarray, shape (N,), optional
        Cost of one sample of that generator; None where it is not known, and there are no further levels.
    cap : float, optional
        The most that one prompt may cost.
    """
    value, cost = menu.value[:, start:], menu.cost[:, start:]
    widest = [courses[at] for at in menu.course[:, -1]]
    n = np.array([course.n for course in widest], dtype=np.intp)
    samples: list[NDArray[np.intp]] = []
    costs: list[NDArray[np.float64]] = []
    if each is None or not (each > 0).all():
        each, most = np.ones(len(n)), n
    else:
        most = n + MAX_STEPS - np.array([len(course.steps) for course in widest], dtype=np.intp)
    if cap is not None:
        most = np.minimum(most, np.maximum(n, (cap / each).astype(np.intp)))
    failing = np.maximum(1 - value[:, -1], LEAST_FAILING)
    last = n
    while (last < most).any():
        last = np.minimum(np.maximum(np.ceil(last * _MORE).astype(np.intp), last + 1), most)
        samples.append(last)
        costs.append(cost[:, -1] + failing * (last - n) * each)
    return UntilRight(
        write=write,
        start=start,
        samples=np.array(samples, dtype=np.intp).reshape(-1, len(n)).T,
        value=np.concatenate([value, np.repeat(value[:, -1:], len(samples), axis=1)], axis=1),
        cost=np.column_stack([cost, *costs]),
    )


def _widened(course: Course, n: int) -> Course:
    """Return a course that goes on, one sample at a time, until a checker accepts or `n` are drawn."""
    more = waves(course.generators[0], (1,) * (n - course.n))
    return replace(course, steps=(*course.steps, *more), stop=Success()) if more else course
