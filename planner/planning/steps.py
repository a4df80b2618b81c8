"""What few prompts may take between two levels, since few prompts can hardly mix them.

Levels lie far apart: a batch mixes neighbours, and one prompt leaves what it has beyond the lower one.
Between them it may take what is deployed, and static courses of the same kind. Which of it a budget buys is
left to `policies.choice.levels`, writing plans to `planner.planning.plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray, FloatArray
from difficulty.prompt import Prompt
from planner.planning.menu import Chooser, Likeness, Menu, Taken
from planner.planning.request import STRANGE
from policies.course.course import Course

FEW: Final = 3
"""The most prompts that take steps: five gained too little of them to tell."""


class Stepped(NamedTuple):
    """A menu of N prompts with steps beside their L levels.

    Attributes
    ----------
    menu : Menu
        Of the levels, then of K steps.
    level : ndarray of intp, shape (N, L + K)
        Level by which each is told.
    """

    menu: Menu
    level: NDArray[np.intp]


def may_step(courses: Sequence[Course], deployed: BoolArray) -> NDArray[np.intp]:
    """Return the numbers of courses that steps are taken from: deployed ones, and static ones like them.

    Static courses of samples ask for no belief; they may be taken of generators and by selections that
    deployed courses have, so that nothing else is needed to carry them out.
    """
    ways = {(c.generators, c.selection) for c, used in zip(courses, deployed, strict=True) if used}
    like = [
        course.one_shot
        and len(course.generators) == 1
        and (course.generators, course.selection) in ways
        and all(step.kind == "sample" for step in course.steps)
        for course in courses
    ]
    return np.flatnonzero(deployed | np.array(like, dtype=bool))


def with_steps(menu: Menu, chooser: Chooser, prompts: Sequence[Prompt], like: Likeness) -> Stepped:
    """Return the menu of few prompts with steps between their levels.

    Parameters
    ----------
    menu : Menu
        Of N prompts at all levels.
    chooser : Chooser
        Of the courses that steps are taken from, all of the menu's among them.
    prompts : sequence of Prompt
        The N prompts.
    like : Likeness
        What is believed of them.

    Notes
    -----
    A course that is expected to bring more than one level and less than the next is told what lies as far
    between what these are told, so that it is told no more of its luck than they are: single prompts of four
    logs brought .005 more, batches of two and three about as much, and were told as truly as before
    (`notebooks/LOG.md`, 2026-11-30).
    """
    expectation, allowed = chooser.expectation, chooser.allowed[None]
    tokens, choosing = expectation.tokens(prompts), like.weights if chooser.by_text.any() else None
    seen = expectation.expect_alike(tokens) if choosing is None else expectation.expect(choosing, tokens)
    if like.familiarity is not None:
        allowed = allowed & (chooser.of_one | (like.familiarity >= STRANGE)[:, None])
    allowed = np.broadcast_to(allowed, seen[0].shape)
    levels = Taken(menu.course, menu.value, menu.told, menu.cost)
    found = [
        _steps(Taken(*(array[row] for array in levels)), chooser, seen[0][row], seen[1][row], allowed[row])
        for row in range(len(prompts))
    ]
    most = max(len(level) for _, level in found)

    def beside(own: NDArray[Any], steps: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Put steps beside levels; whoever has fewer of them than another has the first level once more."""
        rows = zip(own, steps, strict=True)
        return np.stack([np.r_[row, more, row[:1].repeat(most - len(more))] for row, more in rows])

    names = Taken._fields
    whole = {name: beside(getattr(menu, name), [getattr(own, name) for own, _ in found]) for name in names}
    usual = np.tile(np.arange(menu.course.shape[1]), (len(prompts), 1))
    return Stepped(menu._replace(**whole), beside(usual, [level for _, level in found]))


def _steps(
    levels: Taken, chooser: Chooser, value: FloatArray, cost: FloatArray, allowed: BoolArray
) -> tuple[Taken, NDArray[np.intp]]:
    """Return what one prompt may take between its levels, shape (K,), and the level that each is told by.

    Values and costs that are expected of it and what it may take have shape (C,).
    """
    expectation, columns = chooser.expectation, chooser.place
    reached = np.maximum.accumulate(value[np.searchsorted(columns, levels.course)])
    level = np.minimum(np.searchsorted(reached, value), len(reached) - 1)
    paid = cost * np.where(expectation.exact, 1.0, chooser.policy.telling.cost[level])
    paid = np.maximum(paid, expectation.least)
    between = (value > reached[0]) & (value < reached[-1]) & (paid > levels.cost.min())
    steps = np.flatnonzero(allowed & (paid <= chooser.cap) & between)
    steps = steps[np.argsort(paid[steps], kind="stable")]
    told, decides = (np.interp(value[steps], reached, at) for at in (levels.told, levels.value))
    return Taken(columns[steps].astype(np.int32), decides, told, paid[steps]), level[steps]
