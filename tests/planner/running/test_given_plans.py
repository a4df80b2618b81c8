"""Plans that were made before are carried out as they are, by the ids of their prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from planner import Allocation, Budget, Planner, Prompt
from planner.simulated import SimulatedBackend, SimulatedExtractor
from policies.course.allocate import course_of

PROMPTS = [Prompt(id=name, text=f"question {name}") for name in "abcd"]
PLANNER = Planner.untrained()
PLANS = PLANNER.plan(PROMPTS, budget=Budget(limit=4, unit="samples"))
HOW: dict[str, Any] = {"backend": SimulatedBackend(), "extractor": SimulatedExtractor()}


def test_changed_plans_are_carried_out_by_the_ids_of_their_prompts() -> None:
    three = Allocation(generator=PLANS[0].allocation.generator, strategy="majority_vote", width=3)
    changed = [replace(plan, allocation=three, course=course_of(three)) for plan in PLANS]
    changed[1] = replace(changed[1], allocation=replace(three, width=5), course=None)
    outcomes = PLANNER.run(PROMPTS[:3], plans=changed[::-1], **HOW)
    assert [(one.prompt_id, one.usage.samples) for one in outcomes] == [("a", 3), ("b", 5), ("c", 3)]


def test_a_budget_beside_plans_is_held_against_actual_usage() -> None:
    eight = Allocation(generator=PLANS[0].allocation.generator, strategy="majority_vote", width=8)
    many = [replace(plan, allocation=eight, course=course_of(eight)) for plan in PLANS]
    outcomes = PLANNER.run(PROMPTS, plans=many, budget=Budget(limit=5, unit="samples"), **HOW)
    assert 16 <= sum(one.usage.samples for one in outcomes) <= 20


def test_no_prompts_take_no_plans() -> None:
    assert PLANNER.run([], plans=PLANS, **HOW) == []


@pytest.mark.parametrize(
    ("prompts", "asked", "words"),
    [
        ([*PROMPTS, Prompt(id="e", text="?")], {"plans": PLANS}, "no plan for 1 of 5 prompts, such as 'e'"),
        (PROMPTS, {"plans": [*PLANS, replace(PLANS[0], price=2.0)]}, "two plans for 'a'"),
        (PROMPTS, {"plans": PLANS, "budget": Budget(limit=9, unit="output_tokens")}, "one unit, got output_"),
        (PROMPTS, {"plans": PLANS, "price": 0.1}, "only a budget goes with them"),
        (PROMPTS, {"plans": PLANS, "one_shot": True}, "only a budget goes with them"),
    ],
)
def test_what_does_not_go_with_plans_is_refused(prompts: list[Prompt], asked: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInputError, match=words):
        PLANNER.run(prompts, **asked, **HOW)
