"""What each prompt would take at each price, with what is told of it: the menu that one price is chosen from.

Beliefs are formed a chunk of prompts at a time, since what is expected of all courses takes much memory.
Which level each prompt gets is left to `policies.choice.levels`, writing plans to `planner.planning.plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.weighing import Weighing
from difficulty.errors import InvalidBudgetError
from difficulty.prompt import Prompt
from planner.planning.expectation import Expectation
from planner.planning.request import STRANGE
from policies.choice.course_policy import CoursePolicy

# Prompts whose beliefs are held at a time.
CHUNK: Final = 2048


class Likeness(NamedTuple):
    """What is believed of N prompts: weights over T reference prompts, and how familiar they are.

    Attributes
    ----------
    weights : Weighing or None
        None where all reference prompts count alike.
    sharp : Weighing or None
        Narrower weights, which tell better what a chosen course brings; None where there are none.
    familiarity : ndarray of float64, shape (N,), or None
        In [0, 1]; None where nobody can tell.
    ease : ndarray of float64, shape (N,)
        Share of the reference prompts that look harder, in [0, 1]; 0.5 where nobody can tell.
    """

    weights: Weighing | None
    sharp: Weighing | None
    familiarity: FloatArray | None
    ease: FloatArray

    @classmethod
    def unknown(cls, prompts: Sequence[Prompt]) -> Self:
        """Return what is believed where text says nothing."""
        return cls(None, None, None, np.full(len(prompts), 0.5))


class Taken(NamedTuple):
    """What N prompts take, shape (N, L).

    Attributes
    ----------
    course : ndarray of int32
        Column of the course.
    value : ndarray of float64
        Value by which levels are compared: what is told where prompts choose by their text at some level, and
        else what is told of an average prompt, so that all get the same.
    told : ndarray of float64
        Told value.
    cost : ndarray of float64
        Told cost.
    """

    course: NDArray[np.int32]
    value: FloatArray
    told: FloatArray
    cost: FloatArray


class Menu(NamedTuple):
    """What N prompts would take at L levels; arrays of shape (N, L), and (N,) for the rest.

    Attributes
    ----------
    course, value, told, cost
        As in `Taken`.
    familiarity : ndarray of float64, or None
        As in `Likeness`.
    ease : ndarray of float64
        As in `Likeness`.
    """

    course: NDArray[np.int32]
    value: FloatArray
    told: FloatArray
    cost: FloatArray
    familiarity: FloatArray | None
    ease: FloatArray

    def take(self, rows: NDArray[np.intp]) -> Menu:
        """Return the menu of some of the prompts."""
        return Menu._make(None if column is None else column[rows] for column in self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Chooser:
    """Takes courses for prompts.

    Parameters
    ----------
    policy : CoursePolicy
        Prices and offers.
    expectation : Expectation
        Of the same courses.
    allowed : ndarray of bool, shape (C,)
        Courses that may be taken at all.
    place : ndarray of intp, shape (C,)
        Column of each course in the bundle's table, which plans are written from.
    by_text : ndarray of bool, shape (L,)
        Whether prompts choose by their text at each price.
    of_one : ndarray of bool, shape (C,)
        Courses that draw from one generator: all that strangers take, where any is allowed. How often several
        models agree, and where they do not answer, is a matter of the kind of prompt.
    cap : float
        The most that a prompt may be expected to cost; infinite for no cap.
    """

    policy: CoursePolicy
    expectation: Expectation
    allowed: NDArray[np.bool_]
    place: NDArray[np.intp]
    by_text: NDArray[np.bool_]
    of_one: NDArray[np.bool_]
    cap: float = np.inf

    def take(self, prompts: Sequence[Prompt], like: Likeness, price: float | None) -> Taken:
        """Return what prompts take at every level, or at one price; shape (N, L) or (N, 1).

        What is told at a price is told of its level, so that it never falls with the price. What is expected
        of strangers is told as it is: how far off it may be was learned from known kinds.
        """
        tokens = self.expectation.tokens(prompts)
        alike = self.expectation.expect_alike(tokens)
        # Where nobody chooses by text, values are told by it, and budgets tell prompts apart by length.
        by_text = bool(self.by_text.any())
        choosing = like.weights if by_text else None
        value, cost = alike
        if choosing is not None:
            value, cost = self.expectation.expect(choosing, tokens)
        strange = np.zeros(len(prompts), dtype=bool)
        if like.familiarity is not None:
            strange = like.familiarity < STRANGE
        policy, allowed = self.policy, self._allowed(prompts, cost, strange)
        open_to = None if allowed.all() else allowed
        course = np.empty((len(prompts), len(policy.prices)), dtype=np.intp)
        for (seen, spent), levels in (
            ((value, cost), self.by_text.nonzero()[0]),
            (alike, (~self.by_text).nonzero()[0]),
        ):
            if len(levels):
                course[:, levels] = policy.choose(seen, spent, open_to, levels)
        rows = np.arange(len(prompts))[:, None]
        usual = alike[0][rows, course]
        expected = value[rows, course]
        if like.weights is not None and choosing is None:
            expected = self.expectation.expect_value(like.weights, course)
        near = None if like.sharp is None else self.expectation.expect_value(like.sharp, course)
        told = policy.telling.tell(usual, expected, near)
        decides = told if by_text else policy.telling.tell(usual)
        ratio = policy.telling.cost[None]
        if strange.any():
            plain = policy.telling.tell_plainly
            told[strange] = plain(expected[strange])
            decides[strange] = plain((expected if by_text else usual)[strange])
            ratio = np.where(strange[:, None], 1.0, ratio)
        if price is not None:
            level = policy.level_of(price)
            seen, spent = (value, cost) if self.by_text[level] else alike
            course = policy.choose_at(price, seen, spent, open_to, level=level)[:, None]
            told, decides, ratio = told[:, [level]], decides[:, [level]], ratio[:, [level]]
        paid = cost[rows, course] * np.where(self.expectation.exact[course], 1.0, ratio)
        paid = np.maximum(paid, self.expectation.least[course])
        return Taken(self.place[course].astype(np.int32), decides, told, paid)

    def _allowed(
        self, prompts: Sequence[Prompt], cost: FloatArray, strange: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return what each may take, (N, C) or (1, C), at any price."""
        allowed = self._within_cap(prompts, cost)
        if not strange.any():
            return allowed
        own = allowed & (self.of_one | ~strange[:, None])
        return np.where(own.any(axis=1, keepdims=True), own, allowed)

    def _within_cap(self, prompts: Sequence[Prompt], cost: FloatArray) -> NDArray[np.bool_]:
        """Return what each may take, (N, C) or (1, C): whatever the price, what is told keeps to the cap."""
        if np.isinf(self.cap):
            return self.allowed[None]
        most = cost * np.where(self.expectation.exact, 1.0, max(1.0, float(self.policy.telling.cost.max())))
        allowed = self.allowed & (most <= self.cap)
        poor = np.flatnonzero(~allowed.any(axis=1))
        if len(poor):
            least = float(np.where(self.allowed, most, np.inf)[poor].min(axis=1).max())
            raise InvalidBudgetError(
                f"the cheapest plan of prompt {prompts[poor[0]].id!r} is expected to cost more than the cap "
                f"of {self.cap:g} per prompt; raise it to {least:.6g}",
                least=least,
            )
        return allowed

    def single_samples(self, prompts: Sequence[Prompt]) -> tuple[list[str], FloatArray] | None:
        """Return the generators that single samples are planned of, and their cost, shape (N, G')."""
        courses = self.expectation.courses
        alone = [at for at, course in enumerate(courses) if course.n == 1 and self.allowed[at]]
        if not alone:
            return None
        _, cost = self.expectation.expect_alike(self.expectation.tokens(prompts))
        return [courses[at].generators[0] for at in alone], cost[:, alone]


def menu_of(
    chooser: Chooser,
    prompts: Sequence[Prompt],
    likeness: Callable[[Sequence[Prompt]], Likeness],
    price: float | None = None,
) -> Menu:
    """Return the menu of N prompts.

    Parameters
    ----------
    chooser : Chooser
        Takes courses.
    prompts : sequence of Prompt
        N at least 1.
    likeness : callable
        Returns what is believed of some of the prompts; it is asked for `CHUNK` of them at a time.
    price : float, optional
        One price in place of all levels.
    """
    taken, familiarity, ease = [], [], []
    for start in range(0, len(prompts), CHUNK):
        part = prompts[start : start + CHUNK]
        like = likeness(part)
        taken.append(chooser.take(part, like, price))
        familiarity.append(like.familiarity)
        ease.append(like.ease)
    known = [part for part in familiarity if part is not None]
    course, value, told, cost = map(np.concatenate, zip(*taken, strict=True))
    return Menu(
        course=course,
        value=value,
        told=told,
        cost=cost,
        familiarity=np.concatenate(known) if len(known) == len(familiarity) else None,
        ease=np.concatenate(ease),
    )
