"""Budgets of batches: never exceeded, spent to the end, and a cheap answer rather than none."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planned_batches import Batch

from planner.drivers import Limits
from planner.drivers.session import DriverName
from planner.drivers.turns import Standing
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, SampleRequest
from planner.running.parts import Learner, LeastAnswer, Parts, part_size
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedBackend, SimulatedExtractor
from planner.strategies.task import Task
from policies.cost.budget import Budget
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.course.stop import Agreement
from policies.plan.plan import AllocationPlan

DRIVERS: tuple[DriverName, ...] = ("lockstep", "concurrent")
both = pytest.mark.parametrize("driver", DRIVERS)


def cost(outcomes: Sequence[Outcome]) -> float:
    return sum(float(outcome.cost or 0.0) for outcome in outcomes)


@pytest.mark.parametrize("block", range(4))
def test_no_budget_is_ever_exceeded(block: int) -> None:
    for case in range(block * 60, block * 60 + 60):
        pick = random.Random(case).choice
        batch = Batch(
            n_prompts=pick([1, 1, 2, 3, 5, 8, 13, 30]),
            seed=case,
            most=pick([3, 8, 16]),
            unit=pick(["output_tokens", "total_tokens", "usd", "samples"]),
            mean_tokens=pick([5, 40, 150]),
            cap=pick([None, 60, 400, 4000]),
            misjudged=pick([0.5, 1.0, 1.0, 2.0]),
            reacting=pick([False, True]),
            failure_rate=pick([0.0, 0.0, 0.2]),
        )
        share = pick([1.0, 1.3, 2.0, 3.0, 6.0, 12.0, 30.0])
        total = share * float(batch.cost[:, 0].sum())
        cap = pick([None, None, 1.5 * share * float(batch.cost[:, 0].mean())])
        outcomes = batch.run(total, driver=pick(DRIVERS), parts=pick([True, True, False]), seed=case, cap=cap)
        assert cost(outcomes) <= total * (1 + 1e-9), case
        assert cap is None or max(float(one.cost or 0.0) for one in outcomes) <= cap * (1 + 1e-9), case


@both
@pytest.mark.parametrize(
    "changes",
    [{}, {"reacting": True}, {"misjudged": 1.6}, {"misjudged": 0.6}, {"unit": "usd"}, {"cap": None}],
    ids=str,
)
def test_a_budget_is_spent_where_accuracy_still_rises(driver: DriverName, changes: dict[str, object]) -> None:
    batch = Batch(n_prompts=100, seed=1, **changes)  # type: ignore[arg-type]
    total = 6 * float(batch.cost[:, 0].sum())
    outcomes = batch.run(total, driver=driver)
    assert 0.97 * total <= cost(outcomes) <= total * (1 + 1e-9)
    assert sum(outcome.answer is not None for outcome in outcomes) >= 97
    if changes == {"misjudged": 0.6}:
        # As planned at first, 40 % would be left.
        assert cost(batch.run(total, driver=driver, parts=False)) < 0.7 * total


@both
@pytest.mark.parametrize("n_prompts", [1, 2, 5])
def test_small_batches_spend_their_leftover_on_more_samples(driver: DriverName, n_prompts: int) -> None:
    spent, answered = [], []
    for seed in range(20):
        batch = Batch(n_prompts=n_prompts, seed=seed)
        total = 6 * float(batch.cost[:, 0].sum())
        outcomes = batch.run(total, driver=driver, seed=seed)
        spent.append(cost(outcomes) / total)
        answered += [outcome.answer is not None for outcome in outcomes]
    assert np.mean(spent) > 0.9 and max(spent) <= 1 + 1e-9
    assert all(answered) if n_prompts == 1 else np.mean(answered) > 0.98


class Counting:
    """Counts how often each sample is drawn."""

    def __init__(self, inner: SimulatedBackend) -> None:
        self.inner = inner
        self.drawn = Counter[tuple[str, str, int]]()

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        for request in requests:
            for index in range(request.n):
                self.drawn[request.prompt.id, request.generator.name, request.seed + index] += 1
        return await self.inner.sample(requests)


@both
def test_what_goes_on_keeps_its_samples_and_pays_for_none_twice(driver: DriverName, tmp_path: Path) -> None:
    batch = Batch(n_prompts=3, seed=4, misjudged=0.5)
    total = 5 * float(batch.cost[:, 0].sum())
    n_extended = 0

    def replan(rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        nonlocal n_extended
        n_extended += len(rows) == batch.n_prompts
        return batch.plan(rows, budget)

    def run(source: Counting) -> list[Outcome]:
        return asyncio.run(
            run_plans(
                batch.plan(range(3), total),
                batch.prompts,
                backend=source,
                generators=batch.generators,
                cost_model=batch.cost_model,
                budget=Budget(limit=total, unit="output_tokens", scope="batch"),
                replan=replan,
                least=batch.least,
                extractor=SimulatedExtractor(),
                limits=Limits(hold="worst"),
                driver=driver,
                run_log=tmp_path / "run.log",
            )
        )

    source = Counting(SimulatedBackend(success=batch.success, mean_output_tokens=40))
    outcomes = run(source)
    assert n_extended and set(source.drawn.values()) == {1}
    assert sum(len(outcome.candidates) for outcome in outcomes) >= source.drawn.total()
    assert cost(outcomes) == sum(outcome.usage.output_tokens for outcome in outcomes)
    again = Counting(SimulatedBackend(success=batch.success, mean_output_tokens=40))
    resumed = run(again)
    assert not again.drawn
    assert [one.answer for one in resumed] == [one.answer for one in outcomes]
    assert cost(resumed) == cost(outcomes)


@both
def test_when_money_runs_out_the_last_prompts_get_a_cheap_answer(driver: DriverName) -> None:
    # Samples of the large generator cost four times what plans say: its prompts would eat all of it.
    batch = Batch(n_prompts=40, seed=2, unit="usd", misjudged=4.0)
    total = 3 * float(batch.cost[:, 0].sum())
    outcomes = batch.run(total, driver=driver, parts=False)
    assert cost(outcomes) <= total * (1 + 1e-9)
    assert all(outcome.usage.samples for outcome in outcomes)
    assert sum(outcome.answer is not None for outcome in outcomes) >= 36


@both
@pytest.mark.parametrize("later", [waves("large", (3,)), waves("large", (1,)) + waves("small", (1,))])
def test_who_goes_on_and_is_refused_keeps_the_answer_that_was_paid_for(
    driver: DriverName, later: tuple[Step, ...]
) -> None:
    """The leftover is planned for another generator, whose samples then cost more than there is."""
    batch = Batch(n_prompts=2, seed=4, unit="usd", cap=None)
    total = 4 * 2 * batch.least[0].cost

    def planned(rows: Sequence[int], steps: tuple[Step, ...], cost: float) -> list[AllocationPlan]:
        course = Course(steps=steps, stop=Agreement(count=2))
        return [
            replace(plan, course=course, allocation=summary_of(course), expected_cost=cost)
            for plan in batch.plan(rows, 0.0)
        ]

    def replan(rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        wide = len(rows) == 2
        return planned(rows, later if wide else waves("small", (1,)), total * (0.4 if wide else 0.1))

    outcomes = asyncio.run(
        run_plans(
            planned(range(2), waves("small", (1,)), total * 0.1),
            batch.prompts,
            backend=SimulatedBackend(success=batch.success, mean_output_tokens=batch.mean_tokens),
            generators=batch.generators,
            cost_model=batch.cost_model,
            budget=Budget(limit=total, unit="usd", scope="batch"),
            replan=replan,
            extractor=SimulatedExtractor(),
            driver=driver,
        )
    )
    assert all(outcome.answer is not None for outcome in outcomes)
    assert 0 < cost(outcomes) <= total * (1 + 1e-9)


# The turns themselves


def parts(
    batch: Batch, total: float, calls: list[tuple[list[int], float]], *, learner: Learner | None = None
) -> Parts:
    def replan(rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        calls.append((list(rows), budget))
        return batch.plan(rows, budget)

    def task_of(number: int, plan: AllocationPlan) -> Task:
        return Task(
            prompt=batch.prompts[number],
            allocation=plan.allocation,
            generator=batch.generators["large"],
            extractor=SimulatedExtractor(),
        )

    return Parts(
        batch.plan(range(batch.n_prompts), total),
        limit=total,
        task_of=task_of,
        replan=replan,
        learner=learner,
        least=batch.least,
        seed=0,
    )


def test_each_part_is_planned_with_what_is_left_at_what_things_really_cost() -> None:
    batch, calls = Batch(n_prompts=200), list[tuple[list[int], float]]()
    total = 6 * float(batch.cost[:, 0].sum())
    turns = parts(batch, total, calls)
    first = turns.next(Standing({}, {}, 0.0))
    assert len(first.turns) == 25 and not calls
    expected = sum(plan.expected_cost for plan in batch.plan(range(200), total))
    # All cost twice what was planned: what is left buys half of what it seemed to.
    planned = {turn.number: batch.plan(range(200), total)[turn.number].expected_cost for turn in first.turns}
    second = turns.next(Standing({number: 2 * one for number, one in planned.items()}, {}, 10.0))
    (rows, budget), spent = calls[0], 2 * sum(planned.values())
    assert len(second.turns) == 88 and set(rows).isdisjoint(planned) and len(rows) == 175
    assert expected <= total and (total - spent - 10.0) / 2 < budget < (total - spent - 10.0) / 1.7


def test_whoever_learns_plans_by_outcomes_and_judges_costs_by_what_it_knows_now() -> None:
    batch, calls = Batch(n_prompts=160), list[tuple[list[int], float]]()
    seen: list[list[Outcome]] = []

    class Twice:
        """Has learned that all plans cost twice what was told."""

        def learn(self, plans: Sequence[AllocationPlan], outcomes: Sequence[Outcome]) -> Twice:
            assert [plan.prompt_id for plan in plans] == [outcome.prompt_id for outcome in outcomes]
            seen.append(list(outcomes))
            return self

        def expected(self, rows: Sequence[int], plans: Sequence[AllocationPlan]) -> list[float]:
            return [2 * plan.expected_cost for plan in plans]

        def __call__(self, rows: Sequence[int], budget: float) -> list[AllocationPlan]:
            calls.append((list(rows), budget))
            return batch.plan(rows, budget)

    total = 6 * float(batch.cost[:, 0].sum())
    plans = batch.plan(range(160), total)
    turns = parts(batch, total, calls, learner=Twice())
    first = [turn.number for turn in turns.next(Standing({}, {}, 0.0)).turns]
    assert len(first) == 10 and not seen
    closed = {number: 2 * plans[number].expected_cost for number in first}
    outcomes = {number: Outcome.of_nothing(plans[number]) for number in first}
    second = turns.next(Standing(closed, {}, 0.0, frozenset(), outcomes))
    assert len(second.turns) == 10 and [len(one) for one in seen] == [10]
    # Twice the cost is what it knows, so that the others are planned for all that is left.
    assert calls[0][1] == pytest.approx(total - sum(closed.values()))


def test_prompts_in_progress_count_as_planned_as_far_as_the_others_did() -> None:
    batch, calls = Batch(n_prompts=200), list[tuple[list[int], float]]()
    total = 6 * float(batch.cost[:, 0].sum())
    turns = parts(batch, total, calls)
    first = turns.next(Standing({}, {}, 0.0)).turns
    turns.next(Standing({}, {turn.number: 0.0 for turn in first}, 0.0))
    plans = batch.plan(range(200), total)
    assert calls[0][1] == pytest.approx(total - sum(plans[turn.number].expected_cost for turn in first))


@pytest.mark.parametrize("generator", ["large", "small"])
def test_nobody_goes_on_with_another_generator_in_place_of_what_was_paid_for(generator: str) -> None:
    batch = Batch(n_prompts=2)

    def planned(rows: Sequence[int], course: Course, cost: float) -> list[AllocationPlan]:
        allocation = summary_of(course)
        return [
            replace(plan, course=course, allocation=allocation, expected_cost=cost)
            for plan in batch.plan(rows, 0.0)
        ]

    turns = Parts(
        planned(range(2), Course(steps=waves("large", (1,))), 40.0),
        limit=400.0,
        task_of=lambda number, plan: Task(
            prompt=batch.prompts[number],
            allocation=plan.allocation,
            generator=batch.generators["large"],
            extractor=SimulatedExtractor(),
        ),
        replan=lambda rows, budget: planned(rows, Course(steps=waves(generator, (3,))), 120.0),
        least=batch.least,
        seed=0,
    )
    assert len(turns.next(Standing({}, {}, 0.0)).turns) == 2
    more = turns.next(Standing({0: 40.0, 1: 40.0}, {}, 0.0)).turns
    assert len(more) == (2 if generator == "large" else 0)


def test_what_no_budget_binds_is_opened_at_once() -> None:
    batch, calls = Batch(n_prompts=50, most=3), list[tuple[list[int], float]]()
    turns = parts(batch, 30 * float(batch.cost[:, 0].sum()), calls)
    assert len(turns.next(Standing({}, {}, 0.0)).turns) == 50
    assert not turns.next(Standing(dict.fromkeys(range(50), 120.0), {}, 0.0)).turns


def test_parts_are_all_prompts_once() -> None:
    for n in (1, 2, 3, 7, 100, 1000, 20_000):
        left, sizes = n, []
        while left:
            sizes.append(part_size(left, n))
            left -= sizes[-1]
        assert sum(sizes) == n and min(sizes) >= 1 and len(sizes) <= 12


def test_least_answers_are_set_aside_for_all_that_have_drawn_nothing() -> None:
    batch, calls = Batch(n_prompts=16), list[tuple[list[int], float]]()
    least = batch.least[0]
    assert isinstance(least, LeastAnswer)
    enough = parts(batch, 20 * 16 * least.cost, calls).next(Standing({}, {}, 0.0))
    assert enough.aside == pytest.approx(4 * 14 * least.cost)
    assert [turn.reserve for turn in enough.turns] == pytest.approx([4 * least.cost] * 2)
    tight = parts(batch, 1.5 * 16 * least.cost, calls).next(Standing({}, {}, 0.0))
    assert tight.aside == pytest.approx(1.25 * 14 * least.cost)


class EvenLengths:
    """Answers of one length, which take twice what plans expect; those with a lower cap are cut at it."""

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = []
        for request in requests:
            cap = min(request.max_output_tokens or 80, 80)
            whole = Completion(text="answer: right", prompt_tokens=0, output_tokens=80, finish_reason="stop")
            cut = replace(whole, text="answ", output_tokens=cap, finish_reason="length")
            rows.append([whole if cap == 80 else cut] * request.n)
        return rows


@both
def test_money_that_does_not_do_for_all_answers_those_that_it_does_for(driver: DriverName) -> None:
    """An even share of it would buy each of them a sample that is cut before its answer."""
    batch = Batch(n_prompts=100, cap=None)
    total = 1.2 * sum(one.cost for one in batch.least)
    outcomes = asyncio.run(
        run_plans(
            batch.plan(range(100), total),
            batch.prompts,
            backend=EvenLengths(),
            generators=batch.generators,
            cost_model=batch.cost_model,
            budget=Budget(limit=total, unit="output_tokens", scope="batch"),
            replan=batch.plan,
            least=batch.least,
            extractor=SimulatedExtractor(),
            limits=Limits(hold="worst"),
            driver=driver,
        )
    )
    assert cost(outcomes) <= total
    # Of 60 that can be paid; the first part is held to what was planned.
    assert sum(outcome.answer is not None for outcome in outcomes) >= 45
