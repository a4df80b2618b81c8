"""Strangers take courses of one model, as how several of them agree is a matter of the kind of prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weighing import DenseWeights
from planner.planning.menu import Chooser, Likeness, Taken, menu_of
from planner.planning.steps import with_steps
from policies.choice.telling import Telling
from tests.support.tiny_bed import COURSES, PRICES, tiny_bed

OF_ONE = np.array([len(course.generators) == 1 for course in COURSES])
# Cascade and pooled vote are on offer, and one course of a single generator.
OFFERED = np.tile(~OF_ONE | (np.arange(len(COURSES)) == 1), (len(PRICES), 1))
KNOWN = np.array([1.0, 0.0, 0.51, 0.49])


def chooser_of(*, of_one: NDArray[np.bool_] = OF_ONE, offset: float = 0.0, ratio: float = 1.0) -> Chooser:
    bed = tiny_bed(offered=OFFERED)
    plain = Telling.plain(len(PRICES))
    telling = replace(plain, offset=plain.offset + offset, cost=plain.cost * ratio)
    return Chooser(
        policy=replace(bed.subject.policy, telling=telling),
        expectation=bed.subject.expectation,
        allowed=np.ones(len(COURSES), dtype=bool),
        place=np.arange(len(COURSES)),
        by_text=np.ones(len(PRICES), dtype=bool),
        of_one=of_one,
    )


def taken(chooser: Chooser, familiarity: NDArray[np.float64] | None, price: float | None = None) -> Taken:
    bed = tiny_bed(4, offered=OFFERED)
    like = Likeness(DenseWeights(bed.weights), None, familiarity, np.full(4, 0.5))
    return chooser.take(bed.prompts, like, price)


def test_strangers_take_courses_of_one_model_and_the_others_what_they_did() -> None:
    before, after = taken(chooser_of(), None), taken(chooser_of(), KNOWN)
    strange = KNOWN < 0.5
    assert (after.course[~strange] == before.course[~strange]).all()
    assert OF_ONE[after.course[strange]].all()
    assert not OF_ONE[before.course[strange]].all()
    at_price = taken(chooser_of(), KNOWN, 0.1)
    assert OF_ONE[at_price.course[strange]].all() and at_price.told.shape == (4, 1)


def test_where_no_course_of_one_model_may_be_taken_strangers_take_what_there_is() -> None:
    nothing = np.zeros(len(COURSES), dtype=bool)
    before, after = taken(chooser_of(), None), taken(chooser_of(of_one=nothing), KNOWN)
    assert (after.course == before.course).all()


def test_what_was_learned_of_known_kinds_is_not_told_of_strangers() -> None:
    plain, told = taken(chooser_of(), KNOWN), taken(chooser_of(offset=-0.2, ratio=1.5), KNOWN)
    strange = KNOWN < 0.5
    assert np.allclose(told.told[strange], plain.told[strange])
    assert np.allclose(told.cost[strange], plain.cost[strange])
    assert (told.told[~strange] < plain.told[~strange]).all()
    assert (np.diff(told.told, axis=1) >= 0).all()


def test_steps_of_a_stranger_are_of_one_model_too() -> None:
    bed = tiny_bed(1)
    usual = bed.subject.value.mean(axis=0)
    # Half of the levels offer the least valuable course of one model, half the most valuable one.
    offered = np.zeros((len(PRICES), len(COURSES)), dtype=bool)
    offered[:6, np.where(OF_ONE, usual, np.inf).argmin()] = True
    offered[6:, np.where(OF_ONE, usual, -np.inf).argmax()] = True
    chooser = chooser_of()
    chooser = replace(chooser, policy=replace(chooser.policy, offered=offered))

    def steps(familiarity: float) -> NDArray[np.int32]:
        like = Likeness(None, None, np.array([familiarity]), np.full(1, 0.5))
        menu = menu_of(chooser, bed.prompts, lambda _: like)
        menu = menu._replace(cost=menu.cost - 2.0)  # every step costs more than the cheapest level
        return with_steps(menu, chooser, bed.prompts, like).menu.course[0, len(PRICES) :]

    assert len(steps(0.0)) and OF_ONE[steps(0.0)].all()
    assert not OF_ONE[steps(1.0)].all()


def test_evaluation_plays_strangers_as_plans_do() -> None:
    bed = tiny_bed(4, offered=OFFERED)
    known, strange = (replace(bed, familiarity=np.full(4, one)).chosen() for one in (1.0, 0.0))
    assert (known == bed.chosen()).all()
    assert OF_ONE[strange].all() and not OF_ONE[known].all()
    # Only what is deployed: of one model that is one course.
    assert set(strange.ravel().tolist()) == {1}
