"""Reasons say what a plan rests on, what it does, and why no more was bought; strangers are told so."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difficulty.prompt import Prompt
from planner.backends.callable import CallableBackend
from planner.planner import Planner
from planner.planning.menu import Menu
from planner.planning.plans import Writer
from planner.planning.request import UnfamiliarPromptsWarning
from policies.choice.telling import Telling
from policies.cost.budget import Budget, Unit
from policies.course.course import Course, waves
from policies.plan.wire import plan_from_json, plan_to_json

STRANGE = [
    "证明黎曼猜想。",
    "\x07 zq9 \x1f kk0 {{{ ;;; ~~~ ^^^ |||",
    "Prove the Riemann hypothesis in LaTeX.",
]


@pytest.fixture(scope="module")
def planner(trained: Any) -> Planner:
    return Planner.load(trained.folder)


def easiest_first(trained: Any) -> list[str]:
    """Return texts of held-out prompts by what was recorded of them."""
    counts = trained.test_log.counts()
    order = np.argsort(-(counts.n_correct / counts.n).mean(axis=1), kind="stable")
    return [trained.test_log.prompts[row].text for row in order]


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
def test_a_plan_places_the_prompt_among_the_training_prompts(planner: Planner, trained: Any) -> None:
    reasons = [plan.reason for plan in planner.plan(easiest_first(trained), price=1e-4)]

    def shares(some: list[str]) -> list[int]:
        return [int(r.split("easier than ")[1].split(" %")[0]) for r in some if "easier than " in r]

    easy, hard = shares(reasons[:20]), shares(reasons[-20:])
    assert len(easy) > 10 and len(hard) > 10
    assert np.mean(easy) > np.mean(hard) + 30


def test_what_suits_everybody_and_what_is_made_up_do_not_pretend_to_know_the_prompt(trained: Any) -> None:
    policy = trained.bundle.policy
    first = policy.offered.argmax(axis=1)
    alike = replace(policy, offered=first[:, None] == np.arange(policy.offered.shape[1]))
    planner = Planner(bundle=replace(trained.bundle, policy=alike))
    (plan,) = planner.plan([trained.train_log.prompts[0].text], price=1e-4)
    assert plan.reason.startswith("the same for everybody")
    (cold,) = Planner.untrained().plan(["What is 6 times 7?"], budget=Budget(limit=4, unit="samples"))
    assert cold.reason.startswith("nothing was recorded yet")
    assert cold.familiarity is None


def reason(price: float, unit: Unit) -> str:
    """Return the reason of a plan of one course at a price."""
    writer = Writer(
        courses=[Course(steps=waves("g", (3,)))],
        telling=Telling.plain(1),
        learned_unit=unit,
        ground="everybody",
        objective="accuracy",
        unit=unit,
    )
    one = np.ones((1, 1))
    menu = Menu(np.zeros((1, 1), dtype=np.int32), 0.5 * one, 0.5 * one, one, None, np.array([0.5]))
    level = np.zeros(1, dtype=np.intp)
    (plan,) = writer.write([Prompt(text="x")], menu, level, price=price, told_by=level)
    assert plan_from_json(plan_to_json(plan)) == plan
    assert str(plan.course) in plan.reason
    return plan.reason


def test_the_price_says_why_no_more_was_bought() -> None:
    assert reason(2e-4, "samples").endswith("more would gain less than 0.0002 per sample")
    assert reason(0.0, "samples").endswith("nothing that would add more")


def test_units_are_named_in_the_singular() -> None:
    singular: list[tuple[Unit, str]] = [
        ("flops", "per FLOP"),
        ("usd", "per dollar"),
        ("output_tokens", "per output token"),
    ]
    for unit, words in singular:
        assert reason(1.0, unit).endswith(words)


def test_strangers_are_told_so_once_per_batch_and_at_the_caller(planner: Planner) -> None:
    with pytest.warns(UnfamiliarPromptsWarning, match="3 of 3 prompts are unlike") as caught:
        plans = planner.plan(STRANGE, budget=Budget(limit=200, unit="output_tokens"))
    assert [warning.filename for warning in caught] == [__file__]
    for plan in plans:
        assert plan.familiarity is not None and 0 <= plan.familiarity < 0.5
        assert plan.reason.startswith("unlike the training prompts")


@pytest.mark.parametrize("blocking", [True, False])
def test_runs_too_warn_at_the_caller_and_not_in_the_event_loop(planner: Planner, blocking: bool) -> None:
    backend = CallableBackend(lambda messages: "4")

    async def ask() -> None:
        await planner.arun(STRANGE, price=1e-4, backend=backend)

    with pytest.warns(UnfamiliarPromptsWarning) as caught:
        if blocking:
            planner.run(STRANGE, price=1e-4, backend=backend)
        else:
            asyncio.run(ask())
    told = [warning for warning in caught if warning.category is UnfamiliarPromptsWarning]
    assert [warning.filename for warning in told] == [__file__]


def test_strangers_are_expected_to_do_as_the_average_does(planner: Planner) -> None:
    with pytest.warns(UnfamiliarPromptsWarning):
        plans = planner.plan(STRANGE, price=1e-4)
    value = planner.bundle.table.value.mean(axis=0, dtype=np.float64)
    courses = list(planner.bundle.table.courses)
    for plan in plans:
        assert plan.course is not None
        assert abs(plan.expected_accuracy - value[courses.index(plan.course)]) < 0.15


def test_familiar_prompts_give_no_warning(planner: Planner, trained: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plans = planner.plan([prompt.text for prompt in trained.train_log.prompts[:40]], price=1e-4)
    assert np.mean([plan.familiarity for plan in plans if plan.familiarity is not None]) > 0.9


def test_nobody_can_tell_where_there_is_no_text_to_learn_from(trained: Any) -> None:
    bare = Planner(bundle=replace(trained.bundle, features=None, belief=None))
    (plan,) = bare.plan([STRANGE[0]], price=1e-4)
    assert plan.familiarity is None
