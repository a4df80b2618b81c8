"""A search that is cut by a budget leaves nothing: one cheap answer is kept for it, and planned with."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.session import DriverName
from planner.planning.batch import LAST_RESORT
from planner.planning.preparer import Preparer
from planner.planning.request import Request
from planner.ports.outcome import Outcome
from planner.running.parts import LeastAnswer
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.budget import Budget, Unit
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.plan.plan import AllocationPlan

GENERATORS = {"tiny": Generator(name="tiny", max_output_tokens=400)}
both = pytest.mark.parametrize("driver", ["lockstep", "concurrent"])
SEARCH = Step(
    generator="tiny",
    n=4,
    kind="search",
    strategy="beam_search",
    params={"max_steps": 3, "max_step_tokens": 100},
)


def run_alone(
    course: Course, seed: int, *, unit: Unit, limit: float, least: float, driver: DriverName
) -> Outcome:
    prompt = Prompt(id=f"p{seed}", text="?", prompt_tokens=20)
    plan = AllocationPlan(
        prompt_id=prompt.id,
        allocation=summary_of(course),
        course=course,
        expected_accuracy=0.6,
        accuracy_interval=(0.5, 0.7),
        expected_cost=limit,
        unit=unit,
    )
    (outcome,) = asyncio.run(
        run_plans(
            [plan],
            [prompt],
            backend=SimulatedBackend(n_steps=3, mean_output_tokens=40),
            generators=GENERATORS,
            cost_model=CostModel(unit=unit),
            budget=Budget(limit=limit, unit=unit, scope="batch"),
            least=[LeastAnswer("tiny", least)],
            verifier=SimulatedVerifier(),
            extractor=SimulatedExtractor(),
            driver=driver,
            seed=seed,
        )
    )
    assert outcome.cost is not None and outcome.cost <= limit
    return outcome


@both
@pytest.mark.parametrize("probe", [False, True], ids=["alone", "after a probe"])
def test_a_search_that_is_cut_by_its_budget_ends_with_a_cheap_answer(driver: DriverName, probe: bool) -> None:
    course = Course(steps=((*waves("tiny", (1,)), SEARCH) if probe else (SEARCH,)))
    outcomes = [
        run_alone(course, seed, unit="output_tokens", limit=320.0, least=40.0, driver=driver)
        for seed in range(25)
    ]
    # One sample in five is longer than what is kept for it, and its answer is cut.
    assert sum(outcome.stop_reason == "budget" for outcome in outcomes) > 15
    assert sum(outcome.answer is not None for outcome in outcomes) >= 19


@both
@pytest.mark.parametrize("limit", [11.0, 12.0])
def test_no_request_of_a_search_takes_what_is_kept_for_its_last_resort(
    driver: DriverName, limit: float
) -> None:
    wide = replace(SEARCH, n=8, params={"beam_width": 4})
    for seed in range(12):
        outcome = run_alone(
            Course(steps=(wide,)), seed, unit="samples", limit=limit, least=1.0, driver=driver
        )
        assert outcome.answer is not None


def test_a_search_of_few_prompts_is_planned_with_money_for_an_answer(trained: Any) -> None:
    table, deployed = trained.bundle.table, np.flatnonzero(trained.bundle.deployed)
    courses = list(table.courses)
    for at in deployed:
        if courses[at].n > 2 and len(courses[at].generators) == 1:
            courses[at] = Course(steps=(replace(SEARCH, generator=courses[at].generators[0], n=4),))
    preparer = Preparer(bundle=replace(trained.bundle, table=replace(table, courses=tuple(courses))))
    n_searches = 0
    for prompt in trained.test_log.prompts[:12]:
        for limit in np.geomspace(40.0, 2000.0, 30):
            asked = Request(budget=Budget(limit=float(limit), unit="output_tokens", scope="batch"))
            ready = preparer.batch([prompt], asked)
            assert ready is not None
            try:
                (plan,) = ready.plans(asked)
            except InvalidBudgetError:
                continue
            ((_, least),) = ready.least() or ()
            if plan.course is not None and plan.course.steps[-1].kind == "search":
                n_searches += 1
                assert plan.expected_cost + LAST_RESORT * least <= limit * (1 + 1e-9)
    assert n_searches > 20
