"""Replays agree with the exact estimators, and stop rules are scored as if prompts had been sampled live."""

from __future__ import annotations

from dataclasses import replace as changed

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k_curve
from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import AdaptiveConsistency, Agreement, Always
from policies.replay.pools import ReplayPool, sample_scales
from policies.replay.recorded_answers import comparable
from policies.replay.trajectories import replay, score_rule


def make_pool(answer: np.ndarray, correct: np.ndarray, *, name: str = "g", cost: float = 1.0) -> ReplayPool:
    """Return a pool of recorded answers; code -2 is padding."""
    n = (answer > -2).sum(axis=1)
    nothing = np.full(answer.shape, np.nan)
    pool = SamplePool(
        generator=name,
        n=n,
        n_correct=(correct == 1).sum(axis=1),
        correct=correct.astype(np.int8),
        answer=answer.astype(np.int32),
        output_tokens=nothing,
        score=nothing,
        mean_logprob=nothing,
        truncated=np.zeros(answer.shape, dtype=bool),
        prompt_tokens=np.full(len(n), np.nan),
        counts_only=np.zeros(len(n), dtype=bool),
    )
    return ReplayPool(pool=pool, cost=np.full(answer.shape, cost), request_cost=np.zeros(len(n)))


def random_pool(seed: int, n_prompts: int = 12, width: int = 8, *, name: str = "g") -> ReplayPool:
    rng = np.random.default_rng(seed)
    answer = rng.integers(-1, 4, size=(n_prompts, width))
    return make_pool(answer, answer == 0, name=name)


def ladder_of(*sizes: int, name: str = "g", **more: object) -> Ladder:
    return Ladder(waves=tuple(Wave(generator=name, n=size) for size in sizes), **more)  # type: ignore[arg-type]


def test_stopping_at_a_width_is_the_exact_majority_vote() -> None:
    item = random_pool(0)
    runs = replay({"g": item}, ladder_of(1, 2, 2, 3), scales={}, difficulty=np.zeros((12, 0)), n_orders=3000)
    measured = runs.per_prompt(runs.value.T)
    exact = majority_vote_accuracy(item.pool.answer, item.pool.correct, np.array([1, 3, 5, 8]))
    # Standard error of a cell is at most 0.5 / sqrt(3000): 5.5 of them, over 48 cells, is below 1e-6.
    np.testing.assert_allclose(measured, exact, atol=0.051)
    # The whole pool leaves nothing to chance.
    np.testing.assert_allclose(measured[:, 3], exact[:, 3], atol=1e-12)


def test_coverage_is_pass_at_k_and_ends_at_the_first_success() -> None:
    item = random_pool(1)
    runs = replay(
        {"g": item},
        ladder_of(1, 1, 2, 4),
        scales={},
        difficulty=np.zeros((12, 0)),
        objective="coverage",
        n_orders=3000,
    )
    exact = pass_at_k_curve(item.pool.n, item.pool.n_correct, np.array([1, 2, 4, 8]))
    np.testing.assert_allclose(runs.per_prompt(runs.value.T), exact, atol=0.051)
    result = score_rule(runs, Always())
    np.testing.assert_allclose(runs.per_prompt(result.value), exact[:, 3], atol=1e-12)
    expected_samples = 1 + (1 - exact[:, 0]) + 2 * (1 - exact[:, 1]) + 4 * (1 - exact[:, 2])
    np.testing.assert_allclose(runs.per_prompt(result.samples.astype(float)), expected_samples, atol=0.25)


def test_a_rule_is_scored_as_if_each_draw_were_played_by_hand() -> None:
    item = random_pool(2)
    ladder = ladder_of(1, 1, 1, 1, 1, 1, 1, 1)
    runs = replay({"g": item}, ladder, scales={}, difficulty=np.zeros((12, 0)), n_orders=5)
    rule = AdaptiveConsistency(threshold=0.8)
    result = score_rule(runs, rule)
    for line in range(60):
        wave = 0
        while wave < 7 and bool(rule.go_on(runs.evidence[wave], price=0.0)[line]):
            wave += 1
        assert result.waves[line] == wave + 1 == result.samples[line] == result.cost[line]
        assert result.value[line] == runs.value[wave, line]


def test_equal_seeds_give_equal_draws_and_other_seeds_others() -> None:
    item = random_pool(3)
    runs = [
        replay({"g": item}, ladder_of(1, 1), scales={}, difficulty=np.zeros((12, 0)), n_orders=4, seed=seed)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(runs[0].value, runs[1].value)
    assert np.any(runs[0].value != runs[2].value)


def test_ladders_of_equal_seed_share_their_first_samples() -> None:
    item = random_pool(4)
    short, long = (
        replay({"g": item}, ladder_of(*sizes), scales={}, difficulty=np.zeros((12, 0)), n_orders=4)
        for sizes in ((1,), (1, 3))
    )
    np.testing.assert_array_equal(short.value[0], long.value[0])


def test_generators_are_drawn_independently_even_where_right_samples_come_first() -> None:
    right = np.tile(np.arange(10) < 4, (200, 1)).astype(np.int8)
    pools = {name: make_pool(np.full(right.shape, -1), right, name=name) for name in ("a", "b")}
    runs = replay(
        pools,
        Ladder(waves=(Wave(generator="a"), Wave(generator="b")), pooled=False),
        scales=sample_scales(pools),
        difficulty=np.zeros((200, 0)),
        objective="coverage",
        n_orders=40,
    )
    # 8,000 draws: 1 - .6 * .6, where samples that meet by their place would give .4 at both waves.
    assert runs.value[0].mean() == pytest.approx(0.4, abs=1e-9)
    assert runs.value[1].mean() == pytest.approx(0.64, abs=0.04)


def test_two_generators_pool_their_votes_or_not() -> None:
    pools = {
        "a": make_pool(np.array([[0, 0, 0]]), np.array([[1, 1, 1]]), name="a"),
        "b": make_pool(np.array([[1]]), np.array([[0]]), name="b", cost=5.0),
    }
    waves = (Wave(generator="a", n=3), Wave(generator="b"))
    pooled, apart = (
        replay(pools, Ladder(waves=waves, pooled=pooled), scales={}, difficulty=np.zeros((1, 0)), n_orders=1)
        for pooled in (True, False)
    )
    assert pooled.value[:, 0].tolist() == [1.0, 1.0]
    assert apart.value[:, 0].tolist() == [1.0, 0.0]
    assert apart.cost[:, 0].tolist() == [3.0, 8.0]


def test_where_the_later_generator_abstains_the_earlier_one_s_votes_stand_and_are_valued_as_its_own() -> None:
    # Code 0 is right for "a" and wrong for "b", as choice letters that are dealt anew may be.
    first = make_pool(np.zeros((2, 2), dtype=int), np.ones((2, 2)), name="a")
    later = make_pool(np.array([[-1, -1], [0, 0]]), np.zeros((2, 2)), name="b")
    waves = (Wave(generator="a", n=2), Wave(generator="b", n=2))
    runs = replay(
        {"a": first, "b": later},
        Ladder(waves=waves, pooled=False),
        scales={},
        difficulty=np.zeros((2, 0)),
        n_orders=2,
    )
    np.testing.assert_array_equal(runs.per_prompt(runs.value.T), [[1.0, 1.0], [1.0, 0.0]])


def test_prompts_without_enough_samples_are_left_out_and_padding_is_never_drawn() -> None:
    answer = np.array([[0, 0, -2, -2], [1, 1, 1, 1], [0, 0, 0, -2]])
    correct = np.where(answer > -2, answer == 0, -1)
    item = make_pool(answer, correct)
    runs = replay({"g": item}, ladder_of(3), scales={}, difficulty=np.zeros((3, 0)), n_orders=20)
    assert runs.prompts.tolist() == [1, 2]
    assert runs.per_prompt(runs.value[0]).tolist() == [0.0, 1.0]
    with pytest.raises(InvalidInputError):
        replay({"g": item}, ladder_of(5), scales={}, difficulty=np.zeros((3, 0)))


def test_a_request_is_paid_for_each_wave() -> None:
    item = changed(random_pool(5), request_cost=np.full(12, 10.0))
    runs = replay({"g": item}, ladder_of(1, 2, 1), scales={}, difficulty=np.zeros((12, 0)), n_orders=2)
    assert runs.cost[:, 0].tolist() == [11.0, 23.0, 34.0]
    assert set(score_rule(runs, Agreement(count=1)).cost) <= {11.0, 23.0, 34.0}


def test_choice_letters_of_shuffled_choices_do_not_compare() -> None:
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 4, size=(40, 1))
    a = (truth + (rng.random((40, 6)) < 0.3)) % 4
    shifted = (a + rng.integers(1, 4, size=(40, 1))) % 4
    first = make_pool(a, a == truth)
    other = make_pool(shifted, a == truth, name="h")
    assert comparable([first.pool, make_pool(a[:, ::-1], (a == truth)[:, ::-1], name="h").pool])
    assert not comparable([first.pool, other.pool])
    assert comparable([first.pool])


def test_scales_are_measured_on_the_prompts_asked_for() -> None:
    item = random_pool(7)
    cost = np.ones_like(item.cost)
    cost[6:] = np.e
    both = sample_scales({"g": changed(item, cost=cost)})["g"]
    assert both.log_cost_mean == pytest.approx(0.5)
    assert both.log_cost_sd == pytest.approx(0.5)
    assert both.logprob_sd == 0
    part = sample_scales({"g": changed(item, cost=cost)}, np.arange(6))["g"]
    assert (part.log_cost_mean, part.log_cost_sd) == (0.0, 0.0)


def test_mistakes_are_named() -> None:
    item = random_pool(8)
    with pytest.raises(UnknownGeneratorError, match="other"):
        replay({"g": item}, ladder_of(1, name="other"), scales={}, difficulty=np.zeros((12, 0)))
    with pytest.raises(InvalidInputError):
        changed(item, cost=np.ones((2, 2)))
