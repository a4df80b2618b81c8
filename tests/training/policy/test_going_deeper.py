"""Chains that stop and searches after a probe are learned where they pay, planned, and carried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.table.measure import prompt_lengths
from training.evaluation.measured import measure_courses
from training.policy import masks
from training.policy.learn import Learned, learn
from training.simulated.strategies import simulated_strategies
from training.train import train


def chained(course: Course) -> bool:
    return course.steps[0].kind == "revise" and not course.one_shot


def searched(course: Course) -> bool:
    return len(course.steps) > 1 and course.steps[-1].kind == "search"


def learned(log: SampleLog, unit: str = "total_tokens") -> tuple[Learned, CostModel]:
    model = CostModel(unit=unit, generators=log.generators)  # type: ignore[arg-type]
    folds = np.arange(len(log.prompts)) % 5
    return learn(log, model, objective="accuracy", weights=None, folds=folds), model


CASES = [
    (chained, {"scores": False, "sizes": (), "mended": 1.0, "n_samples": 6}),
    (searched, {"scores": True, "n_chains": 0, "n_samples": 6}),
]


@pytest.mark.parametrize(("kind", "settings"), CASES, ids=["chains", "searches"])
def test_what_goes_deeper_is_deployed_where_it_pays_and_pays_on_fresh_prompts(
    kind: Callable[[Course], bool], settings: dict[str, object]
) -> None:
    log = simulated_strategies(300, seed=0, **settings)  # type: ignore[arg-type]
    fresh = simulated_strategies(400, seed=2, **settings)  # type: ignore[arg-type]
    found, model = learned(log)
    at = np.flatnonzero(found.policy.offered.any(axis=0))
    offered = [found.table.courses[column] for column in at]
    assert any(map(kind, offered))
    static = [course for course in found.table.courses if masks.static([course])[0]]
    table = measure_courses(fresh, [*offered, *static])
    cost = table.cost(model, prompt_lengths(fresh)).mean(axis=0)
    value = table.value.mean(axis=0)
    mine = [place for place, course in enumerate(offered) if kind(course)]
    best = max(mine, key=lambda place: value[place] - _mix(cost, value, len(offered), cost[place]))
    # About twice the standard error of a paired difference on 400 prompts.
    assert value[best] > _mix(cost, value, len(offered), cost[best]) + 0.03


def _mix(cost: np.ndarray, value: np.ndarray, first: int, paid: float) -> float:
    """Return what the best mix of two static courses is worth at a cost."""
    best = -np.inf
    for low in range(first, len(cost)):
        for high in range(first, len(cost)):
            if cost[low] <= paid <= cost[high]:
                share = 0.0 if cost[low] == cost[high] else (paid - cost[low]) / (cost[high] - cost[low])
                best = max(best, value[low] + share * (value[high] - value[low]))
    return float(best)


def test_a_search_after_a_probe_is_planned_and_carried_out(tmp_path: Path) -> None:
    log = simulated_strategies(300, n_samples=6, n_chains=0, seed=0)
    train(log, tmp_path / "policy", n_trials=1, unit="output_tokens")
    planner = Planner.load(tmp_path / "policy")
    texts = [f"Another question {number}" for number in range(12)]
    plans = {}
    for price in np.geomspace(1e-2, 1e-4, 12):
        plans = {plan.prompt_id: plan for plan in planner.plan(texts, price=float(price))}
        if all(searched(plan.course) for plan in plans.values()):
            break
    assert all(searched(plan.course) for plan in plans.values())
    outcomes = planner.run(
        texts,
        price=float(price),
        backend=SimulatedBackend(default_success=0.3, n_steps=3),
        verifier=SimulatedVerifier(noise=1.0),
        extractor=SimulatedExtractor(),
    )
    n_before = [sum(step.n for step in plans[one.prompt_id].course.steps[:-1]) for one in outcomes]
    n_drawn = [one.usage.samples for one in outcomes]
    assert all(one.answer is not None for one in outcomes)
    assert any(drawn > before for drawn, before in zip(n_drawn, n_before, strict=True))
