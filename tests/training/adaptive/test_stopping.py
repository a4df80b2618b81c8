"""The adaptive stage of training: what it needs and leaves, and that each ablation switches one part off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from difficulty.belief.standardised import standardised
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.cost.cost_model import CostModel
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rules import Always
from policies.ladder.tally import Tally
from policies.ladder.value_rule import ValueRule, feature_matrix, probably_wrong
from policies.replay.pools import ReplayPool, replay_pools, sample_scales
from policies.replay.trajectories import Trajectories, replay, score_rule
from training.adaptive.candidates import score_at_prices
from training.adaptive.cost_belief import fit_cost_belief
from training.adaptive.fit import fit_adaptive
from training.adaptive.fit_rule import fit_value_rule
from training.adaptive.proposals import Settings, default_ladders
from training.adaptive.rivals import RIVALS, SHIPPED
from training.adaptive.stage import ABLATIONS, Stopping, fit_stopping, replay_course, stopping_prices
from training.simulated.log import simulated_log

PRICES = np.geomspace(0.03, 3e-5, 6)
MODEL = CostModel(unit="output_tokens")
QUICK = Settings(features=("full",), n_draws=1200, cheap_samples=(1,), cheap_weights=(0.3,), max_samples=6)

# Takes learned rules whatever they earn.
FORCED = replace(QUICK, caution=-9.0, proof=-np.inf)


def level_of(log: SampleLog) -> np.ndarray:
    """Return a coordinate that tells difficulty: the length of the sum."""
    length = np.array([len(str(prompt.content)) for prompt in log.prompts], dtype=float)
    return -length[:, None]


def fitted(log: SampleLog, *, ablations: bool = False, unit: str = "output_tokens") -> Stopping | None:
    return fit_stopping(
        log,
        CostModel(unit=unit),  # type: ignore[arg-type]
        coordinates=level_of(log),
        folds=np.arange(len(log.prompts)) % 3,
        prices=PRICES,
        objective="accuracy",
        seed=0,
        settings=QUICK,
        ablations=ablations,
    )


@pytest.fixture(scope="module")
def log() -> SampleLog:
    return simulated_log(60, n_samples=8, seed=3)


@pytest.fixture(scope="module")
def stopping(log: SampleLog) -> Stopping:
    found = fitted(log, ablations=True)
    assert found is not None
    return found


def rules_of(policy: AdaptivePolicy) -> list[ValueRule]:
    return [move.rule for move in policy.moves if isinstance(move.rule, ValueRule)]


def test_the_table_covers_every_prompt_and_price(log: SampleLog, stopping: Stopping) -> None:
    assert stopping.table.value.shape == (len(log.prompts), len(PRICES))
    assert np.all((stopping.table.value >= 0) & (stopping.table.value <= 1))
    assert np.all(stopping.table.cost > 0)


def test_rivals_and_ablations_are_left_by_name(log: SampleLog, stopping: Stopping) -> None:
    assert set(stopping.rivals) == {*RIVALS, *SHIPPED, *ABLATIONS}
    plain = fitted(log)
    assert plain is not None
    assert set(plain.rivals) == {*RIVALS, *SHIPPED}


def test_generators_that_no_ladder_ends_with_are_there_as_they_are() -> None:
    log = simulated_log(40, n_samples=4, n_generators=6, seed=3)
    pools = replay_pools(log, MODEL)
    few = replace(QUICK, max_strong=1, escalation=False, max_samples=4, n_draws=40 * 32)
    ladders = default_ladders(pools, "accuracy", few)
    cheapest = "model-0"
    assert cheapest not in {name for ladder in ladders for name in ladder.generators}
    fit = fit_adaptive(
        pools,
        difficulty=np.zeros((40, 0)),
        folds=np.arange(40) % 3,
        prices=np.array([1.0, 1e-5]),
        settings=few,
    )
    where_tokens_are_dear = fit.policy.options(0)[0]
    assert [(wave.generator, wave.n) for wave in where_tokens_are_dear.ladder.waves] == [(cheapest, 1)]
    assert isinstance(where_tokens_are_dear.rule, Always)
    np.testing.assert_allclose(fit.cost[:, 0], pools[cheapest].cost.mean(axis=1))


def test_learned_rules_must_earn_their_place_over_all_prices_together(log: SampleLog) -> None:
    kinds = {}
    for proof in (-np.inf, np.inf):
        found = fit_adaptive(
            replay_pools(log, MODEL),
            difficulty=level_of(log) / 10,
            folds=np.arange(60) % 3,
            prices=np.append(1.0, PRICES),
            settings=replace(QUICK, proof=proof, caution=0.0, doubtful_caution=1e9, max_options=1),
        ).policy
        kinds[proof] = {type(move.rule) for move in found.moves}
    assert ValueRule in kinds[-np.inf]
    assert ValueRule not in kinds[np.inf]
    assert kinds[np.inf] - {Always}, "known rules have nothing to fit and need no proof"


def test_without_prior_decisions_do_not_depend_on_difficulty(log: SampleLog) -> None:
    pools = replay_pools(log, MODEL)
    ladder = Ladder(
        waves=(Wave(generator="model-0"), Wave(generator="model-1", n=2), Wave(generator="model-1"))
    )
    level = level_of(log) / 10
    with_prior, without = (
        fit_adaptive(
            pools,
            difficulty=level,
            folds=np.arange(len(level)) % 3,
            prices=PRICES,
            ladders=[Ladder(waves=(Wave(generator="model-1"),)), ladder],
            settings=replace(FORCED, prior=prior),
        ).policy
        for prior in (True, False)
    )
    assert rules_of(with_prior)
    assert rules_of(without)
    easy, hard = (state(ladder, coordinate) for coordinate in (-50.0, 50.0))
    for rule in rules_of(without):
        np.testing.assert_array_equal(rule.outlook(easy, price=0.01), rule.outlook(hard, price=0.01))
    for rule in rules_of(with_prior):
        assert rule.outlook(easy, price=0.01).gain != rule.outlook(hard, price=0.01).gain


def test_without_escalation_no_ladder_changes_the_generator(log: SampleLog, stopping: Stopping) -> None:
    pools = replay_pools(log, MODEL)
    ladders = default_ladders(pools, "accuracy", QUICK)
    assert any(len(ladder.generators) > 1 for ladder in ladders)
    alone = default_ladders(pools, "accuracy", replace(QUICK, escalation=False))
    assert alone == [ladder for ladder in ladders if len(ladder.generators) == 1]
    policy = stopping.rivals["adaptive, no escalation"]
    assert all(len(move.ladder.generators) == 1 for move in policy.moves)


def test_without_futility_nothing_stops_while_probably_wrong(log: SampleLog, stopping: Stopping) -> None:
    pools = replay_pools(log, MODEL)
    rules = rules_of(stopping.rivals["adaptive, no futility"])
    assert all(not rule.futility for rule in rules)
    assert all(rule.futility for rule in rules_of(stopping.table.policy))
    ladder = Ladder(waves=(Wave(generator="model-1"),) * 4)
    level = level_of(log) / 10
    fits = {
        futility: fit_adaptive(
            pools,
            difficulty=level,
            folds=np.arange(len(level)) % 3,
            prices=PRICES,
            ladders=[ladder],
            settings=replace(FORCED, futility=futility),
        ).policy
        for futility in (True, False)
    }
    runs = replayed(pools, ladder, level)
    gave_up = {}
    for futility, policy in fits.items():
        assert rules_of(policy)
        gave_up[futility] = 0
        for rule in rules_of(policy):
            for price in PRICES:
                for wave in runs.evidence[:-1]:
                    wrong = probably_wrong(rule.outlook(wave, price=float(price)).accuracy)
                    gave_up[futility] += int((wrong & ~rule.go_on(wave, price=float(price))).sum())
    assert gave_up[True] > 0
    assert gave_up[False] == 0


def test_a_patient_rule_scores_in_fitting_as_it_decides(log: SampleLog) -> None:
    pools = replay_pools(log, MODEL)
    ladder = Ladder(waves=(Wave(generator="model-1"),) * 4)
    runs = replayed(pools, ladder, level_of(log) / 10)
    rule = fit_value_rule(runs, PRICES, features="full", futility=False)
    matrices = [feature_matrix(item, "full") for item in runs.evidence]
    value, cost = score_at_prices(
        runs, rule, matrices=matrices, draws=np.ones(runs.value.shape[1], dtype=bool)
    )
    for column, price in enumerate(PRICES):
        scored = score_rule(runs, rule, price=float(price))
        np.testing.assert_allclose(scored.value, value[:, column])
        np.testing.assert_allclose(scored.cost, cost[:, column])


def test_what_has_nothing_to_react_to_gets_no_policy() -> None:
    assert fitted(simulated_log(30, n_samples=3)) is None
    assert fitted(simulated_log(30, n_samples=8), unit="seconds") is None


def test_what_would_change_nothing_is_no_ablation() -> None:
    log = simulated_log(40, n_samples=6, n_generators=1)
    found = fit_stopping(
        log,
        MODEL,
        coordinates=np.zeros((40, 1)),
        folds=np.arange(40) % 3,
        prices=PRICES,
        objective="accuracy",
        seed=0,
        settings=QUICK,
        ablations=True,
    )
    assert found is not None
    assert set(found.rivals) == {*RIVALS, *SHIPPED[:2], "adaptive, no futility"}


def test_only_generators_that_can_be_priced_are_used(log: SampleLog) -> None:
    found = fit_stopping(
        log,
        MODEL,
        coordinates=level_of(log),
        folds=np.arange(len(log.prompts)) % 3,
        prices=PRICES,
        objective="accuracy",
        seed=0,
        settings=QUICK,
        generators=["model-1"],
    )
    assert found is not None
    for policy in (found.table.policy, *found.rivals.values()):
        assert {name for move in policy.moves for name in move.ladder.generators} == {"model-1"}


def test_replaying_a_static_move_is_the_mean_of_the_samples(log: SampleLog) -> None:
    pools = replay_pools(log, MODEL)
    policy = AdaptivePolicy(
        moves=(Move(ladder=Ladder(waves=(Wave(generator="model-0", n=8),)), rule=Always()),),
        prices=PRICES[:2],
        choice=np.array([0, 0]),
        scales={"model-0": scale()},
    )
    rows, value, cost, rounds = replay_course(
        policy,
        pools,
        difficulty=level_of(log),
        objective="accuracy",
        references=level_of(log),
        n_orders=3,
    )
    np.testing.assert_array_equal(rows, np.arange(len(log.prompts)))
    np.testing.assert_allclose(cost, np.repeat(pools["model-0"].cost.sum(axis=1)[:, None], 2, axis=1))
    np.testing.assert_array_equal(rounds, 1)
    assert np.all((value >= 0) & (value <= 1))


def test_near_duplicates_do_not_tell_of_each_other_where_costs_are_expected() -> None:
    # Five copies of each of sixteen prompts; only copies share what reacting to them costs.
    rng = np.random.default_rng(2)
    copies = np.repeat(np.arange(16), 5)
    tokens = rng.integers(20, 400, size=16)[copies]
    records = [
        {
            "prompt_id": f"p{row}",
            "prompt": f"{row}?",
            "group": f"g{copy}",
            "generator": "g",
            "samples": [
                {"answer": str(int(x)), "correct": bool(x), "output_tokens": int(tokens[row])}
                for x in rng.random(6) < 0.5
            ],
        }
        for row, copy in enumerate(copies.tolist())
    ]
    level = rng.normal(size=16)[copies][:, None] + 1e-3 * rng.normal(size=(80, 1))
    found = fit_stopping(
        SampleLog.from_records(records, {"g": Generator(name="g")}),
        MODEL,
        coordinates=level,
        folds=copies % 3,
        prices=PRICES,
        objective="accuracy",
        seed=0,
        settings=QUICK,
    )
    assert found is not None
    told = found.table.cost_belief
    fooled = fit_cost_belief(level, found.table.cost, groups=np.arange(80).astype(str), seed=0)
    assert told is not None
    assert fooled is not None
    assert fooled.level_bandwidth < 0.3, "copies tell everything"
    assert told.level_bandwidth > 1.0


@pytest.mark.slow
def test_expected_cost_is_what_other_prompts_cost() -> None:
    """At every price: 6 standard errors of 2 × 300 prompts (false alarms below 1e-6) and 5 % for the rule."""
    log = simulated_log(600, n_samples=10, seed=11)
    train, test = log.split(test_fraction=0.5, seed=0)
    level, other = (level_of(side) for side in (train, test))
    found = fit_stopping(
        train,
        MODEL,
        coordinates=level,
        folds=np.arange(len(level)) % 3,
        prices=np.geomspace(0.03, 3e-7, 12),
        objective="accuracy",
        seed=0,
        # Where prompts are routed, recorded ones are told what they take by other prompts alone.
        settings=replace(QUICK, n_draws=2400, max_samples=10, max_options=1),
    )
    assert found is not None
    rows, _, cost, _ = replay_course(
        found.table.policy,
        replay_pools(test, MODEL),
        difficulty=standardised(other, level),
        objective="accuracy",
        references=standardised(level, level),
        n_orders=8,
    )
    assert len(rows) == len(test.prompts)
    expected, realised = found.table.cost.mean(axis=0), cost.mean(axis=0)
    error = np.sqrt(found.table.cost.var(axis=0) / len(level) + cost.var(axis=0) / len(rows))
    assert np.all(np.abs(expected - realised) <= 6 * error + 0.05 * realised)
    # Rules that are fitted without a fold spend otherwise than the one that is deployed.
    np.testing.assert_allclose(
        replay_course(
            found.table.policy,
            replay_pools(train, MODEL),
            difficulty=standardised(level, level),
            objective="accuracy",
            references=standardised(level, level),
            n_orders=8,
        )[2],
        found.table.cost,
    )


def test_every_allocation_of_the_static_mix_is_chosen_at_some_price() -> None:
    # The second vertex is best between prices that differ by a tenth only.
    value, cost = np.array([0.1, 0.32, 0.52, 0.6]), np.array([1.0, 2.0, 3.0, 9.0])
    prices = stopping_prices(value, cost)
    assert np.all(np.diff(prices) < 0)
    worth = value - prices[:, None] * cost
    assert set(worth.argmax(axis=1).tolist()) == {0, 1, 2, 3}


def scale() -> SampleScale:
    return SampleScale(log_cost_mean=4.0, log_cost_sd=0.5)


def state(ladder: Ladder, coordinate: float) -> Evidence:
    """Return one prompt after the first wave of a ladder."""
    tally = Tally(ladder, {name: scale() for name in ladder.generators}, np.array([[coordinate]]))
    tally.add("model-0", answer=np.array([[0]]), cost=np.array([[50.0]]))
    return tally.evidence()


def replayed(pools: dict[str, ReplayPool], ladder: Ladder, level: np.ndarray) -> Trajectories:
    return replay(pools, ladder, scales=sample_scales(pools), difficulty=level, n_orders=8)
