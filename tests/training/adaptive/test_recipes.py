"""Recipes: which routes a log suggests, and that ladders are what the numbers say and no longer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import SampleScale
from policies.replay.pools import ReplayPool
from training.adaptive.recipes import Facts, Recipe, Route, propose_routes

FACTS = Facts(
    accuracy={"small": 0.4, "big": 0.7, "peer": 0.65, "bad": 0.2},
    votes={"small": 0.4, "big": 0.8, "peer": 0.75, "bad": 0.2},
    cost={"small": 1.0, "big": 5.0, "peer": 6.0, "bad": 5.0},
    recorded=dict.fromkeys(("small", "big", "peer", "bad"), 8),
    logprob_sd={"big": 0.25, "small": 0.5},
    pooled=True,
)


def test_partners_take_turns_after_the_first_samples_of_the_strong_one() -> None:
    recipe = Recipe(route=Route(strong="big", partner="peer"), partner_after=2, singles=5, growth=1.5)
    ladder = recipe.ladder(FACTS, max_samples=4)
    assert str(ladder) == "big x1, big x1, peer x1, peer x1, peer x1, big x2, peer x1"
    assert ladder.weight("peer") == 1.0


def test_cheaper_generators_come_first_with_their_own_weight() -> None:
    recipe = Recipe(route=Route(strong="big", starts=("small",)), cheap_samples=2, cheap_weight=0.3)
    ladder = recipe.ladder(FACTS, max_samples=3)
    assert str(ladder) == "small x1, small x1, big x1, big x1, big x1"
    assert (ladder.weight("small"), ladder.weight("big")) == (0.3, 1.0)


def test_only_votes_of_the_last_generator_are_sharpened() -> None:
    recipe = Recipe(route=Route(strong="big", starts=("small",)), sharpness=3.0)
    ladder = recipe.ladder(FACTS, max_samples=3)
    assert ladder.steepness("big") == 12.0
    assert ladder.steepness("small") == 1.0
    silent = replace(FACTS, logprob_sd={})
    assert recipe.ladder(silent, max_samples=3).steepness("big") == 1.0


def test_without_common_answers_nothing_is_weighed() -> None:
    recipe = Recipe(route=Route(strong="big", starts=("small",)), cheap_weight=0.3)
    ladder = recipe.ladder(replace(FACTS, pooled=False), max_samples=3)
    assert not ladder.pooled
    assert ladder.weight("small") == 1.0


@given(
    recorded=st.lists(st.integers(1, 20), min_size=4, max_size=4),
    cheap=st.integers(1, 9),
    after=st.integers(1, 9),
    singles=st.integers(0, 6),
    growth=st.floats(1.05, 3.0),
    most=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_a_ladder_draws_all_of_its_route_and_no_more_than_is_recorded(
    recorded: list[int], cheap: int, after: int, singles: int, growth: float, most: int
) -> None:
    facts = replace(FACTS, recorded=dict(zip(FACTS.recorded, recorded, strict=True)))
    recipe = Recipe(
        route=Route(strong="big", starts=("small",), partner="peer"),
        cheap_samples=cheap,
        partner_after=after,
        singles=singles,
        growth=growth,
    )
    ladder = recipe.ladder(facts, max_samples=most)
    drawn = Counter[str]()
    for wave in ladder.waves:
        drawn[wave.generator] += wave.n
    assert drawn["big"] == min(facts.recorded["big"], most)
    assert drawn["peer"] == min(facts.recorded["peer"], most)
    assert drawn["small"] == min(cheap, facts.recorded["small"], most)
    before = [wave.n for wave in ladder.waves[: ladder.waves.index(_first(ladder.waves, "peer"))]]
    assert sum(before) == drawn["small"] + min(after, drawn["big"])


def _first(waves: tuple, name: str):  # type: ignore[no-untyped-def, type-arg]
    return next(wave for wave in waves if wave.generator == name)


def test_routes_are_good_generators_cheaper_starts_and_pairs_of_peers() -> None:
    routes = propose_routes(FACTS, max_strong=4, max_starts=2)
    assert Route(strong="big") in routes
    assert Route(strong="big", starts=("small",)) in routes
    assert Route(strong="big", partner="peer") in routes
    assert not any("bad" in route.generators for route in routes)
    assert not any(route.partner == "small" for route in routes)
    alone = propose_routes(replace(FACTS, pooled=False), max_strong=4, max_starts=2)
    assert not any(route.partner for route in alone)


def test_three_efficient_generators_make_a_chain() -> None:
    accuracy = {"low": 0.5, "medium": 0.6, "high": 0.7}
    facts = Facts(
        accuracy=accuracy,
        votes=accuracy,
        cost={"low": 1.0, "medium": 2.0, "high": 4.0},
        recorded=dict.fromkeys(accuracy, 4),
        logprob_sd={},
        pooled=False,
    )
    assert Route(strong="high", starts=("low", "medium")) in propose_routes(facts, max_strong=4, max_starts=1)


def test_facts_are_what_is_recorded() -> None:
    correct = np.array([[1, 0, 0, -1], [1, 1, 0, 0]], dtype=np.int8)
    answer = np.array([[0, 1, 1, -2], [0, 0, 1, 2]], dtype=np.int32)
    nothing = np.full(correct.shape, np.nan)
    pool = SamplePool(
        generator="g",
        n=np.array([3, 4]),
        n_correct=np.array([1, 2]),
        correct=correct,
        answer=answer,
        output_tokens=nothing,
        score=nothing,
        mean_logprob=nothing,
        truncated=np.zeros(correct.shape, dtype=bool),
        prompt_tokens=np.full(2, np.nan),
        counts_only=np.zeros(2, dtype=bool),
    )
    cost = np.where(correct >= 0, 2.0, np.nan)
    item = ReplayPool(pool=pool, cost=cost, request_cost=np.array([1.0, 1.0]))
    facts = Facts.of({"g": item}, {"g": SampleScale(logprob_sd=0.3)})
    assert facts.accuracy["g"] == (1 / 3 + 1 / 2) / 2
    assert facts.votes["g"] == 0.5
    assert facts.cost["g"] == 3.0
    assert facts.recorded["g"] == 3
    assert facts.logprob_sd["g"] == 0.3
