"""Planners travel to workers, and chunks of prompts get the plans that all of them together would get."""

from __future__ import annotations

import pickle
import tracemalloc

import pytest
from conftest import Trained

from planner.planner import Planner
from policies.plan.plan import AllocationPlan

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
PRICE = 1e-4


def of(plans: list[AllocationPlan]) -> list[tuple[str, float | None]]:
    return [(str(plan.course), plan.expected_cost) for plan in plans]


def test_a_pickled_planner_plans_chunks_as_the_batch(trained: Trained) -> None:
    planner = Planner.load(trained.folder)
    texts = [str(prompt.content) for prompt in trained.test_log.prompts]
    other = pickle.loads(pickle.dumps(planner))
    together = of(list(planner.plan(texts, price=PRICE)))
    apart = [
        one for at in range(0, len(texts), 7) for one in of(list(other.plan(texts[at : at + 7], price=PRICE)))
    ]
    assert apart == together
    assert len(set(together)) > 1


def test_chunks_of_strange_prompts_leave_no_memory_behind(trained: Trained) -> None:
    planner = Planner.load(trained.folder)

    def chunk(number: int) -> None:
        texts = [f"What is {number} plus {row}, and why?" + " please" * (row % 5) for row in range(200)]
        assert len(planner.plan(texts, price=PRICE)) == 200

    for number in range(3):
        chunk(number)
    tracemalloc.start()
    try:
        chunk(3)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(4, 10):
            chunk(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000, "1200 prompts"
