"""What a prompt that is planned alone may take between two levels, since one prompt cannot mix them.

Levels lie far apart: a batch mixes neighbours, and one prompt leaves what it has beyond the lower one.
Between them it may take what is deployed, and static courses of the same kind. Which of it a budget buys is
left to `policies.choice.levels`, writing plans to `planner.planning.plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray
from difficulty.prompt import Prompt
from planner.planning.menu import Chooser, Likeness, Menu
from planner.planning.request import STRANGE
from policies.course.course import Course


class Stepped(NamedTuple):
    """A menu of one prompt with steps beside its L levels.

    Attributes
    ----------
    menu : Menu
        Of the levels, then of K steps.
    level : ndarray of intp, shape (L + K,)
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
    """Return the menu of one prompt with steps between its levels.

    Parameters
    ----------
    menu : Menu
        Of one prompt at all levels.
    chooser : Chooser
        Of the courses that steps are taken from, all of the menu's among them.
    prompts : sequence of Prompt
        The one prompt.
    like : Likeness
        What is believed of it.

    Notes
    -----
    A course that is expected to bring more than one level and less than the next is told what lies as far
    between what these are told, so that it is told no more of its luck than they are: single prompts of four
    logs brought .005 more, and were told as truly as before (`notebooks/LOG.md`, 2026-11-30).
    """
    expectation, columns = chooser.expectation, chooser.place
    tokens, choosing = expectation.tokens(prompts), like.weights if chooser.by_text.any() else None
    seen = expectation.expect_alike(tokens) if choosing is None else expectation.expect(choosing, tokens)
    value, cost = seen[0][0], seen[1][0]
    reached = np.maximum.accumulate(value[np.searchsorted(columns, menu.course[0])])
    level = np.minimum(np.searchsorted(reached, value), len(reached) - 1)
    paid = cost * np.where(expectation.exact, 1.0, chooser.policy.telling.cost[level])
    paid = np.maximum(paid, expectation.least)
    between = (value > reached[0]) & (value < reached[-1]) & (paid > menu.cost.min())
    allowed = chooser.allowed
    if like.familiarity is not None and like.familiarity[0] < STRANGE:
        allowed = allowed & chooser.of_one
    steps = np.flatnonzero(allowed & (paid <= chooser.cap) & between)
    steps = steps[np.argsort(paid[steps], kind="stable")]
    told, decides = (np.interp(value[steps], reached, at[0]) for at in (menu.told, menu.value))
    whole = menu._replace(
        course=np.hstack([menu.course, columns[None, steps].astype(np.int32)]),
        value=np.hstack([menu.value, decides[None]]),
        told=np.hstack([menu.told, told[None]]),
        cost=np.hstack([menu.cost, paid[None, steps]]),
    )
    return Stepped(whole, np.concatenate([np.arange(len(reached)), level[steps]]))
