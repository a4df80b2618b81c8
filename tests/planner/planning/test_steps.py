"""What few prompts take between levels: paid, told between them, of what is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difficulty.prompt import Prompt
from planner.planner import Planner
from planner.planning.batch import Batch
from planner.planning.request import Request
from planner.planning.steps import FEW, may_step
from policies.choice.levels import spend
from policies.cost.budget import Budget
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


@pytest.fixture(scope="module")
def planner(trained: Any) -> Planner:
    return Planner.load(trained.folder)


def ready(planner: Planner, prompts: list[Prompt], **asked: Any) -> Batch:
    budget = Budget(limit=1e9, unit=planner.bundle.unit, max_per_prompt=asked.pop("cap", None))
    found = planner._preparer.batch(prompts, Request(budget=budget, **asked))
    assert found is not None
    return found


def test_more_is_told_where_more_is_paid_and_no_more_than_the_next_level(
    planner: Planner, trained: Any
) -> None:
    between = 0
    for prompt in trained.test_log.prompts[:12]:
        alone = ready(planner, [prompt])
        cost, told = alone.menu.cost[0], alone.menu.told[0]
        last = 0.0
        for limit in np.geomspace(cost.min(), 1.2 * cost.max(), 40):
            (plan,) = alone.spend(limit)
            assert plan.expected_cost <= limit * (1 + 1e-8)
            assert plan.expected_accuracy >= max(last, told[cost <= limit].max(initial=0.0)) - 1e-12
            last = plan.expected_accuracy
            if plan.course not in [alone.writer.courses[at] for at in alone.menu.course[0]]:
                between += 1
                assert told[0] <= plan.expected_accuracy <= told[-1]
                assert plan.expected_accuracy > told[cost <= limit].max()
                assert plan.cost_interval is None or plan.cost_interval[0] <= plan.expected_cost
    assert between > 20


@pytest.mark.parametrize("size", [2, 3])
def test_what_few_prompts_leave_over_buys_steps(planner: Planner, trained: Any, size: int) -> None:
    between, spent = 0, {True: 0.0, False: 0.0}
    prompts = list(trained.test_log.prompts)
    for start in range(0, 6 * size, size):
        few = ready(planner, prompts[start : start + size])
        least, most = float(few.menu.cost.min(axis=1).sum()), float(few.menu.cost.max(axis=1).sum())
        levels = {few.writer.courses[at] for at in few.menu.course.ravel()}
        last = 0.0
        for limit in np.geomspace(least, most, 25):
            plans, plain = few.spend(limit), replace(few, stepped=None).spend(limit)
            told = sum(plan.expected_accuracy for plan in plans)
            assert sum(plan.expected_cost for plan in plans) <= limit * (1 + 1e-8)
            assert told >= max(last, sum(plan.expected_accuracy for plan in plain)) - 1e-9
            last = told
            between += sum(plan.course not in levels for plan in plans)
            for stepped, found in ((True, plans), (False, plain)):
                spent[stepped] += sum(plan.expected_cost for plan in found) / limit
    assert between > 20
    assert spent[True] > 1.01 * spent[False]


def test_each_of_few_prompts_has_the_steps_that_it_has_alone(planner: Planner, trained: Any) -> None:
    prompts = list(trained.test_log.prompts[:3])
    few = ready(planner, prompts).stepped
    assert few is not None
    for row, prompt in enumerate(prompts):
        alone = ready(planner, [prompt]).stepped
        assert alone is not None
        size = alone.level.shape[1]
        for name in ("course", "value", "told", "cost"):
            ours = getattr(few.menu, name)[row]
            np.testing.assert_allclose(ours[:size], getattr(alone.menu, name)[0], rtol=1e-6)
            assert (ours[size:] == ours[0]).all()
        assert few.level[row, :size].tolist() == alone.level[0].tolist()


def test_steps_keep_to_caps_and_restrictions(planner: Planner, trained: Any) -> None:
    prompt = trained.test_log.prompts[0]
    cap = float(np.median(ready(planner, [prompt]).menu.cost))
    capped, shot = ready(planner, [prompt], cap=cap).stepped, ready(planner, [prompt], one_shot=True).stepped
    assert capped is not None and (capped.menu.cost <= cap).all()
    assert shot is not None and shot.level.shape[1] > len(planner.bundle.policy.prices)
    assert all(planner.bundle.table.courses[at].one_shot for at in shot.menu.course[0])


def test_batches_prices_and_planners_without_a_log_know_levels_alone(planner: Planner, trained: Any) -> None:
    prompts = list(trained.test_log.prompts[: FEW + 1])
    assert ready(planner, prompts).stepped is None
    assert ready(planner, prompts[:1], target_risk=0.2).stepped is None
    assert ready(Planner.untrained(), prompts[:1]).stepped is None
    at_price = planner._preparer.batch(prompts[:1], Request(price=1e-4))
    assert at_price is not None and at_price.stepped is None


def test_steps_are_static_courses_that_need_nothing_new() -> None:
    vote, best = Selection(), Selection(by="best", signal="mean_logprob")
    courses = [
        Course(steps=waves("a", (1, 1, 1)), selection=vote, stop=Agreement(count=2)),
        Course(steps=waves("a", (5,)), selection=vote),
        Course(steps=waves("a", (5,)), selection=best),
        Course(steps=waves("b", (5,)), selection=vote),
        Course(steps=waves("a", (1, 1, 1, 1)), selection=vote, stop=Agreement(count=2)),
        Course(steps=waves("a", (2,)) + waves("b", (2,)), selection=vote),
        Course(steps=(Step(generator="a", kind="search", strategy="beam_search", n=4),), selection=vote),
    ]
    assert may_step(courses, np.arange(7) == 0).tolist() == [0, 1]


def test_one_prompt_is_told_what_the_best_of_all_dearer_ways_gains() -> None:
    value, cost, prices = np.array([[0.2, 0.3, 0.6]]), np.array([[1.0, 3.0, 4.0]]), np.array([1.0, 0.1, 0.01])
    found = [spend(value, cost, budget=budget, prices=prices) for budget in (1.0, 3.5, 4.0)]
    assert [one.level.tolist() for one in found] == [[0], [1], [2]]
    assert [one.price for one in found] == pytest.approx([0.4 / 3, 0.3, 0.0])
