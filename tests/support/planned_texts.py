"""Texts to plan for, and sums over plans."""

from __future__ import annotations

import numpy as np

from policies.plan.plan import AllocationPlan


def texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        "Add up " + " + ".join(map(str, rng.integers(2, 60, size=rng.integers(2, 10)))) + f" ({number})."
        for number in range(n)
    ]


def total(plans: list[AllocationPlan]) -> float:
    return sum(plan.expected_cost for plan in plans)


def mean_value(plans: list[AllocationPlan]) -> float:
    return float(np.mean([plan.expected_accuracy for plan in plans]))
