"""A planner without a log is at least as good as each shipped stop rule at what that rule costs."""

from __future__ import annotations

import pytest

from benchmarks.untrained import compare
from planner.planner import Planner
from planner.planning.untrained import shipped_rules
from training.simulated.log import simulated_log

LOG = simulated_log(120, n_samples=12, seed=4)


@pytest.fixture(scope="module")
def rows():
    return compare(LOG, "sums", n_replicates=60)


def test_every_rule_is_matched_at_its_own_cost(rows) -> None:
    assert len(rows) == 2 * 6 + 13
    # Equal but where the planner mixes two levels around the rule.
    assert min(row.difference for row in rows) > -0.004
    assert all(row.high >= -1e-9 for row in rows)


def test_a_pair_is_compared_where_the_second_costs_and_solves_more(rows) -> None:
    pairs = {row.generators for row in rows if len(row.generators) > 1}
    assert pairs == {("model-0", "model-1")}
    assert any(row.rule == "two agree, else strong" for row in rows)


def test_prompts_sent_again_are_matched_too() -> None:
    rows = compare(LOG, "sums", unit="total_tokens", n_replicates=60)
    assert min(row.difference for row in rows) > -0.004


def test_halves_share_no_group() -> None:
    first, second = (compare(LOG, "sums", side=side, n_replicates=2) for side in ("first", "second"))
    assert [row.cost for row in first] != [row.cost for row in second]


def test_generators_of_other_lengths_are_priced_at_theirs() -> None:
    planner = Planner.untrained(["small", "large"], output_tokens={"large": 4000.0}, max_samples=8)
    plans = {
        str(plan.course): plan for price in (1.0, 1e-4, 1e-7) for plan in planner.plan(["?"], price=price)
    }
    assert plans["small x1; vote"].expected_cost == pytest.approx(512.0)
    courses = [planner.bundle.table.courses[at] for at in planner.bundle.policy.offered.argmax(axis=1)]
    assert shipped_rules(["small", "large"], max_samples=8)["two agree, else strong"] in courses
    large = [sum(step.n for step in course.steps if step.generator == "large") for course in courses]
    assert max(large) == 8
