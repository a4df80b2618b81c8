"""The adaptive policy against the same number of samples for every prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.evaluation.baselines import Course
from training.evaluation.uniform import against_uniform
from training.frontier import bootstrap_weights
from training.report.adaptive import uniform_section

# Half of forty prompts are solved by one sample in two, the other half never.
K = np.arange(1, 9)
SOLVABLE = np.arange(40) < 20
UNIFORM = Course(np.tile(1.0 * K, (40, 1)), np.where(SOLVABLE[:, None], 1 - 0.5**K, 0.0))
# One at a time until solved, with a common cap.
STOPPING = Course(np.where(SOLVABLE[:, None], 2 - 2 * 0.5**K, 1.0 * K), UNIFORM.value)
WEIGHTS = bootstrap_weights(40, n_replicates=200, seed=0)


def row(found: dict[str, Any], share: float) -> dict[str, Any]:
    return next(row for row in found["rows"] if row["share"] == share)


def test_all_of_uniforms_value_costs_what_stopping_early_spares() -> None:
    found = against_uniform(STOPPING, {"uniform": UNIFORM}, WEIGHTS)
    assert found["most"] == {"value": pytest.approx(0.5 * (1 - 0.5**8)), "cost": 8.0, "name": "uniform"}
    cost = (8 + 2 - 2 * 0.5**8) / 2
    assert row(found, 1.0)["cost"] == pytest.approx(cost)
    assert row(found, 1.0)["multiple"] == row(found, 1.0)["multiple_of_all"] == pytest.approx(8 / cost)
    low, high = row(found, 1.0)["multiple_interval"]
    assert low < 8 / cost < high


def test_a_share_is_cheaper_for_both_and_counts_against_all_too() -> None:
    found = against_uniform(STOPPING, {"uniform": UNIFORM}, WEIGHTS)
    part = row(found, 0.9)
    assert 3 < part["uniform_cost"] < 4  # 1 - .5^3 is below .9 of the most, 1 - .5^4 above
    assert part["multiple"] == pytest.approx(part["uniform_cost"] / part["cost"])
    assert part["multiple_of_all"] == pytest.approx(8 / part["cost"])


def test_uniform_sampling_gets_the_cheapest_of_its_courses() -> None:
    dear = Course(3 * UNIFORM.cost, UNIFORM.value)
    alone, both = (
        against_uniform(STOPPING, courses, WEIGHTS)
        for courses in ({"uniform": UNIFORM}, {"dear": dear, "uniform": UNIFORM})
    )
    assert both["rows"] == alone["rows"]


def test_what_is_never_reached_is_told_so() -> None:
    poor = Course(STOPPING.cost, 0.5 * STOPPING.value)
    found = against_uniform(poor, {"uniform": UNIFORM}, WEIGHTS)
    assert row(found, 1.0)["cost"] is None
    assert row(found, 1.0)["multiple"] == 0
    text = uniform_section(found | {"most_waves": 4}, "coverage", "samples")
    assert "at most 4 waves" in text
    assert "| 100% | 0.498 | 8 | – | 0.00 [0.00, 0.00] | 0.00 [0.00, 0.00] |" in text
    assert uniform_section({}, "coverage", "samples") == ""
