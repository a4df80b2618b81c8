"""Runs against backends that misbehave, die and come back: books are right and budgets hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hostile_backend import GENERATORS, MEAN_TOKENS, HostileBackend, Killed

from difficulty.prompt import Prompt
from planner.drivers.session import DriverName
from planner.ports.outcome import Outcome
from planner.running.parts import LeastAnswer
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedExtractor
from policies.cost.budget import Budget, Unit
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.stop import Agreement, Never, Share, StopRule
from policies.plan.plan import AllocationPlan

DRIVERS: tuple[DriverName, ...] = ("lockstep", "concurrent")
both = pytest.mark.parametrize("driver", DRIVERS)
SENT = 30
ONE = Course(steps=waves("small", (1,)))


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Prompts, courses from cheap to dear, and a planner that gives each prompt an equal share."""

    n_prompts: int
    unit: Unit = "usd"
    courses: Sequence[Course] = (ONE,)
    prompts: list[Prompt] = field(init=False)

    def __post_init__(self) -> None:
        prompts = [Prompt(id=f"p{row}", text="?", prompt_tokens=SENT) for row in range(self.n_prompts)]
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(self, "courses", sorted(self.courses, key=self.cost))

    @property
    def cost_model(self) -> CostModel:
        return CostModel(unit=self.unit, generators=GENERATORS)

    def cost(self, course: Course) -> float:
        each = {
            step: Usage(samples=step.n, prompt_tokens=SENT, output_tokens=step.n * MEAN_TOKENS, requests=1)
            for step in course.steps
        }
        return sum(self.cost_model.price(each[step], step.generator) for step in course.steps)

    def plan(self, rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        paid = [course for course in self.courses if self.cost(course) * len(rows) <= budget]
        course = paid[-1] if paid else self.courses[0]
        return [
            AllocationPlan(
                prompt_id=self.prompts[row].id,
                allocation=summary_of(course),
                course=course,
                expected_accuracy=0.6,
                accuracy_interval=(0.5, 0.7),
                expected_cost=self.cost(course),
                unit=self.unit,
            )
            for row in rows
        ]

    def run(
        self,
        backend: HostileBackend,
        total: float,
        *,
        driver: DriverName = "lockstep",
        parts: bool = True,
        log: Path | None = None,
    ) -> list[Outcome]:
        return asyncio.run(
            run_plans(
                self.plan(range(self.n_prompts), total),
                self.prompts,
                backend=backend,
                generators=GENERATORS,
                cost_model=self.cost_model,
                budget=Budget(limit=total, unit=self.unit, scope="batch"),
                replan=self.plan if parts else None,
                least=[LeastAnswer("small", self.cost(ONE))] * self.n_prompts,
                extractor=SimulatedExtractor(),
                driver=driver,
                run_log=log,
            )
        )


def booked(outcomes: Sequence[Outcome]) -> float:
    return sum(float(outcome.cost or 0.0) for outcome in outcomes)


def dying(
    bench: Bench, backend: HostileBackend, total: float, driver: DriverName, log: Path
) -> list[Outcome]:
    """Run a batch whose process may be gone at some moment, and go on with it."""
    try:
        return bench.run(backend, total, driver=driver, log=log)
    except Killed:
        backend.revive()
        return bench.run(backend, total, driver=driver, log=log)


def random_course(rng: random.Random) -> Course:
    names = rng.choice((("small",), ("large",), ("small", "large")))
    steps = tuple(
        step for name in names for step in waves(name, [rng.choice((1, 1, 2, 3))] * rng.randint(1, 3))
    )
    rules: list[StopRule] = [Agreement(count=2), Agreement(count=3), Share(), Never()]
    return Course(steps=steps, stop=rng.choice(rules))


@pytest.mark.parametrize("block", range(3))
def test_books_are_what_was_charged_and_budgets_hold_whatever_breaks(block: int, tmp_path: Path) -> None:
    for case in range(block * 25, block * 25 + 25):
        rng = random.Random(case)
        unit: Unit = rng.choice(("usd", "total_tokens", "output_tokens", "samples"))
        bench = Bench(
            n_prompts=rng.choice((1, 2, 5, 20, 70)),
            unit=unit,
            courses=[ONE, *(random_course(rng) for _ in range(6))],
        )
        ways = rng.sample(["fewer", "empty", "filter", "cached"], rng.randrange(4))
        dies_after = rng.choice((None, rng.randrange(1, 8)))
        backend = HostileBackend(ways, rng, bench.cost_model, dies_after=dies_after)
        total = rng.choice((1, 1.5, 3, 8, 20)) * bench.n_prompts * bench.cost(ONE)
        outcomes = dying(bench, backend, total, rng.choice(DRIVERS), tmp_path / f"{case}.jsonl")
        assert booked(outcomes) == pytest.approx(backend.cost, rel=1e-9), case
        assert backend.cost <= total * (1 + 1e-9), case


@both
@pytest.mark.parametrize("ways", [("raise",), ("lost",), ("more",), ("prompts",)], ids=str)
def test_what_nobody_asked_for_is_booked_at_the_prices_of_who_drew_it(
    driver: DriverName, ways: Collection[str], tmp_path: Path
) -> None:
    cascade = Course(steps=waves("small", (2,)) + waves("large", (1, 1)), stop=Agreement(count=2))
    bench = Bench(n_prompts=30, courses=[ONE, cascade])
    for seed in range(4):
        backend = HostileBackend(
            ways, random.Random(seed), bench.cost_model, rate=0.3, dies_after=(None, 3, 4, 5)[seed]
        )
        outcomes = dying(bench, backend, 100.0, driver, tmp_path / f"{seed}.jsonl")
        assert booked(outcomes) == pytest.approx(backend.cost, rel=1e-9)


@both
@pytest.mark.parametrize(
    ("ways", "unit"), [("prompts", "total_tokens"), ("more", "samples"), ("more", "output_tokens")]
)
def test_a_server_that_charges_more_than_was_asked_for_is_known_after_its_first_replies(
    driver: DriverName, ways: str, unit: Unit
) -> None:
    courses = [Course(steps=waves("small", (1,) * n), stop=Agreement(count=n)) for n in (1, 2, 3, 5)]
    bench = Bench(n_prompts=20, unit=unit, courses=courses)
    for seed in range(10):
        backend = HostileBackend([ways], random.Random(seed), bench.cost_model, rate=1.0)
        # From money for half of the first samples to money for several of each prompt.
        total = (0.5 + seed / 2) * bench.n_prompts * bench.cost(ONE)
        bench.run(backend, total, driver=driver)
        assert 0.75 * total < backend.cost <= total * (1 + 1e-9), seed


def test_what_a_cascade_has_paid_counts_in_full_when_its_run_goes_on(tmp_path: Path) -> None:
    cascade = Course(steps=waves("small", (1,)) + waves("large", (1,)), stop=Never())
    bench = Bench(n_prompts=40, courses=[cascade])
    log = tmp_path / "run.jsonl"
    total = 60 * bench.cost(cascade)
    backend = HostileBackend([], random.Random(0), bench.cost_model)
    first = bench.run(backend, total, parts=False, log=log)
    # With less money than all of it has cost, there is nothing left for what is not recorded.
    more = Bench(n_prompts=60, courses=[cascade])
    again = more.run(backend, 1.001 * booked(first), parts=False, log=log)
    assert [outcome.answer for outcome in again[:40]] == [outcome.answer for outcome in first]
    assert backend.cost <= 1.001 * booked(first)
