"""Probe and agree before anything was recorded: what it earns is what the prior says."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.belief.posterior import leads
from policies.adaptive.cold_start import cold_start_adaptive
from policies.ladder.stop_rules import AdaptiveConsistency

SUCCESS = np.linspace(0.05, 0.95, 40)


def test_levels_cost_more_and_earn_more_as_the_price_falls() -> None:
    table = cold_start_adaptive("tiny", SUCCESS, output_tokens_per_sample=10.0)
    assert np.all(np.diff(table.cost.mean(axis=0)) >= 0)
    assert np.all(np.diff(table.value.mean(axis=0)) >= -1e-12)
    dearest = table.move(len(table.policy.prices) - 1)
    assert dearest.ladder.n > 10
    assert isinstance(dearest.rule, AdaptiveConsistency)


def test_sure_prompts_end_as_soon_as_the_rule_may_be_sure() -> None:
    table = cold_start_adaptive("tiny", np.array([0.5, 0.6, 1.0]), output_tokens_per_sample=1.0)
    soonest = next(n for n in range(1, 33) if leads(np.array([n]), np.array([0]))[0] >= 0.95)
    assert table.cost[2, -1] == soonest
    assert table.value[2, -1] == 1.0
    assert table.cost_deviation[2, -1] == 0.0
    assert table.cost[0, -1] > soonest


def test_coverage_is_one_minus_the_chance_that_all_fail() -> None:
    table = cold_start_adaptive("tiny", SUCCESS, objective="coverage", output_tokens_per_sample=1.0)
    n = table.move(len(table.policy.prices) - 1).ladder.n
    exact = 1 - (1 - SUCCESS) ** n
    # Mean of 4,000 independent draws; 5 standard errors: a false alarm in 6e-7.
    error = np.sqrt((exact * (1 - exact)).sum() / 100) / len(SUCCESS)
    assert abs(table.value[:, -1].mean() - exact.mean()) < 5 * error + 1e-9


@pytest.mark.parametrize("objective", ["accuracy", "coverage"])
def test_priors_without_doubt_have_a_policy_too(objective: str) -> None:
    for success in ([0.0], [1.0], [0.2, 0.9]):
        table = cold_start_adaptive("tiny", np.array(success), objective=objective)  # type: ignore[arg-type]
        assert np.all(np.isfinite(table.cost))
        assert np.all((table.value >= 0) & (table.value <= 1))
