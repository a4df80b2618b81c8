"""Ladders for a checker: the table counts what replays count, and the search finds what is optimal."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Always
from policies.replay.pools import ReplayPool, sample_scales
from policies.replay.trajectories import replay, score_rule
from training.adaptive.checker_ladders import propose_checker_ladders, search_ladder, search_ladders
from training.adaptive.checker_table import CheckerTable
from training.adaptive.fit import fit_adaptive
from training.adaptive.proposals import Settings
from training.adaptive.recipes import Facts


def pool_of(right: np.ndarray, name: str, *, cost: float = 1.0, request: float = 0.0) -> ReplayPool:
    nothing = np.full(right.shape, np.nan)
    n = np.full(len(right), right.shape[1])
    pool = SamplePool(
        generator=name,
        n=n,
        n_correct=right.sum(axis=1),
        correct=right.astype(np.int8),
        answer=np.full(right.shape, -1, dtype=np.int32),
        output_tokens=nothing,
        score=nothing,
        mean_logprob=nothing,
        truncated=np.zeros(right.shape, dtype=bool),
        prompt_tokens=np.full(len(right), np.nan),
        counts_only=np.zeros(len(right), dtype=bool),
    )
    return ReplayPool(pool=pool, cost=np.full(right.shape, cost), request_cost=np.full(len(right), request))


def world(n_prompts: int = 120, width: int = 20, *, seed: int = 0) -> dict[str, ReplayPool]:
    """Return two generators: `cheap` solves the easy half at times, `dear` most prompts."""
    rng = np.random.default_rng(seed)
    easy, never = np.arange(n_prompts) % 2 == 0, np.arange(n_prompts) % 3 == 0
    cheap = np.where(easy, 0.5, 0.0)
    dear = np.where(never & ~easy, 0.0, 0.25)
    return {
        name: pool_of(rng.random((n_prompts, width)) < chance[:, None], name, cost=cost, request=0.5)
        for name, chance, cost in (("cheap", cheap, 1.0), ("dear", dear, 2.0))
    }


def table_of(pools: dict[str, ReplayPool], width: int = 20) -> CheckerTable:
    return CheckerTable.of(pools, recorded=dict.fromkeys(pools, width))


def worth(table: CheckerTable, steps: tuple[tuple[str, int], ...], price: float) -> float:
    climb = table.climb(steps)
    return climb.coverage - price * climb.cost


def test_the_table_agrees_with_replays() -> None:
    pools = world()
    steps = (("cheap", 2), ("dear", 3), ("cheap", 4))
    ladder = Ladder(waves=tuple(Wave(generator=name, n=n) for name, n in steps), pooled=False)
    runs = replay(
        pools,
        ladder,
        scales=sample_scales(pools),
        difficulty=np.zeros((120, 0)),
        objective="coverage",
        n_orders=200,
    )
    replayed = score_rule(runs, Always())
    climb = table_of(pools).climb(steps)
    assert climb.coverage == pytest.approx(replayed.value.mean(), abs=0.005)
    assert climb.cost == pytest.approx(replayed.cost.mean(), abs=0.05)


def test_prompts_that_lack_samples_are_left_out_of_the_table() -> None:
    pools = world()
    short = pools["cheap"].pool.correct.copy()
    short[:40, 5:] = -1
    item = pool_of(short == 1, "cheap")
    item.pool.correct[:] = short
    table = table_of({**pools, "cheap": item})
    assert len(table.cost["dear"]) == 80
    with pytest.raises(InvalidInputError, match="all the samples"):
        table_of(pools, width=21)


def test_a_ladder_fits_that_draws_no_more_than_is_recorded() -> None:
    table = table_of(world(), width=5)
    assert table.fits((("cheap", 2), ("dear", 5), ("cheap", 3)))
    assert not table.fits((("cheap", 3), ("cheap", 3)))
    assert not table.fits((("cheap", 0),))
    assert not table.fits(())


@pytest.mark.parametrize("price", [0.1, 0.02, 0.004])
def test_the_search_finds_the_best_sizes_of_one_generator(price: float) -> None:
    table = table_of(world()).only(["dear"])
    exact = max(
        worth(table, tuple(("dear", n) for n in sizes if n), price)
        for sizes in product(range(21), repeat=3)
        if 0 < sum(sizes) <= 20
    )
    found = search_ladder(table, price, n_waves=3, start=(("dear", 1),))
    assert worth(table, found, price) >= exact - 0.002


def test_searched_ladders_beat_growing_waves_and_never_exceed_their_limits() -> None:
    table, prices = table_of(world()), np.geomspace(0.2, 1e-4, 12)
    grid = [
        Ladder(waves=tuple(Wave(generator=name, n=max(1, round(first * growth**w))) for w in range(4)))
        for name in ("cheap", "dear")
        for first in (1, 2)
        for growth in (1.0, 1.5, 2.0)
    ]
    ladders = search_ladders(table, prices, n_waves=4, starts=grid)
    assert all(len(ladder) <= 4 and ladder.needs(name) <= 20 for ladder in ladders for name in table.miss)
    steps = [
        [tuple((wave.generator, wave.n) for wave in ladder.waves) for ladder in group]
        for group in (ladders, grid)
    ]
    for price in prices[3:]:
        ours, theirs = (
            max(worth(table, item, price) for item in group if table.fits(item)) for group in steps
        )
        assert ours > theirs + 1e-3


def test_cheap_samples_come_first_and_are_not_wasted_on_what_they_never_solve() -> None:
    ladders = search_ladders(table_of(world()), np.array([0.01]), n_waves=4, starts=[])
    (ladder,) = ladders
    assert ladder.generators == ("cheap", "dear")
    assert ladder.waves[-1].generator == "dear"


def test_without_escalation_ladders_keep_to_one_generator() -> None:
    pools = world()
    facts = Facts.of(pools, sample_scales(pools))
    starts = [Ladder(waves=(Wave(generator="cheap"),)), Ladder(waves=(Wave(generator="dear"),))]
    prices = np.geomspace(0.1, 1e-3, 4)
    both, single = (
        propose_checker_ladders(pools, facts, prices, starts, Settings(escalation=switch))
        for switch in (True, False)
    )
    assert {len(ladder.generators) for ladder in single} == {1}
    assert set(single) < set(both)


def test_no_ladder_is_proposed_where_no_prompt_has_all_samples() -> None:
    pools = world()
    facts = Facts.of(pools, sample_scales(pools))
    for item, rows in ((pools["cheap"], slice(0, 60)), (pools["dear"], slice(60, 120))):
        item.pool.correct[rows, 1:] = -1
    assert propose_checker_ladders(pools, facts, np.array([0.01]), [], Settings()) == []


def test_the_fitted_policy_covers_as_much_as_drawing_at_once_for_much_less() -> None:
    pools, prices = world(), np.geomspace(0.2, 1e-3, 8)
    fit = fit_adaptive(
        pools,
        difficulty=np.zeros((120, 1)),
        folds=np.arange(120) % 5,
        prices=prices,
        objective="coverage",
        settings=Settings(n_draws=2000, features=("agreement",)),
    )
    assert all(len(move.ladder) <= 4 for move in fit.policy.moves)
    table = table_of(pools)
    at_once = [table.climb((("dear", n),)).coverage for n in range(1, 21)]
    target = 0.9 * at_once[-1]
    cost, value = fit.cost.mean(axis=0), fit.value.mean(axis=0)
    assert np.interp(target, value, cost) < (0.5 + 2.0 * np.interp(target, at_once, range(1, 21))) / 1.7


def test_a_learned_rule_is_taken_only_where_it_is_clearly_better() -> None:
    level = np.random.default_rng(5).normal(size=(120, 1))
    right = np.random.default_rng(6).random((120, 20)) < 1 / (1 + np.exp(-3 * level - 1))
    kinds = []
    for caution in (0.0, 1e9):
        fit = fit_adaptive(
            {"only": pool_of(right, "only")},
            difficulty=level,
            folds=np.arange(120) % 5,
            prices=np.geomspace(0.1, 5e-3, 5),
            objective="coverage",
            settings=Settings(n_draws=500, features=("difficulty",), tuned_caution=caution, proof=0.0),
        )
        kinds.append({name.split(" on ")[0] for name in fit.names})
    assert "learned (difficulty)" in kinds[0]
    assert "learned (difficulty)" not in kinds[1] and "first success" in kinds[1]
