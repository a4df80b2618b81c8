"""The learned rule finds what is optimal where the optimum is known, and its parts say what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Always
from policies.ladder.value_rule import ValueRule, feature_matrix
from policies.replay.pools import ReplayPool, sample_scales
from policies.replay.trajectories import Trajectories, replay, score_rule
from training.adaptive.candidates import score_at_prices
from training.adaptive.fit import fit_adaptive
from training.adaptive.fit_rule import fit_value_rule
from training.adaptive.proposals import Settings, propose_coverage_ladders, propose_recipes
from training.adaptive.recipes import Facts

PRICES = np.geomspace(0.3, 1e-4, 10)


def world(
    n_prompts: int = 240,
    width: int = 12,
    *,
    seed: int = 0,
    n_wrong: int = 3,
    name: str = "g",
    shift: float = 0.0,
) -> tuple[ReplayPool, np.ndarray]:
    """Return samples of prompts whose success the difficulty coordinate tells, and the coordinates."""
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(99).normal(size=(n_prompts, 1))
    success = 1 / (1 + np.exp(-2 * level - shift))
    right = rng.random((n_prompts, width)) < success
    answer = np.where(right, 0, rng.integers(1, 1 + n_wrong, size=right.shape))
    nothing = np.full(right.shape, np.nan)
    pool = SamplePool(
        generator=name,
        n=np.full(n_prompts, width),
        n_correct=right.sum(axis=1),
        correct=right.astype(np.int8),
        answer=answer.astype(np.int32),
        output_tokens=nothing,
        score=nothing,
        mean_logprob=nothing,
        truncated=np.zeros(right.shape, dtype=bool),
        prompt_tokens=np.full(n_prompts, np.nan),
        counts_only=np.zeros(n_prompts, dtype=bool),
    )
    return ReplayPool(pool=pool, cost=np.ones(right.shape), request_cost=np.zeros(n_prompts)), level


def runs_of(
    item: ReplayPool, level: np.ndarray, *, objective: str = "accuracy", waves: int = 8
) -> Trajectories:
    ladder = Ladder(waves=tuple(Wave(generator="g") for _ in range(waves)))
    return replay(
        {"g": item},
        ladder,
        scales=sample_scales({"g": item}),
        difficulty=level,
        objective=objective,  # type: ignore[arg-type]
        n_orders=4,
    )


def test_the_learned_rule_beats_every_fixed_width_at_its_price() -> None:
    train, test = runs_of(*world(n_prompts=2400)), runs_of(*world(n_prompts=2400, seed=1))
    rule = fit_value_rule(train, PRICES)
    for price in (0.01, 0.003):
        earned = score_rule(test, rule, price=price)
        fixed = (test.value - price * test.cost).mean(axis=1).max()
        assert (earned.value - price * earned.cost).mean() > fixed + 0.003


def test_a_higher_price_spends_less() -> None:
    runs = runs_of(*world())
    rule = fit_value_rule(runs, PRICES)
    spent = [score_rule(runs, rule, price=price).cost.mean() for price in (0.3, 0.03, 0.003)]
    assert spent == sorted(spent)
    assert spent[0] == 1.0


def test_with_a_checker_it_gives_up_on_prompts_that_cannot_be_solved() -> None:
    item, level = world(shift=-1.0)
    runs = runs_of(item, level, objective="coverage")
    rule = fit_value_rule(runs, PRICES)
    earned = score_rule(runs, rule, price=0.05)
    everything = score_rule(runs, Always())
    samples = runs.per_prompt(earned.samples.astype(float))
    hard, easy = level[:, 0] < -1.5, np.abs(level[:, 0]) < 0.3
    assert samples[hard].mean() < 2.0 < samples[easy].mean()
    assert (earned.value - 0.05 * earned.cost).mean() > (everything.value - 0.05 * everything.cost).mean()


def test_accuracy_is_calibrated_in_the_mean_and_gain_is_what_going_on_earned() -> None:
    runs = runs_of(*world())
    rule = fit_value_rule(runs, PRICES)
    for wave in (0, 3, 7):
        outlook = rule.outlook(runs.evidence[wave], price=0.01)
        assert outlook.accuracy.mean() == pytest.approx(runs.value[wave].mean(), abs=0.02)
    assert np.all(rule.outlook(runs.evidence[7], price=0.01).gain == 0)
    at = rule.nearest(0.01)
    gain, cost = rule.outlooks(runs.evidence[2])
    one = rule.outlook(runs.evidence[2], price=float(PRICES[at]))
    np.testing.assert_allclose(gain[:, at], one.gain)
    np.testing.assert_allclose(cost[:, at], one.cost)
    assert rule.outlooks(runs.evidence[7])[0].max() == 0


def test_scoring_all_prices_at_once_is_scoring_each() -> None:
    runs = runs_of(*world(n_prompts=60))
    rule = fit_value_rule(runs, PRICES)
    matrices = [feature_matrix(state, "full") for state in runs.evidence]
    everyone = np.ones(runs.value.shape[1], dtype=bool)
    value, cost = score_at_prices(runs, rule, matrices=matrices, draws=everyone)
    for column, price in enumerate(PRICES):
        one = score_rule(runs, rule, price=float(price))
        np.testing.assert_array_equal(value[:, column], one.value)
        np.testing.assert_array_equal(cost[:, column], one.cost)


def test_equal_inputs_give_equal_rules() -> None:
    runs = runs_of(*world(n_prompts=60))
    first, second = fit_value_rule(runs, PRICES), fit_value_rule(runs, PRICES)
    assert first.gain.tobytes() == second.gain.tobytes()


def test_a_policy_falls_back_to_static_where_nothing_can_be_learned() -> None:
    # Every sample of a prompt is alike, so nothing that has been drawn says what the next one brings.
    item, level = world(width=4)
    right = np.repeat(item.pool.correct[:, :1], 4, axis=1)
    pool = SamplePool(
        **{
            name: getattr(item.pool, name)
            for name in item.pool.__dataclass_fields__
            if name not in ("correct", "answer")
        },
        correct=right,
        answer=np.where(right == 1, 0, 1).astype(np.int32),
    )
    flat = ReplayPool(pool=pool, cost=item.cost, request_cost=item.request_cost)
    fit = fit_adaptive(
        {"g": flat},
        difficulty=level[:, :0],
        folds=np.arange(240) % 5,
        prices=PRICES,
        settings=Settings(n_draws=480),
    )
    assert set(fit.names) == {"g x1"}
    assert fit.policy.options(len(fit.policy.prices) - 1)[0].ladder.n == 1


def test_a_policy_escalates_where_that_pays_and_beats_static() -> None:
    cheap, level = world(name="g", shift=0.5)
    strong, _ = world(name="h", shift=2.5, seed=7)
    strong = ReplayPool(pool=strong.pool, cost=strong.cost * 20, request_cost=strong.request_cost)
    fit = fit_adaptive(
        {"g": cheap, "h": strong},
        difficulty=level,
        folds=np.arange(240) % 5,
        prices=PRICES,
        settings=Settings(n_draws=480, features=("full",), singles=2, growth=2.0),
    )
    assert any(move.ladder.generators == ("g", "h") for move in fit.policy.moves)
    worth = (fit.value - PRICES * fit.cost).mean(axis=0)
    static = np.max([cheap.pool.correct.mean() - PRICES, strong.pool.correct.mean() - 20 * PRICES], axis=0)
    assert np.all(worth >= static - 0.02)
    assert np.max(worth - static) > 0.02


def test_ladders_are_proposed_from_what_the_log_says() -> None:
    settings = Settings(cheap_samples=(1, 3), cheap_weights=(0.3,))
    accuracy = {"small": 0.4, "big": 0.7, "bad": 0.2}
    votes = {"small": 0.45, "big": 0.8, "bad": 0.2}
    cost = {"small": 1.0, "big": 5.0, "bad": 9.0}
    recorded = dict.fromkeys(accuracy, 8)
    facts = Facts(
        accuracy=accuracy, votes=votes, cost=cost, recorded=recorded, logprob_sd={"big": 0.2}, pooled=True
    )
    recipes = propose_recipes(facts, settings)
    ladders = [recipe.ladder(facts, max_samples=settings.max_samples) for recipe in recipes]
    shapes = {ladder.generators for ladder in ladders}
    assert {("small",), ("big",), ("small", "big")} <= shapes
    assert not any("bad" in shape for shape in shapes)
    assert all(ladder.needs(name) <= 8 for ladder in ladders for name in ladder.generators)


def test_checker_ladders_take_turns_between_generators_that_complement_each_other() -> None:
    success = {"a": np.array([1.0, 0.9, 0.0, 0.0]), "b": np.array([0.0, 0.0, 0.8, 0.8]), "c": np.full(4, 0.3)}
    ladders = propose_coverage_ladders(
        success, dict.fromkeys(success, 1.0), dict.fromkeys(success, 10), settings=Settings(checker_waves=2)
    )
    assert all(len(ladder) == 2 for ladder in ladders)
    assert {"a", "b"} in [set(ladder.generators) for ladder in ladders]


def test_nonsense_is_refused() -> None:
    runs = runs_of(*world(n_prompts=20))
    with pytest.raises(InvalidInputError):
        fit_value_rule(runs, PRICES, ridge=0.0)
    with pytest.raises(InvalidInputError, match="features"):
        fit_value_rule(runs, PRICES, features="all")
    with pytest.raises(InvalidInputError, match="falling"):
        ValueRule(
            features="full",
            prices=np.array([1.0, 2.0]),
            accuracy=np.zeros((2, 3)),
            gain=np.zeros((2, 1, 3)),
            cost=np.zeros((2, 1, 3)),
        )
    with pytest.raises(InvalidInputError, match="shape"):
        ValueRule(
            features="full",
            prices=np.array([1.0]),
            accuracy=np.zeros((2, 3)),
            gain=np.zeros((2, 1, 3)),
            cost=np.zeros((1, 1, 3)),
        )
