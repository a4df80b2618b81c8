"""Plans that are run: they cost and earn what was expected, spend their budget, and never exceed it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.budget import Budget

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


@pytest.fixture(scope="module")
def planner(trained: Any) -> Planner:
    return Planner.load(trained.folder)


def test_outcomes_cost_and_earn_what_was_expected(planner: Planner, trained: Any) -> None:
    """Differences over their standard errors below 5.2: a false alarm in 4e-7 over the two (normal)."""
    log = trained.test_log
    plans = planner.plan(log.prompts, price=1e-3)
    outcomes = planner.run(log.prompts, price=1e-3, backend=ReplayBackend(log))
    gold = {prompt.id: prompt.gold for prompt in log.prompts}
    cost = np.array([outcome.cost for outcome in outcomes]) - [plan.expected_cost for plan in plans]
    right = np.array([outcome.answer == gold[outcome.prompt_id] for outcome in outcomes], dtype=float)
    right -= [plan.expected_accuracy for plan in plans]
    # The references are a sample of prompts, too.
    error = np.sqrt(1 / len(plans) + 1 / len(planner.bundle.references))
    for difference in (cost, right):
        assert abs(difference.mean()) < 5.2 * difference.std() * error
    assert {outcome.stop_reason for outcome in outcomes} <= {"satisfied", "complete"}


@pytest.mark.parametrize("one_shot", [False, True])
def test_one_shot_plans_decide_before_the_first_sample(
    planner: Planner, one_shot: bool, trained: Any
) -> None:
    prompts = trained.test_log.prompts
    plans = [
        plan
        for price in (1e-2, 1e-3, 1e-4, 1e-6)
        for plan in planner.plan(prompts, price=price, one_shot=one_shot)
    ]
    assert all(plan.course is not None and plan.course.one_shot for plan in plans) == one_shot
    assert len(planner.frontier(prompts, one_shot=one_shot)) > 2


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_plan_waits_more_often_than_max_rounds(planner: Planner, trained: Any, most: int) -> None:
    prompts = trained.test_log.prompts[:40]
    for price in (1e-3, 1e-5):
        for plan in planner.plan(prompts, price=price, max_rounds=most):
            assert plan.course is not None
            assert plan.course.rounds <= most
    with pytest.raises(InvalidInputError, match="max_rounds must be at least 1"):
        planner.plan(prompts, price=1e-3, max_rounds=0)


def test_reacting_is_expected_to_beat_deciding_at_once(planner: Planner, trained: Any) -> None:
    prompts, budget = trained.test_log.prompts, Budget(limit=200, unit="output_tokens")
    react, once = planner.plan(prompts, budget=budget), planner.plan(prompts, budget=budget, one_shot=True)
    assert np.mean([p.expected_accuracy for p in react]) > np.mean([p.expected_accuracy for p in once])


def simulated(n: int) -> tuple[list[str], SimulatedBackend]:
    """Return n prompts and a backend whose samples of them are right between 2 and 19 times in 20."""
    texts = [f"prompt {number}" for number in range(n)]
    chances = np.random.default_rng(n).uniform(0.1, 0.95, n)
    plans = Planner.untrained().plan(texts, price=1.0)
    success = {plan.prompt_id: float(chance) for plan, chance in zip(plans, chances, strict=True)}
    return texts, SimulatedBackend(success=success, n_wrong=6, mean_output_tokens=500)


@pytest.mark.parametrize("driver", ["lockstep", "concurrent"])
@pytest.mark.parametrize(("n", "limit"), [(1, 5.0), (2, 4.0), (5, 3.0), (60, 6.0), (200, 4.0)])
def test_a_budget_is_spent_and_never_exceeded(driver: Any, n: int, limit: float) -> None:
    texts, backend = simulated(n)
    outcomes = Planner.untrained().run(
        texts,
        backend=backend,
        budget=Budget(limit=limit, unit="samples"),
        extractor=SimulatedExtractor(),
        driver=driver,
    )
    spent = sum(outcome.cost or 0.0 for outcome in outcomes)
    assert spent <= limit * n
    assert all(outcome.answer is not None for outcome in outcomes)
    if n >= 60:
        assert spent >= 0.97 * limit * n


@pytest.mark.parametrize("limit", [1.0, 1.4, 2.0, 7.0])
def test_a_batch_of_one_is_answered(limit: float) -> None:
    texts, backend = simulated(1)
    (outcome,) = Planner.untrained().run(
        texts, backend=backend, budget=Budget(limit=limit, unit="samples"), extractor=SimulatedExtractor()
    )
    assert outcome.answer is not None
    assert outcome.cost is not None and outcome.cost <= limit


def test_what_samples_cost_less_than_expected_buys_more_of_them() -> None:
    texts, backend = simulated(120)
    short = SimulatedBackend(success=backend.success, n_wrong=6, mean_output_tokens=256)
    budget = Budget(limit=1500, unit="output_tokens")
    outcomes = Planner.untrained().run(texts, backend=short, budget=budget, extractor=SimulatedExtractor())
    spent = sum(outcome.cost or 0.0 for outcome in outcomes)
    assert 0.95 * 120 * 1500 < spent <= 120 * 1500
    assert np.mean([outcome.usage.samples for outcome in outcomes]) > 1.5 * 1500 / 512


class Counting:
    """Counts the samples that are asked for."""

    def __init__(self, backend: Any) -> None:
        self.backend, self.n = backend, 0
        self.extractor = backend.extractor

    async def sample(self, requests: Any) -> Any:
        self.n += sum(request.n for request in requests)
        return await self.backend.sample(requests)


def test_a_run_log_pays_nothing_twice_and_tells_courses_apart(
    planner: Planner, trained: Any, tmp_path: Path
) -> None:
    prompts, path = trained.test_log.prompts[:20], tmp_path / "run.jsonl"

    def run(price: float) -> tuple[Any, int]:
        backend = Counting(ReplayBackend(trained.test_log))
        outcomes = planner.run(prompts, price=price, backend=backend, run_log=path)
        return [(outcome.answer, outcome.cost) for outcome in outcomes], backend.n

    first, drawn = run(1e-4)
    second, again = run(1e-4)
    assert drawn > 0
    assert (second, again) == (first, 0)
    cheap, fresh = run(1.0)
    assert 0 < fresh < drawn
    # Without a cap a run pays for what it asks for, whatever others have paid on the same log.
    assert sum(cost for _, cost in cheap) < sum(cost for _, cost in first)


def test_both_drivers_follow_courses_alike(planner: Planner, trained: Any) -> None:
    runs = [
        planner.run(
            trained.test_log.prompts[:25], price=1e-4, backend=ReplayBackend(trained.test_log), driver=driver
        )
        for driver in ("lockstep", "concurrent")
    ]
    first, second = ([(outcome.answer, outcome.cost) for outcome in run] for run in runs)
    assert first == second


def test_a_cap_beside_a_price_is_kept_by_plans_and_binds_runs(planner: Planner, trained: Any) -> None:
    prompts = trained.test_log.prompts[:30]
    cap = 2.5 * max(plan.expected_cost for plan in planner.plan(prompts, price=1e9))
    plans = planner.plan(prompts, price=1e-6, max_per_prompt=cap)
    assert max(plan.expected_cost for plan in plans) <= cap
    outcomes = planner.run(prompts, price=1e-6, max_per_prompt=cap, backend=ReplayBackend(trained.test_log))
    free = planner.run(prompts, price=1e-6, backend=ReplayBackend(trained.test_log))
    assert sum(o.cost or 0 for o in outcomes) < sum(o.cost or 0 for o in free)


@pytest.mark.parametrize("unit", ["samples", "output_tokens", "total_tokens"])
def test_a_planner_that_knows_nothing_probes_and_agrees(unit: Any) -> None:
    planner = Planner.untrained()
    limit = 6.0 if unit == "samples" else 3000.0
    texts = [f"prompt {number}" for number in range(60)]
    success = {plan.prompt_id: float(row % 2) for row, plan in enumerate(planner.plan(texts, price=1.0))}
    backend = SimulatedBackend(success=success, n_wrong=30, mean_output_tokens=500)
    plans = planner.plan(texts, budget=Budget(limit=limit, unit=unit))
    assert 0.9 * limit < np.mean([plan.expected_cost for plan in plans]) <= limit * (1 + 1e-9)
    outcomes = planner.run(texts, price=1e-5, backend=backend, extractor=SimulatedExtractor())
    easy = [outcome.usage.samples for row, outcome in enumerate(outcomes) if row % 2]
    hard = [outcome.usage.samples for row, outcome in enumerate(outcomes) if row % 2 == 0]
    assert max(easy) < np.mean(hard)


def test_coverage_ends_at_the_first_success_and_needs_a_checker() -> None:
    planner = Planner.untrained(objective="coverage")
    texts = [f"prompt {number}" for number in range(40)]
    asked: dict[str, Any] = {
        "price": 1e-9,
        "backend": SimulatedBackend(default_success=0.5),
        "extractor": SimulatedExtractor(),
    }
    outcomes = planner.run(texts, verifier=SimulatedVerifier(), **asked)
    # A prompt stays unsolved after 32 samples with probability 2^-32.
    assert all(outcome.answer == "right" for outcome in outcomes)
    assert np.mean([outcome.usage.samples for outcome in outcomes]) < 6
    with pytest.raises(InvalidInputError, match="verifier"):
        planner.run(texts, **asked)


class Silent:
    """A backend that answers nothing usable."""

    async def sample(self, requests: list[SampleRequest]) -> list[list[Completion]]:
        one = Completion(text="", prompt_tokens=1, output_tokens=1, finish_reason="stop")
        return [[one] * request.n for request in requests]


def test_no_answer_is_no_answer() -> None:
    (outcome,) = Planner.untrained().run(["?"], price=1e-4, backend=Silent())
    assert outcome.answer is None


def test_nothing_is_planned_or_run_for_no_prompts() -> None:
    assert Planner.untrained().plan([], price=1.0) == []
    assert Planner.untrained().run([], price=1.0, backend=Silent()) == []


def test_no_plan_is_said_to_draw_less_than_its_first_step(planner: Planner, trained: Any) -> None:
    """Costs that came out lower than expected, in tokens, say nothing of what is drawn for sure."""
    policy = planner.bundle.policy
    cheaper = replace(policy, telling=replace(policy.telling, cost=np.full(len(policy.telling), 0.8)))
    saving = Planner(bundle=replace(planner.bundle, policy=cheaper, unit="samples"))
    prompts = trained.test_log.prompts[:8]
    for point in saving.frontier(prompts):
        for plan in saving.plan(prompts, price=point.price):
            assert plan.course is not None and plan.expected_cost >= plan.course.steps[0].n
            assert plan.cost_interval is None or plan.cost_interval[0] >= plan.course.steps[0].n
    with pytest.raises(InvalidBudgetError, match="raise it to 1"):
        saving.plan(prompts, budget=Budget(limit=0.95, unit="samples"))
