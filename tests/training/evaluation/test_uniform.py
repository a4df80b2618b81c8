"""Our policy against the same number of samples for every prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.evaluation.bed import Played
from training.evaluation.uniform import against_uniform
from training.frontier import bootstrap_weights
from training.report.sections import uniform_section
from training.report.verdict import saving_sentence

# Half of forty prompts are solved by one sample in two, the other half never.
K = np.arange(1, 9)
SOLVABLE = np.arange(40) < 20
UNIFORM = Played(np.tile(1.0 * K, (40, 1)), np.where(SOLVABLE[:, None], 1 - 0.5**K, 0.0))
# One at a time until solved, with a common cap.
STOPPING = Played(np.where(SOLVABLE[:, None], 2 - 2 * 0.5**K, 1.0 * K), UNIFORM.value)
WEIGHTS = bootstrap_weights(40, n_replicates=200, seed=0)
DATA = {"unit": "samples", "objective": "coverage"}


def found(ours: Played, **others: Played) -> dict[str, Any]:
    families = {"uniform vote": UNIFORM, **others}
    return against_uniform(ours, {name: (K, played) for name, played in families.items()}, WEIGHTS)


def row(table: dict[str, Any], share: float) -> dict[str, Any]:
    return next(row for row in table["rows"] if row["share"] == share)


def test_all_of_uniforms_value_costs_what_stopping_early_spares() -> None:
    table = found(STOPPING)
    most = {"value": pytest.approx(0.5 * (1 - 0.5**8)), "cost": 8.0, "name": "uniform vote", "n": 8}
    assert table["most"] == most
    cost = (8 + 2 - 2 * 0.5**8) / 2
    assert row(table, 1.0)["cost"] == pytest.approx(cost)
    assert row(table, 1.0)["saved"] == pytest.approx(8 - cost)
    assert row(table, 1.0)["saved_share"] == pytest.approx(1 - cost / 8)
    assert row(table, 1.0)["multiple"] == pytest.approx(8 / cost)
    for name in ("saved", "saved_share", "multiple"):
        low, high = row(table, 1.0)[f"{name}_interval"]
        assert low < row(table, 1.0)[name] < high


def test_a_share_of_the_way_starts_at_one_sample() -> None:
    half = row(found(STOPPING), 0.5)
    assert half["value"] == pytest.approx(0.25 + 0.5 * (0.5 * (1 - 0.5**8) - 0.25))
    assert half["n"] == 2  # one sample reaches .25, two reach .375, half of the way is just below
    assert 1.9 < half["uniform_cost"] < 2


def test_uniform_sampling_gets_the_cheapest_of_its_families() -> None:
    dear = Played(3 * UNIFORM.cost, UNIFORM.value)
    assert found(STOPPING, **{"uniform dear": dear})["rows"] == found(STOPPING)["rows"]
    poor = Played(UNIFORM.cost, 0.1 * UNIFORM.value)
    assert row(found(STOPPING, **{"uniform poor": poor}), 1.0)["name"] == "uniform vote"


def test_a_family_that_some_prompts_cannot_tell_is_left_out() -> None:
    gap = UNIFORM.value.copy()
    gap[0, -1] = np.nan
    assert against_uniform(STOPPING, {"uniform vote": (K, Played(UNIFORM.cost, gap))}, WEIGHTS) == {}


def test_what_is_never_reached_is_told_so() -> None:
    table = found(Played(STOPPING.cost, 0.5 * STOPPING.value))
    assert row(table, 1.0)["cost"] is None
    assert row(table, 1.0)["multiple"] == 0
    assert "| never reached |" in uniform_section(table, DATA)
    assert "the policy never reaches: " in saving_sentence(table, DATA)
    assert uniform_section({}, DATA) == saving_sentence({}, DATA) == ""


def test_the_verdict_says_what_is_saved_in_the_unit() -> None:
    text = saving_sentence(found(STOPPING), DATA)
    part = row(found(STOPPING), 0.9)
    assert f"cost {part['uniform_cost']:.4g} samples per prompt and the policy {part['cost']:.4g}: " in text
    assert f"{100 * part['saved_share']:.0f} % less [" in text


def test_one_sample_reaches_and_equal_cost_is_no_saving() -> None:
    table = found(Played(UNIFORM.cost, UNIFORM.value))
    row(table, 0.9).update(n=1, saved=0.0, saved_share=0.0, saved_share_interval=[0.0, 0.0])
    text = saving_sentence(table, DATA)
    assert text.startswith("For coverage ") and ", one sample for everybody (" in text
    assert text.endswith(" per prompt, and the policy as much.")


def test_what_is_dearer_than_uniform_is_said_to_cost_more() -> None:
    table = found(Played(1.5 * UNIFORM.cost, UNIFORM.value))
    part = row(table, 0.9)
    low, high = part["saved_share_interval"]
    text = saving_sentence(table, DATA)
    assert f"and the policy {part['cost']:.4g}: 50 % more [" in text
    assert low <= high < 0 and f"[{-100 * high:.0f} %, {-100 * low:.0f} %]" in text
