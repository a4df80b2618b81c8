"""Plans that react: priced before anything is drawn, capped, run as planned; they cost what was expected."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from difficulty.belief.standardised import standardised
from numpy.testing import assert_allclose
from planner.planning.adaptive import move_of
from planner.planning.levels import Levels

from difficulty.errors import InvalidBudgetError, InvalidInputError, UnknownUnitError
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.budget import Budget
from policies.plan.wire import plan_from_json, plan_to_json


@pytest.fixture(scope="module")
def planner(reacting: Any) -> Planner:
    return Planner.load(reacting.folder)


def tokens(limit: float, **more: Any) -> Budget:
    return Budget(limit=limit, unit="output_tokens", **more)


def mean_cost(plans: Any) -> float:
    return float(np.mean([plan.expected_cost for plan in plans]))


def test_budgets_hold_in_expectation_and_plans_say_what_they_are(planner: Planner, reacting: Any) -> None:
    prompts = reacting.test_log.prompts
    for limit in (80.0, 200.0, 500.0):
        plans = planner.plan(prompts, budget=tokens(limit), adaptive=True)
        assert 0.8 * limit < mean_cost(plans) <= limit * (1 + 1e-9)
    table = planner.bundle.adaptive
    assert table is not None
    for plan in plans:
        level = plan.allocation.parameters["level"]
        assert isinstance(level, int)
        assert plan.price == table.policy.prices[level]
        assert plan.allocation.n == table.move(level).ladder.n
        assert plan.cost_interval is not None
        assert plan.cost_interval[0] <= plan.expected_cost <= plan.cost_interval[1]
        assert str(plan.allocation.n) in plan.reason
        assert plan_from_json(plan_to_json(plan)) == plan
    again = planner.plan(prompts, budget=tokens(500.0), adaptive=True)
    assert again == plans


def test_a_plan_is_worth_what_its_reference_prompts_were(planner: Planner, reacting: Any) -> None:
    table = planner.bundle.adaptive
    assert table is not None
    (plan,) = planner.plan(reacting.test_log.prompts[:1], price=1e-4, adaptive=True)
    level = int(plan.allocation.parameters["level"])
    prompts = reacting.test_log.prompts[:1]
    known = ~np.isnan(table.cost[:, level])
    if table.policy.routing is not None:  # those count that take the same move
        known &= table.policy.routing.taken[:, level] == plan.allocation.parameters.get("option", 0)
    assert table.cost_belief is not None
    sharp = table.cost_belief.weigher(planner.bundle.references.coordinates)
    coordinates, references = planner.coordinates(prompts), planner.bundle.references.coordinates
    told = planner.belief(prompts).weights
    if table.policy.routing is not None:
        difficulty, others = (standardised(part, references) for part in (coordinates, references))
        told = table.policy.routing.belief.weigher(others)(difficulty)
    weights, sharper = (
        item[0, known].astype(np.float64) / item[0, known].sum(dtype=np.float64)
        for item in (told, sharp(coordinates))
    )
    cost, deviation = table.cost[known, level], table.cost_deviation[known, level]
    mean = sharper @ cost
    # The spread of one run: between reference prompts, and within each of them.
    spread = np.sqrt(sharper @ (deviation**2 + (cost - mean) ** 2))
    assert_allclose(plan.expected_cost, mean, rtol=1e-5)
    assert_allclose(plan.expected_accuracy, weights @ table.value[known, level], rtol=1e-5)
    assert plan.cost_interval is not None
    assert_allclose(plan.cost_interval[1] - plan.expected_cost, 1.96 * spread, rtol=1e-3, atol=1e-3)


def test_a_price_and_a_target_work_as_for_one_shot_plans(planner: Planner, reacting: Any) -> None:
    prompts = reacting.test_log.prompts[:30]
    alone = [planner.plan([prompt], price=1e-3, adaptive=True)[0] for prompt in prompts]
    for one, plan in zip(alone, planner.plan(prompts, price=1e-3, adaptive=True), strict=True):
        assert one.allocation == plan.allocation
        assert_allclose(one.expected_cost, plan.expected_cost, rtol=1e-5)
    low, *_, high = planner.frontier(prompts, adaptive=True)
    target = (low.expected_accuracy + high.expected_accuracy) / 2
    plans = planner.plan(prompts, target_accuracy=target, adaptive=True)
    assert np.mean([plan.expected_accuracy for plan in plans]) >= target - 1e-9
    assert low.expected_cost < mean_cost(plans) < high.expected_cost
    with pytest.raises(InvalidBudgetError) as caught:
        planner.plan(prompts, target_accuracy=1.0, adaptive=True)
    assert caught.value.reachable is not None


def test_reacting_is_expected_to_beat_deciding_at_once(planner: Planner, reacting: Any) -> None:
    prompts = reacting.test_log.prompts
    react = planner.plan(prompts, budget=tokens(250.0), adaptive=True)
    once = planner.plan(prompts, budget=tokens(250.0))
    assert np.mean([p.expected_accuracy for p in react]) > np.mean([p.expected_accuracy for p in once])


@pytest.mark.parametrize("cap", [60.0, 130.0, 300.0, 700.0])
def test_a_hard_cap_cuts_ladders_short(planner: Planner, reacting: Any, cap: float) -> None:
    prompts = reacting.test_log.prompts
    table, model = planner.bundle.adaptive, planner._cost_model("output_tokens")
    assert table is not None
    belief = planner.belief(prompts)
    each = {name: belief.expected_output_tokens(name) for name in planner.bundle.generators}
    budget = tokens(500.0, max_per_prompt=cap)
    try:
        plans = planner.plan(prompts, budget=budget, adaptive=True)
    except InvalidBudgetError:
        # Not even one sample of the cheapest ladder fits for some prompt.
        assert any(
            min(
                each[table.move(level).ladder.waves[0].generator][row]
                for level in range(table.value.shape[1])
            )
            > cap
            for row in range(len(prompts))
        )
        return
    for row, plan in enumerate(plans):
        ladder = move_of(plan.allocation, table).ladder
        whole = sum(wave.n * each[wave.generator][row] for wave in ladder.waves)
        assert whole <= cap * (1 + 1e-6)
        assert plan.expected_cost <= cap * (1 + 1e-9)
        assert plan.cost_interval is not None
        assert plan.cost_interval[1] <= cap * (1 + 1e-9)
    levels, at = Levels(bundle=planner.bundle, table=table, cost_model=model), planner.coordinates(prompts)
    free, cut = (levels.menu([belief], coordinates=at, cap=most) for most in (None, cap))
    had = ~np.isnan(cut.value)
    assert np.all(cut.value[had] <= free.value[had] + 1e-9)
    assert np.all(cut.width <= free.width)


def test_outcomes_cost_and_earn_what_was_expected(planner: Planner, reacting: Any) -> None:
    """Differences over their standard errors below 5.2: a false alarm in 4e-7 over the two (normal)."""
    log = reacting.test_log
    plans = planner.plan(log.prompts, price=1e-3, adaptive=True)
    outcomes = planner.run(log.prompts, price=1e-3, adaptive=True, backend=ReplayBackend(log))
    gold = {prompt.id: prompt.gold for prompt in log.prompts}
    cost = np.array([outcome.cost for outcome in outcomes]) - [plan.expected_cost for plan in plans]
    right = np.array([outcome.answer == gold[outcome.prompt_id] for outcome in outcomes], dtype=float)
    right -= [plan.expected_accuracy for plan in plans]
    # The references are a sample of prompts, too.
    error = np.sqrt(1 / len(plans) + 1 / len(planner.bundle.references))
    for difference in (cost, right):
        assert abs(difference.mean()) < 5.2 * difference.std() * error
    assert {outcome.stop_reason for outcome in outcomes} <= {"satisfied", "complete"}
    assert np.mean([outcome.usage.samples for outcome in outcomes]) < np.mean([p.allocation.n for p in plans])


class Counting:
    """Counts the samples that are asked for."""

    def __init__(self, backend: Any) -> None:
        self.backend, self.n = backend, 0
        self.extractor = backend.extractor

    async def sample(self, requests: Any) -> Any:
        self.n += sum(request.n for request in requests)
        return await self.backend.sample(requests)


def test_a_run_log_pays_nothing_twice_and_tells_levels_apart(
    planner: Planner, reacting: Any, tmp_path: Path
) -> None:
    prompts, path = reacting.test_log.prompts[:20], tmp_path / "run.jsonl"

    def run(price: float) -> tuple[Any, int]:
        backend = Counting(ReplayBackend(reacting.test_log))
        outcomes = planner.run(prompts, price=price, adaptive=True, backend=backend, run_log=path)
        return [(outcome.answer, outcome.cost) for outcome in outcomes], backend.n

    first, drawn = run(1e-3)
    second, again = run(1e-3)
    assert drawn > 0
    assert (second, again) == (first, 0)
    cheap, _ = run(1.0)
    assert sum(cost for _, cost in cheap) < sum(cost for _, cost in first)


def test_both_drivers_climb_alike(planner: Planner, reacting: Any) -> None:
    prompts = reacting.test_log.prompts[:15]
    runs = [
        planner.run(
            prompts,
            price=1e-3,
            adaptive=True,
            backend=ReplayBackend(reacting.test_log),
            driver=driver,
        )
        for driver in ("lockstep", "concurrent")
    ]
    first, second = ([(outcome.answer, outcome.cost) for outcome in run] for run in runs)
    assert first == second


def test_units_bundles_and_levels_that_do_not_fit_are_refused(planner: Planner, reacting: Any) -> None:
    prompts = reacting.test_log.prompts[:3]
    with pytest.raises(UnknownUnitError, match="fitted in output_tokens"):
        planner.plan(prompts, budget=Budget(limit=5, unit="samples"), adaptive=True)
    bare = Planner(bundle=replace(planner.bundle, adaptive=None))
    with pytest.raises(InvalidInputError, match="no adaptive policy"):
        bare.plan(prompts, price=1.0, adaptive=True)
    plans = planner.plan(prompts, price=1e-3, adaptive=True)
    table = planner.bundle.adaptive
    assert table is not None
    for wrong in ({"level": 99}, {"level": 0, "stop": "Coin"}):
        with pytest.raises(InvalidInputError):
            move_of(replace(plans[0].allocation, params=wrong), table)

    async def without_climbs() -> None:
        from planner.running.run_plans import run_plans

        await run_plans(
            plans,
            prompts,
            backend=ReplayBackend(reacting.test_log),
            generators=planner.bundle.generators,
            cost_model=planner._cost_model("output_tokens"),
            learned=planner.bundle.verifiers,
        )

    with pytest.raises(InvalidInputError, match="adaptive=True"):
        asyncio.run(without_climbs())


def test_levels_of_missing_generators_are_not_planned(reacting: Any) -> None:
    one = {"model-0": reacting.bundle.generators["model-0"]}
    planner = Planner.load(reacting.folder, generators=one)
    table = planner.bundle.adaptive
    if table is None:
        with pytest.raises(InvalidInputError, match="no adaptive policy"):
            planner.plan(reacting.test_log.prompts[:3], price=1e-4, adaptive=True)
        return
    for plan in planner.plan(reacting.test_log.prompts[:10], price=1e-5, adaptive=True):
        assert set(move_of(plan.allocation, table).ladder.generators) == {"model-0"}


@pytest.mark.parametrize("unit", ["samples", "output_tokens", "total_tokens"])
def test_a_planner_that_knows_nothing_probes_and_agrees(unit: Any) -> None:
    planner = Planner.untrained()
    limit = 6.0 if unit == "samples" else 3000.0
    prompts = [f"prompt {number}" for number in range(60)]
    success = {plan.prompt_id: float(row % 2) for row, plan in enumerate(planner.plan(prompts, price=1.0))}
    backend = SimulatedBackend(success=success, n_wrong=30, mean_output_tokens=500)
    plans = planner.plan(prompts, budget=Budget(limit=limit, unit=unit), adaptive=True)
    assert 0.9 * limit < mean_cost(plans) <= limit * (1 + 1e-9)
    outcomes = (
        planner.run(
            prompts, price=plans[0].price, adaptive=True, backend=backend, extractor=SimulatedExtractor()
        )
        if unit == "output_tokens"
        else []
    )
    easy = [outcome.usage.samples for row, outcome in enumerate(outcomes) if row % 2]
    hard = [outcome.usage.samples for row, outcome in enumerate(outcomes) if row % 2 == 0]
    assert not outcomes or max(easy) < min(hard)


def test_coverage_ends_at_the_first_success_and_needs_a_checker() -> None:
    planner = Planner.untrained(objective="coverage")
    prompts = [f"prompt {number}" for number in range(40)]
    backend = SimulatedBackend(default_success=0.5)
    asked = {"price": 1e-6, "adaptive": True, "backend": backend, "extractor": SimulatedExtractor()}
    outcomes = planner.run(prompts, verifier=SimulatedVerifier(), **asked)  # type: ignore[arg-type]
    # A prompt stays unsolved after 33 samples with probability 2^-33.
    assert all(outcome.answer == "right" for outcome in outcomes)
    assert np.mean([outcome.usage.samples for outcome in outcomes]) < 6
    with pytest.raises(InvalidInputError, match="verifier"):
        planner.run(prompts, **asked)  # type: ignore[arg-type]


def test_nothing_is_planned_for_no_prompts() -> None:
    assert Planner.untrained().plan([], price=1.0, adaptive=True) == []


class Silent:
    """A backend that answers nothing usable."""

    async def sample(self, requests: list[SampleRequest]) -> list[list[Completion]]:
        one = Completion(text="", prompt_tokens=1, output_tokens=1, finish_reason="stop")
        return [[one] * request.n for request in requests]


def test_no_answer_is_no_answer() -> None:
    (outcome,) = Planner.untrained().run(["?"], price=1e-4, adaptive=True, backend=Silent())
    assert outcome.answer is None
