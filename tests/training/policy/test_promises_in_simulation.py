"""Where the truth is known, stated intervals hold it: of what plans bring, and of what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from policies.cost.budget import Budget, check_unit
from policies.cost.cost_model import CostModel
from policies.plan.plan import AllocationPlan
from policies.table.measure import prompt_lengths
from training.evaluation.measured import measure_courses
from training.simulated.log import simulated_log
from training.train import train


class Truth(NamedTuple):
    """Value and cost of the N plans of a batch, known from many samples each."""

    plans: list[AllocationPlan]
    value: np.ndarray
    cost: np.ndarray

    @property
    def value_held(self) -> float:
        """Share of plans whose expectation lies in the stated interval."""
        low, high = np.array([plan.accuracy_interval for plan in self.plans]).T
        return float(((low <= self.value + 1e-9) & (self.value <= high + 1e-9)).mean())

    @property
    def cost_held(self) -> float:
        """Share of plans whose expected cost lies in the stated interval."""
        told = np.array([plan.cost_interval for plan in self.plans], dtype=float)
        return float(((told[:, 0] <= self.cost * 1.001) & (self.cost <= told[:, 1] * 1.001)).mean())

    @property
    def mean(self) -> float:
        """What all plans bring on average."""
        return float(self.value.mean())

    @property
    def widest_error(self) -> float:
        """Largest difference between promise and truth over fifths of the promise."""
        told = np.array([plan.expected_accuracy for plan in self.plans])
        fifths = np.array_split(np.argsort(told, kind="stable"), 5)
        return float(max(abs(told[rows].mean() - self.value[rows].mean()) for rows in fifths))


def truths(planner: Planner, log: SampleLog, n_budgets: int) -> list[Truth]:
    """Plan the prompts of a log with many samples at several budgets, and measure what the plans are."""
    bundle = planner.bundle
    unit = check_unit(bundle.unit)
    courses = tuple(c for c, used in zip(bundle.table.courses, bundle.deployed, strict=True) if used)
    place = {course: at for at, course in enumerate(courses)}
    table = measure_courses(log, courses, verifiers={}, seed=0)
    cost = table.cost(CostModel(unit=unit, generators=log.generators), prompt_lengths(log))
    points = planner.frontier(log.prompts)
    rows = np.arange(len(log.prompts))
    found = []
    for limit in np.geomspace(points[0].expected_cost * 1.001, points[-1].expected_cost, n_budgets).tolist():
        plans = planner.plan(log.prompts, budget=Budget(limit=limit, unit=unit))
        column = np.array([place[plan.course] for plan in plans if plan.course is not None])
        value = table.value[rows, column].astype(float).clip(0, 1)  # control variates may leave a hair over
        found.append(Truth(plans, value, cost[rows, column].astype(float)))
    return found


def mean_interval(bundle: PolicyBundle, plans: list[AllocationPlan]) -> tuple[float, float]:
    """Return the interval that is told of the mean of plans."""
    told = np.array([plan.expected_accuracy for plan in plans])
    like = np.array([plan.familiarity for plan in plans if plan.familiarity is not None])
    return bundle.policy.telling.mean_interval(told, like if len(like) else None)


def test_stated_intervals_hold_the_truth(trained: Any) -> None:
    fresh = simulated_log(100, n_samples=60, seed=101)
    found = truths(Planner(bundle=trained.bundle), fresh, n_budgets=3)
    # Of 100 plans of 95 % each, fewer than 85 hold in one of 10,000 batches.
    assert min(truth.value_held for truth in found) >= 0.85
    assert min(truth.cost_held for truth in found) >= 0.85
    for truth in found:
        low, high = mean_interval(trained.bundle, truth.plans)
        assert low <= truth.mean <= high
        assert high - low < 0.25
    told = np.array([[plan.expected_accuracy for plan in truth.plans] for truth in found])
    assert (np.diff(told, axis=0) >= -1e-12).all()
    width = [np.diff(plan.accuracy_interval)[0] for truth in found for plan in truth.plans]
    assert np.mean(width) < 0.8  # and say something


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_prompts", "n_samples", "n_generators", "seed", "tells", "unit"),
    [
        (400, 10, 2, 1, True, "output_tokens"),
        (400, 10, 2, 2, True, "output_tokens"),
        (400, 3, 2, 3, True, "output_tokens"),
        (150, 10, 2, 4, True, "output_tokens"),
        (400, 40, 1, 5, True, "output_tokens"),
        (400, 10, 3, 6, True, "total_tokens"),
        (400, 10, 2, 7, False, "output_tokens"),
        (250, 8, 2, 8, True, "samples"),
        (1200, 4, 2, 9, True, "output_tokens"),
    ],
)
def test_stated_intervals_hold_the_truth_whatever_was_recorded(
    tmp_path: Path, n_prompts: int, n_samples: int, n_generators: int, seed: int, tells: bool, unit: str
) -> None:
    """At least 90 % of the plans of every budget, where 95 % are stated; fifths of the promise are near."""
    shape = {"n_generators": n_generators, "text_tells": tells}
    log = simulated_log(n_prompts, n_samples=n_samples, seed=seed, **shape)
    train(log, tmp_path / "policy", n_trials=5, unit=unit, learned_verifier=False)
    fresh = simulated_log(250, n_samples=160, seed=seed + 1000, **shape)
    found = truths(Planner.load(tmp_path / "policy"), fresh, n_budgets=6)
    assert min(truth.value_held for truth in found) >= 0.9
    assert min(truth.cost_held for truth in found) >= 0.9
    bundle = PolicyBundle.load(tmp_path / "policy")
    intervals = [mean_interval(bundle, truth.plans) for truth in found]
    # One split in twenty misses them; twice as wide they are missed by one in ten thousand.
    for truth, (low, high) in zip(found, intervals, strict=True):
        half = (high - low) / 2
        assert low - half <= truth.mean <= high + half
    errors = [truth.widest_error for truth in found]
    # Of 50 prompts that nobody can tell apart, the mean alone is off by .05.
    assert np.mean(errors) < (0.06 if n_prompts >= 250 and tells else 0.12)
