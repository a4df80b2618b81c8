"""The regret of an adaptive policy: parts that add up, oracles that see only the other half, planted gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.adaptive.policy import AdaptivePolicy, Move
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Always
from policies.replay.pools import ReplayPool, half_of
from training.evaluation.adaptive import AdaptiveBed
from training.evaluation.baselines import Course
from training.evaluation.regret import cut, oracle_level, regret_courses, regret_split, rounding_regret
from training.frontier import bootstrap_weights
from training.simulated.log import simulated_log

N_PROMPTS = 80
WEIGHTS = bootstrap_weights(N_PROMPTS, n_replicates=100, seed=0)


@pytest.fixture(scope="module")
def bed(reacting: Any) -> AdaptiveBed:
    log = simulated_log(N_PROMPTS, n_samples=20, seed=8)
    bundle = reacting.bundle
    coordinates = np.random.default_rng(0).normal(size=(N_PROMPTS, bundle.references.coordinates.shape[1]))
    model = CostModel(unit=check_unit(bundle.unit), generators=log.generators)
    return AdaptiveBed.of(bundle, log, model, coordinates=coordinates, seed=0)


def course(value: float, cost: float = 1.0) -> Course:
    return Course(np.full((N_PROMPTS, 1), cost), np.full((N_PROMPTS, 1), value))


def test_parts_add_up_and_carry_intervals(bed: AdaptiveBed) -> None:
    courses = regret_courses(bed)
    assert set(courses) == {"adaptive", "oracle level", "hindsight stopping"}
    budget = float(courses["adaptive"].cost.mean(axis=0).max())
    for row in regret_split(courses, course(0.9), WEIGHTS, [budget / 3, budget]):
        parts = [row[part]["value"] for part in ("predictor", "stopping", "menu")]
        assert sum(parts) == pytest.approx(row["all"]["value"], abs=3e-5)
        for part in ("predictor", "stopping", "menu", "all"):
            low, high = row[part]["interval"]
            assert low <= row[part]["value"] <= high


def test_each_part_is_the_planted_difference() -> None:
    courses = {"adaptive": course(0.5), "oracle level": course(0.53), "hindsight stopping": course(0.6)}
    (row,) = regret_split(courses, course(0.7), WEIGHTS, [2.0])
    assert [row[part]["value"] for part in ("predictor", "stopping", "menu", "all")] == pytest.approx(
        [0.03, 0.07, 0.1, 0.2]
    )


def test_what_cannot_be_computed_is_none_and_stopping_starts_at_the_policy() -> None:
    courses = {"adaptive": course(0.5), "hindsight stopping": course(0.6)}
    (row,) = regret_split(courses, None, WEIGHTS, [2.0])
    assert row["predictor"] is row["menu"] is row["all"] is None
    assert row["stopping"]["value"] == pytest.approx(0.1)
    assert regret_split({}, course(0.7), WEIGHTS, [2.0]) == []


def test_the_oracle_knows_one_half_and_is_scored_on_the_other(bed: AdaptiveBed) -> None:
    """What is right in the even half is worth nothing on an odd half of wrong samples."""
    even = np.arange(20) % 2 == 0
    pools = {
        name: replace(
            item, pool=replace(item.pool, correct=np.where(even, 1, 0) * np.ones_like(item.pool.correct))
        )
        for name, item in bed.pools.items()
    }
    for item in regret_courses(bed._replace(pools=pools)).values():
        assert item.value.max() == 0


def test_oracle_levels_are_reference_levels_in_the_order_of_own_success(bed: AdaptiveBed) -> None:
    even = {name: half_of(item, "even") for name, item in bed.pools.items()}
    level = oracle_level(bed, even)
    assert level is not None
    success = np.mean([rate(item) for item in even.values()], axis=0)
    assert np.all(np.diff(level[np.argsort(success, kind="stable")]) >= -1e-12)
    assert level.mean() == pytest.approx(0, abs=0.1)
    assert level.std() == pytest.approx(1, abs=0.15)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustingRule:
    """Stops at a number of samples that falls with the predicted level."""

    usual: float

    def go_on(self, evidence: Evidence, *, price: float) -> NDArray[np.bool_]:
        return np.asarray(evidence.n_drawn < self.usual * np.exp(-evidence.difficulty[:, 0]))


def test_a_rule_that_trusts_its_level_acts_on_the_oracle(bed: AdaptiveBed) -> None:
    """The coordinates of this bed are noise; the rule asks for more samples where prompts look hard."""
    policy = AdaptivePolicy(
        moves=tuple(
            Move(
                ladder=Ladder(waves=(Wave(generator="model-1"),) * 8),
                rule=TrustingRule(usual=usual),
            )
            for usual in (2.0, 3.0, 4.0)
        ),
        prices=np.geomspace(0.1, 0.001, 3),
        choice=np.arange(3),
        scales=bed.policies["adaptive"].scales,
    )
    samples = bed._replace(
        policies={"adaptive": policy},
        pools={"model-1": replace(bed.pools["model-1"], cost=np.ones((N_PROMPTS, 20)))},
    )
    courses = regret_courses(samples)
    success = rate(bed.pools["model-1"])
    fewer = {name: -np.corrcoef(item.cost.mean(axis=1), success)[0, 1] for name, item in courses.items()}
    assert fewer["oracle level"] > fewer["adaptive"] + 0.1


def test_without_a_level_there_is_no_predictor_to_regret(bed: AdaptiveBed) -> None:
    blind = bed._replace(difficulty=np.zeros((N_PROMPTS, 0)))
    ladder = Ladder(waves=(Wave(generator="model-0", n=4),))
    policy = AdaptivePolicy(
        moves=(Move(ladder=ladder, rule=Always()),),
        prices=np.array([0.1]),
        choice=np.array([0]),
        scales=bed.policies["adaptive"].scales,
    )
    assert set(regret_courses(blind._replace(policies={"adaptive": policy}))) == {
        "adaptive",
        "hindsight stopping",
    }


def test_counts_have_no_halves(bed: AdaptiveBed) -> None:
    item = bed.pools["model-0"]
    counted = replace(item, pool=replace(item.pool, counts_only=np.ones(N_PROMPTS, dtype=bool)))
    assert regret_courses(bed._replace(pools={**bed.pools, "model-0": counted})) == {}
    assert regret_courses(bed._replace(policies={})) == {}


def test_ladders_are_cut_where_samples_run_out() -> None:
    ladder = Ladder(waves=(Wave(generator="a", n=2), Wave(generator="b"), Wave(generator="a", n=3)))
    assert str(cut(ladder, {"a": 9, "b": 9})) == str(ladder)
    assert str(cut(ladder, {"a": 4, "b": 9})) == "a x2, b x1, a x2"
    assert str(cut(ladder, {"a": 4, "b": 0})) == "a x2"
    assert cut(ladder, {"a": 0, "b": 9}) is None


def test_what_is_left_unspent_is_read_off_the_frontier() -> None:
    line = Course(np.tile([1.0, 3.0], (N_PROMPTS, 1)), np.tile([0.2, 0.6], (N_PROMPTS, 1)))
    rows = rounding_regret(
        line, WEIGHTS, [{"budget": 2.0, "expected_cost": 1.5}, {"budget": 3.0, "expected_cost": 3.0}]
    )
    assert [row["value"] for row in rows] == pytest.approx([0.1, 0.0])
    assert rows[0]["interval"] == pytest.approx([0.1, 0.1])


def rate(item: ReplayPool) -> np.ndarray:
    """Return the share of correct samples, shape (P,)."""
    return np.asarray((item.pool.correct == 1).sum(axis=1) / (item.pool.correct >= 0).sum(axis=1))
