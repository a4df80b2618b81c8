"""The chance of overrun against simulation and its own inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError
from policies.solver.overrun import overrun_probability, safety_margin


@pytest.mark.parametrize("chance", [0.4, 0.1, 1e-3])
def test_margin_and_probability_are_inverse(chance: float) -> None:
    margin = safety_margin(49.0, overrun=chance)
    assert overrun_probability(
        expected_cost=100.0, cost_variance=49.0, limit=100.0 + margin
    ) == pytest.approx(chance)


def test_agrees_with_simulated_batches() -> None:
    # 4,000 batches of 200 exponential costs: the standard error of a tenth is 0.0047, skewness adds less;
    # 0.03 is more than five standard errors, a false-alarm rate below 1e-6.
    totals = np.random.default_rng(0).exponential(10.0, size=(4000, 200)).sum(axis=1)
    limit = 2000.0 + safety_margin(200 * 100.0, overrun=0.1)
    assert np.mean(totals > limit) == pytest.approx(0.1, abs=0.03)


def test_certain_costs() -> None:
    assert overrun_probability(expected_cost=3.0, cost_variance=0.0, limit=3.0) == 0.0
    assert overrun_probability(expected_cost=3.1, cost_variance=0.0, limit=3.0) == 1.0


@pytest.mark.parametrize(
    "change", [{"cost_variance": -1.0}, {"cost_variance": math.nan}, {"limit": math.nan}]
)
def test_numbers_that_cannot_be(change: dict[str, float]) -> None:
    with pytest.raises(InvalidBudgetError):
        overrun_probability(**({"expected_cost": 1.0, "cost_variance": 1.0, "limit": 1.0} | change))
