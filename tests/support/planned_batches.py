"""A batch of simulated prompts and a planner that knows them, for tests of how budgets are spent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.stats import binom

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.limits import Limits
from planner.drivers.session import DriverName
from planner.ports.outcome import Outcome
from planner.running.parts import LeastAnswer
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedBackend, SimulatedExtractor
from policies.cost.budget import Budget, Unit
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.stop import Agreement
from policies.plan.plan import AllocationPlan

_PROMPT_TOKENS = 30


@dataclass(frozen=True, kw_only=True)
class Batch:
    """P simulated prompts, votes of every width up to `most`, and what they cost.

    Parameters
    ----------
    n_prompts, seed, most : int
        How many prompts, the seed of their difficulties, and the widest vote.
    unit : str
        Unit of costs.
    mean_tokens, cap : int
        Mean output tokens of a sample, and the generators' cap on them; None for no cap.
    misjudged : float
        What samples really cost in multiples of what plans expect.
    reacting : bool
        Votes end when `most` // 2 + 1 agree, drawn in steps of 2.
    """

    n_prompts: int
    seed: int = 0
    most: int = 16
    unit: Unit = "output_tokens"
    mean_tokens: int = 40
    cap: int | None = 400
    misjudged: float = 1.0
    reacting: bool = False
    failure_rate: float = 0.0
    prompts: list[Prompt] = field(init=False)
    success: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        chances = np.random.default_rng(self.seed).uniform(0.4, 0.95, self.n_prompts)
        prompts = [
            Prompt(id=f"p{row}", text=f"question {row}", prompt_tokens=_PROMPT_TOKENS)
            for row in range(self.n_prompts)
        ]
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(
            self, "success", {prompt.id: float(p) for prompt, p in zip(prompts, chances, strict=True)}
        )

    @cached_property
    def generators(self) -> dict[str, Generator]:
        prices = {"usd_per_mtok_in": 1.0, "usd_per_mtok_out": 4.0}
        return {
            "large": Generator(name="large", max_output_tokens=self.cap, **prices),  # type: ignore[arg-type]
            "small": Generator(
                name="small", max_output_tokens=self.cap, usd_per_mtok_in=0.1, usd_per_mtok_out=0.4
            ),
        }

    @cached_property
    def cost_model(self) -> CostModel:
        return CostModel(unit=self.unit, generators=self.generators)

    @cached_property
    def courses(self) -> list[Course]:
        """Votes from one to `most` samples."""
        found = [Course(steps=waves("large", (1,)))]
        for n in range(2, self.most + 1):
            if self.reacting:
                sizes = (2,) * (n // 2) + (1,) * (n % 2)
                found.append(Course(steps=waves("large", sizes), stop=Agreement(count=n // 2 + 1)))
            else:
                found.append(Course(steps=waves("large", (n,))))
        return found

    @cached_property
    def _draws(self) -> np.ndarray:
        """Expected samples of each course, shape (P, C)."""
        if not self.reacting:
            return np.tile([float(course.n) for course in self.courses], (self.n_prompts, 1))
        rng = np.random.default_rng(1)
        right = rng.random((400, self.most, 1)) < np.array(list(self.success.values()))
        wrong = rng.integers(0, 4, (400, self.most, 1))
        drawn = np.empty((self.n_prompts, len(self.courses)))
        for column, course in enumerate(self.courses):
            need, ends = course.n // 2 + 1, np.cumsum([step.n for step in course.steps])
            tops = np.stack(
                [
                    np.max(
                        [right[:, :end].sum(axis=1)]
                        + [(~right[:, :end] & (wrong[:, :end] == code)).sum(axis=1) for code in range(4)],
                        axis=0,
                    )
                    for end in ends
                ]
            )
            done = tops >= need
            done[-1] = True
            drawn[:, column] = ends[done.argmax(axis=0)].mean(axis=0)
        return drawn

    @cached_property
    def cost(self) -> np.ndarray:
        """Expected cost, shape (P, C)."""
        each = self.cost_model.price_arrays(
            "large",
            samples=self._draws,
            prompt_tokens=np.full(self._draws.shape, float(_PROMPT_TOKENS)) * self._requests,
            output_tokens=self._draws * self.mean_tokens / self.misjudged,
            requests=self._requests,
        )
        return np.asarray(each)

    @cached_property
    def _requests(self) -> np.ndarray:
        return np.ceil(self._draws / 2) if self.reacting else np.ones(self._draws.shape)

    @cached_property
    def value(self) -> np.ndarray:
        """Chance that most of the samples are right, shape (P, C): it still rises at the last column."""
        chances = np.array(list(self.success.values()))[:, None]
        widths = np.arange(1, self.most + 1)
        odd = binom.sf(widths // 2, widths, 0.5 + chances / 2)
        return np.maximum.accumulate(odd, axis=1) + 1e-6 * widths

    def plan(self, rows: Sequence[int], budget: float) -> list[AllocationPlan]:
        """Return plans at the price that spends a budget; the cheapest where it does not reach."""
        value, cost = self.value[list(rows)], self.cost[list(rows)]
        choice = np.zeros(len(rows), dtype=int)
        for price in np.geomspace(1e3, 1e-12, 400):
            found = (value - price * cost).argmax(axis=1)
            if cost[np.arange(len(rows)), found].sum() > budget:
                break
            choice = found
        # Single prompts take what is left over, one step further along.
        for row in range(len(rows)):
            spent = cost[np.arange(len(rows)), choice].sum()
            more = choice[row] + 1
            while more < cost.shape[1] and spent - cost[row, choice[row]] + cost[row, more] <= budget:
                spent += cost[row, more] - cost[row, choice[row]]
                choice[row] = more
                more += 1
        return [self._write(row, int(column)) for row, column in zip(rows, choice, strict=True)]

    def _write(self, row: int, column: int) -> AllocationPlan:
        course = self.courses[column]
        chance = float(min(self.value[row, column], 1.0))
        return AllocationPlan(
            prompt_id=self.prompts[row].id,
            allocation=summary_of(course),
            course=course,
            expected_accuracy=chance,
            accuracy_interval=(chance, chance),
            expected_cost=float(self.cost[row, column]),
            unit=self.unit,
        )

    @property
    def least(self) -> list[LeastAnswer]:
        """One sample of the small generator."""
        cost = float(
            self.cost_model.price_arrays(
                "small",
                samples=np.ones(1),
                prompt_tokens=np.full(1, float(_PROMPT_TOKENS)),
                output_tokens=np.full(1, self.mean_tokens / self.misjudged),
                requests=np.ones(1),
            )[0]
        )
        return [LeastAnswer("small", cost)] * self.n_prompts

    def run(
        self,
        total: float,
        *,
        driver: DriverName = "lockstep",
        parts: bool = True,
        seed: int = 0,
        cap: float | None = None,
    ) -> list[Outcome]:
        """Plan and run the batch for a total."""
        return asyncio.run(
            run_plans(
                self.plan(range(self.n_prompts), total),
                self.prompts,
                backend=SimulatedBackend(
                    success=self.success, mean_output_tokens=self.mean_tokens, failure_rate=self.failure_rate
                ),
                generators=self.generators,
                cost_model=self.cost_model,
                budget=Budget(limit=total, unit=self.unit, scope="batch", max_per_prompt=cap),
                replan=self.plan if parts else None,
                least=self.least,
                extractor=SimulatedExtractor(),
                limits=Limits(hold="worst"),
                driver=driver,
                seed=seed,
            )
        )
