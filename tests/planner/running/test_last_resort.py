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
from planner.running.parts import LeastAnswer
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.plan.plan import AllocationPlan

GENERATORS = {"tiny": Generator(name="tiny", max_output_tokens=400)}
SEARCH = Step(
    generator="tiny",
    n=4,
    kind="search",
    strategy="beam_search",
    params={"max_steps": 3, "max_step_tokens": 100},
)


@pytest.mark.parametrize("driver", ["lockstep", "concurrent"])
@pytest.mark.parametrize("probe", [False, True], ids=["alone", "after a probe"])
def test_a_search_that_is_cut_by_its_budget_ends_with_a_cheap_answer(driver: DriverName, probe: bool) -> None:
    course = Course(steps=((*waves("tiny", (1,)), SEARCH) if probe else (SEARCH,)))
    answered, cut = 0, 0
    for seed in range(25):
        prompt = Prompt(id=f"p{seed}", text="?", prompt_tokens=20)
        plan = AllocationPlan(
            prompt_id=prompt.id,
            allocation=summary_of(course),
            course=course,
            expected_accuracy=0.6,
            accuracy_interval=(0.5, 0.7),
            expected_cost=400.0,
            unit="output_tokens",
        )
        (outcome,) = asyncio.run(
            run_plans(
                [plan],
                [prompt],
                backend=SimulatedBackend(n_steps=3, mean_output_tokens=40),
                generators=GENERATORS,
                cost_model=CostModel(unit="output_tokens"),
                budget=Budget(limit=320.0, unit="output_tokens", scope="batch"),
                least=[LeastAnswer("tiny", 40.0)],
                verifier=SimulatedVerifier(),
                extractor=SimulatedExtractor(),
                driver=driver,
                seed=seed,
            )
        )
        assert outcome.usage.output_tokens <= 320
        cut += outcome.stop_reason == "budget"
        answered += outcome.answer is not None
    # One sample in seven is longer than what is kept for it, and its answer is cut.
    assert cut > 15 and answered >= 19


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
