"""What each prompt takes while a checker accepts nothing: the levels of the policy, and more samples.

Between two courses, and beyond the widest that the log could value, a prompt goes on with single samples of
the same generator. Of those beyond it is taken that none will be right, so that no value is promised and no
budget overrun. How far a run goes is left to `planner.running.deepening`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.planning.menu import Menu
from policies.course.allocate import summary_of
from policies.course.course import MAX_STEPS, Course, waves
from policies.course.stop import Success
from policies.plan.plan import AllocationPlan

Write: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.intp]], list[AllocationPlan]]
"""Writes the plans of some prompts (first) at levels of the policy (second)."""

# What a prompt that was all but sure and failed is taken to have had as its chance of failing.
LEAST_FAILING: Final = 0.02
# Samples of each further level over those of the one before.
_MORE: Final = 1.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UntilRight:
    """N prompts at L levels; implements `planner.running.deepening.Levels`.

    Parameters
    ----------
    write : callable
        Writes plans at levels of the policy.
    base : ndarray of intp, shape (L,)
        The level of the policy that each level goes on from.
    samples : ndarray of intp, shape (N, L)
        Samples that a prompt may have drawn in all.
    value, cost : ndarray, shape (N, L)
        Told value and expected cost.
    """

    write: Write
    base: NDArray[np.intp]
    samples: NDArray[np.intp]
    value: NDArray[np.float64]
    cost: NDArray[np.float64]

    def at(self, rows: Sequence[int], levels: Sequence[int]) -> list[AllocationPlan]:
        """Return the plans of some prompts, each at a level of its own."""
        at, level = np.asarray(rows, dtype=np.intp), np.asarray(levels, dtype=np.intp)
        plans = self.write(at, self.base[level])
        further = lru_cache(maxsize=None)(_widened)
        for place, (row, column) in enumerate(zip(at.tolist(), level.tolist(), strict=True)):
            plan, n = plans[place], int(self.samples[row, column])
            assert plan.course is not None
            if n > plan.course.n:
                course = further(plan.course, n)
                plans[place] = replace(
                    plan,
                    course=course,
                    allocation=summary_of(course),
                    expected_cost=float(self.cost[row, column]),
                    cost_interval=None,
                )
        return plans


class _Level(NamedTuple):
    """One level of N prompts, as in `UntilRight`."""

    base: int
    samples: NDArray[np.intp]
    value: NDArray[np.float64]
    cost: NDArray[np.float64]


def until_right(
    menu: Menu,
    courses: Sequence[Course],
    write: Write,
    *,
    start: int,
    each: NDArray[np.float64] | None,
    cap: float | None = None,
) -> UntilRight:
    """Return the levels of a menu from `start` on, finer ones between them, and further ones.

    Where some of the unsolved may draw 24 samples and others 16, fewer are solved than where all may draw 18
    (.002 of coverage); so prompts go on between two levels, too, sample by sample from the lower one.

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
    sizes = np.array([course.n for course in courses], dtype=np.intp)
    n, value, cost = sizes[menu.course[:, start:]], menu.value[:, start:], menu.cost[:, start:]
    levels = [_Level(start, n[:, 0], value[:, 0], cost[:, 0])]
    for at in range(1, n.shape[1]):
        lower = _Level(start + at - 1, n[:, at - 1], value[:, at - 1], cost[:, at - 1])
        upper = _Level(start + at, n[:, at], value[:, at], cost[:, at])
        levels += [*_between(lower, upper), upper]
    if each is not None and (each > 0).all():
        n_steps = np.array([len(courses[at].steps) for at in menu.course[:, -1]], dtype=np.intp)
        most = n[:, -1] + MAX_STEPS - n_steps
        if cap is not None:
            most = np.minimum(most, np.maximum(n[:, -1], (cap / each).astype(np.intp)))
        levels += _beyond(levels[-1], most, each)
    return UntilRight(
        write=write,
        base=np.array([level.base for level in levels], dtype=np.intp),
        samples=np.column_stack([level.samples for level in levels]),
        value=np.column_stack([level.value for level in levels]),
        cost=np.column_stack([level.cost for level in levels]),
    )


def _between(lower: _Level, upper: _Level) -> list[_Level]:
    """Return levels whose value and cost lie on the line between two."""
    fewer, more = lower.samples, np.maximum(upper.samples, lower.samples)
    found, drawn = [], _next(fewer)
    while (drawn < more).any():
        drawn = np.minimum(drawn, more)
        share = (drawn - fewer) / np.maximum(more - fewer, 1)
        value = lower.value + share * (upper.value - lower.value)
        cost = lower.cost + share * (upper.cost - lower.cost)
        found.append(_Level(lower.base, drawn, value, cost))
        drawn = _next(drawn)
    return found


def _beyond(last: _Level, most: NDArray[np.intp], each: NDArray[np.float64]) -> list[_Level]:
    """Return further levels, which promise nothing more, up to a number of samples of each prompt."""
    failing = np.maximum(1 - last.value, LEAST_FAILING)
    found, drawn = [], last.samples
    while (drawn < most).any():
        drawn = np.minimum(_next(drawn), most)
        cost = last.cost + failing * (drawn - last.samples) * each
        found.append(_Level(last.base, drawn, last.value, cost))
    return found


def _next(drawn: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.asarray(np.maximum(np.ceil(drawn * _MORE).astype(np.intp), drawn + 1))


def _widened(course: Course, n: int) -> Course:
    """Return a course that goes on, one sample at a time, until a checker accepts or `n` are drawn."""
    more = waves(course.generators[0], (1,) * (n - course.n))
    return replace(course, steps=(*course.steps, *more), stop=Success()) if more else course
