"""Replays of adaptive policies on test prompts: placebo, prompts that lack samples, tokens of rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.adaptive.policy import AdaptivePolicy, Move
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Agreement, Always
from policies.replay.pools import half_of
from training.adaptive.rivals import RIVALS, SHIPPED
from training.evaluation.adaptive import AdaptiveBed, adaptive_courses, replayable, round_table
from training.evaluation.baselines import Course
from training.simulated.log import simulated_log

N_PROMPTS = 60


@pytest.fixture(scope="module")
def log() -> Any:
    return simulated_log(N_PROMPTS, n_samples=12, seed=8)


@pytest.fixture(scope="module")
def bed(reacting: Any, log: Any) -> AdaptiveBed:
    coordinates = np.random.default_rng(0).normal(
        size=(N_PROMPTS, reacting.bundle.references.coordinates.shape[1])
    )
    return bed_of(reacting.bundle, log, coordinates)


def bed_of(bundle: Any, log: Any, coordinates: np.ndarray) -> AdaptiveBed:
    model = CostModel(unit=check_unit(bundle.unit), generators=log.generators)
    return AdaptiveBed.of(bundle, log, model, coordinates=coordinates, seed=0)


def with_policy(bed: AdaptiveBed, *moves: Move) -> AdaptiveBed:
    """Return the bed with an adaptive policy of these moves, one price each."""
    policy = AdaptivePolicy(
        moves=moves,
        prices=np.geomspace(0.1, 0.001, len(moves)),
        choice=np.arange(len(moves)),
        scales=bed.policies["adaptive"].scales,
    )
    return bed._replace(policies={"adaptive": policy})


def test_every_policy_and_the_placebo_are_replayed(bed: AdaptiveBed) -> None:
    courses, rounds = adaptive_courses(bed)
    assert set(courses) == {"adaptive", *RIVALS, *SHIPPED, "adaptive, shuffled predictor"}
    n_prices = len(bed.policies["adaptive"].prices)
    for course in courses.values():
        assert course.cost.shape == course.value.shape == (N_PROMPTS, n_prices)
        assert np.all((course.value >= 0) & (course.value <= 1))
    assert rounds.shape == (N_PROMPTS, n_prices)
    assert rounds.min() >= 1


def test_without_an_adaptive_policy_nothing_is_replayed(trained: Any) -> None:
    width = trained.bundle.references.coordinates.shape[1]
    bed = bed_of(trained.bundle, trained.test_log, np.zeros((len(trained.test_log.prompts), width)))
    courses, rounds = adaptive_courses(bed)
    assert courses == {}
    assert rounds.shape == (len(trained.test_log.prompts), 0)
    assert replayable(trained.bundle, trained.test_log).all()


def test_prompts_with_fewer_samples_than_a_ladder_draws_are_told(reacting: Any) -> None:
    most = max(
        move.ladder.needs(name)
        for policy in (reacting.bundle.adaptive.policy, *reacting.bundle.rivals.values())
        for move in policy.moves
        for name in move.ladder.generators
    )
    assert replayable(reacting.bundle, simulated_log(5, n_samples=most, seed=1)).all()
    assert not replayable(reacting.bundle, simulated_log(5, n_samples=most - 1, seed=1)).any()


def test_the_placebo_is_the_policy_itself_where_it_sees_no_difficulty(bed: AdaptiveBed) -> None:
    blind = with_policy(
        bed, Move(ladder=Ladder(waves=(Wave(generator="model-0"),) * 4), rule=Agreement(count=2))
    )
    courses, _ = adaptive_courses(blind)
    placebo = courses["adaptive, shuffled predictor"]
    np.testing.assert_array_equal(courses["adaptive"].cost, placebo.cost)
    np.testing.assert_array_equal(courses["adaptive"].value, placebo.value)


def test_rounds_charge_the_prompt_per_wave_or_once_per_generator(bed: AdaptiveBed, log: Any) -> None:
    waves = (Wave(generator="model-0", n=2), Wave(generator="model-0", n=2), Wave(generator="model-1", n=3))
    climbing = with_policy(bed, Move(ladder=Ladder(waves=waves), rule=Agreement(count=99)))
    courses, rounds = adaptive_courses(climbing)
    (row,) = round_table(climbing, log, courses["adaptive"], rounds, [1e9])
    prompt = {name: float(log.pool(name).prompt_tokens.mean()) for name in ("model-0", "model-1")}
    # All seven samples are drawn, in one of many random orders.
    output = float(courses["adaptive"].cost.mean())
    assert row["mean_rounds"] == row["p95_rounds"] == 3
    assert row["total_tokens_resent"] == pytest.approx(
        output + 2 * prompt["model-0"] + prompt["model-1"], abs=0.01
    )
    assert row["total_tokens_cached"] == pytest.approx(
        output + prompt["model-0"] + prompt["model-1"], abs=0.01
    )


def test_tokens_are_not_guessed_where_they_were_not_recorded(bed: AdaptiveBed, log: Any) -> None:
    records = [
        {key: value for key, value in record.items() if key != "prompt_tokens"} for record in log_records(log)
    ]
    bare = type(log).from_records(records, dict(log.generators))
    courses, rounds = adaptive_courses(
        with_policy(bed, Move(ladder=Ladder(waves=(Wave(generator="model-0"),)), rule=Always()))
    )
    one = with_policy(bed, Move(ladder=Ladder(waves=(Wave(generator="model-0"),)), rule=Always()))
    (row,) = round_table(one, bare, courses["adaptive"], rounds, [1e9])
    assert row["total_tokens_resent"] is None
    assert row["total_tokens_cached"] is None


def test_the_dearest_level_within_the_budget_is_shown(bed: AdaptiveBed, log: Any) -> None:
    cost = np.tile([10.0, 20.0, 40.0], (N_PROMPTS, 1))
    rounds = np.tile([1.0, 2.0, 3.0], (N_PROMPTS, 1))
    moves = [Move(ladder=Ladder(waves=(Wave(generator="model-0", n=n),)), rule=Always()) for n in (1, 2, 3)]
    table = round_table(with_policy(bed, *moves), log, Course(cost, cost), rounds, [5.0, 20.0, 39.0, 99.0])
    assert [row["cost"] for row in table] == [10, 20, 20, 40]
    assert [row["mean_rounds"] for row in table] == [1, 2, 2, 3]


def test_prefixes_are_the_static_beginnings_of_every_ladder(bed: AdaptiveBed) -> None:
    pool = bed.pools["model-0"]
    ladder = Ladder(waves=(Wave(generator="model-0"), Wave(generator="model-0", n=11)))
    one = with_policy(bed, Move(ladder=ladder, rule=Always()))
    value, cost = one.prefixes(one.policies["adaptive"], pools=bed.pools)
    assert value.shape == (N_PROMPTS, 2)
    np.testing.assert_allclose(cost[:, 1], pool.cost.sum(axis=1))
    # With a checker, later samples are only paid for while nothing was right.
    solved = one._replace(bundle=replace(one.bundle, objective="coverage"))
    covered, spent = solved.prefixes(one.policies["adaptive"], pools=bed.pools)
    right = pool.pool.correct == 1
    np.testing.assert_allclose(covered[:, 1], right.any(axis=1))
    np.testing.assert_allclose(spent[right.all(axis=1), 0], spent[right.all(axis=1), 1])
    np.testing.assert_allclose(spent[~right.any(axis=1), 1], cost[~right.any(axis=1), 1])
    halves = {"model-0": half_of(pool, "odd")}
    with pytest.raises(ValueError, match="samples"):
        one.prefixes(one.policies["adaptive"], pools=halves)


def log_records(log: Any) -> list[dict[str, Any]]:
    """Return a log's single samples as records."""
    records = []
    for name in log.generators:
        pool = log.pool(name)
        for row, prompt in enumerate(log.prompts):
            samples = [
                {"answer": str(code), "correct": bool(right), "output_tokens": int(tokens)}
                for code, right, tokens in zip(
                    pool.answer[row], pool.correct[row], pool.output_tokens[row], strict=True
                )
            ]
            records.append({"prompt_id": prompt.id, "generator": name, "samples": samples})
    return records
