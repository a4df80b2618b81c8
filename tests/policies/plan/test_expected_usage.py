"""Expected usage by hand, and its agreement with the table of costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, UnknownUnitError
from difficulty.generator import Generator
from policies.cost.budget import UNITS
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.cost.usage import Usage
from policies.plan.allocation import Allocation, StrategyName
from policies.plan.expected_usage import UsageModel

DECODE = DecodeModel(per_step=0.01, per_sample=0.001)


def allocation(strategy: StrategyName, width: int, depth: int = 1, **params: int) -> Allocation:
    return Allocation(generator="small", strategy=strategy, width=width, depth=depth, params=params)


def expect(model: UsageModel, what: Allocation) -> Usage:
    return model.expect(what, prompt_tokens=100.0, output_tokens_per_sample=50.0)


def test_parallel_samples_share_a_prompt_or_not() -> None:
    vote = allocation("majority_vote", 8)
    shared, apart = expect(UsageModel(), vote), expect(UsageModel(shared_prefill=False), vote)
    assert (shared.samples, shared.prompt_tokens, shared.output_tokens, shared.requests) == (8, 100, 400, 1)
    assert (apart.samples, apart.prompt_tokens, apart.output_tokens, apart.requests) == (8, 800, 400, 8)
    assert shared.cached_prompt_tokens == apart.cached_prompt_tokens == 0
    cached = expect(UsageModel(shared_prefill=False, prefix_cache=True), vote)
    assert (cached.prompt_tokens, cached.cached_prompt_tokens) == (800, 700)


def test_revisions_read_a_growing_window() -> None:
    chain = allocation("sequential_revision", 2, 4)
    usage = expect(UsageModel(revision_window=2), chain)
    # Shared first prompt; then two chains with 1, 2 and again 2 answers in the prompt.
    assert usage.prompt_tokens == 100 + 2 * (150 + 200 + 200)
    assert usage.requests == 1 + 2 * 3
    assert usage.output_tokens == 8 * 50
    cached = expect(UsageModel(revision_window=2, prefix_cache=True), chain)
    # In the last step the window has moved on: only the question is in the cache.
    assert cached.cached_prompt_tokens == 2 * (150 + 200 + 100)


def test_reward_models_read_prompt_and_completion_of_scored_strategies() -> None:
    model = UsageModel(reward_model=True)
    assert expect(model, allocation("best_of_n", 4)).verifier_tokens == 4 * 150
    assert expect(model, allocation("majority_vote", 4)).verifier_tokens == 0
    assert expect(UsageModel(), allocation("best_of_n", 4)).verifier_tokens == 0


def test_lookahead_generates_more_than_it_keeps() -> None:
    usage = expect(UsageModel(), allocation("lookahead", 4, lookahead=3))
    assert (usage.samples, usage.output_tokens) == (4, 4 * 4 * 50)


def test_seconds_come_from_the_decode_model() -> None:
    usage = expect(UsageModel(decode=DECODE), allocation("majority_vote", 8))
    assert usage.seconds == pytest.approx(float(DECODE.seconds(width=8, output_tokens=50)))
    assert expect(UsageModel(), allocation("majority_vote", 8)).seconds == 0


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("cache", [False, True])
def test_table_of_costs_is_the_price_of_the_expected_usage(unit: str, cache: bool) -> None:
    allocations = [
        allocation("greedy", 1),
        Allocation(generator="big", strategy="majority_vote", width=4),
        allocation("best_of_n", 8),
        allocation("sequential_revision", 2, 6),
        allocation("lookahead", 4, lookahead=2),
        allocation("sequential_revision", 1, 2),
    ]
    generators = {
        name: Generator(name=name, params=size, usd_per_mtok_in=1.0, usd_per_mtok_out=size / 1e9)
        for name, size in (("small", 1e9), ("big", 7e9))
    }
    model = CostModel(
        unit=unit,
        generators=generators,
        verifier_params=1e9,
        attention_widths={"big": 1e5},
        cached_discount=0.5,
        usd_per_mtok_verifier=1.0,
        joules_per_output_token={"small": 1.0, "big": 5.0},
        joules_per_prompt_token={"small": 0.1},
        joules_per_verifier_token=0.2,
    )
    usage = UsageModel(prefix_cache=cache, reward_model=True, decode=DECODE)
    prompts, lengths = np.array([10.0, 300.0]), {"small": [40.0, 90.0], "big": [20.0, 25.0]}
    table = usage.costs(allocations, model, prompt_tokens=prompts, output_tokens_per_sample=lengths)
    for row in range(2):
        for column, one in enumerate(allocations):
            expected = usage.expect(
                one, prompt_tokens=prompts[row], output_tokens_per_sample=lengths[one.generator][row]
            )
            assert table[row, column] == pytest.approx(model.price(expected, one.generator))


def test_unknown_lengths_are_errors_only_where_they_are_read() -> None:
    allocations = [allocation("best_of_n", 4)]
    unknown = {"prompt_tokens": [math.nan], "output_tokens_per_sample": {}}
    samples = UsageModel().costs(allocations, CostModel(unit="samples"), **unknown)
    assert samples.tolist() == [[4.0]]
    with pytest.raises(UnknownUnitError, match="output_tokens were not recorded"):
        UsageModel().costs(allocations, CostModel(unit="output_tokens"), **unknown)
    with pytest.raises(UnknownUnitError, match="decode model"):
        UsageModel().costs(allocations, CostModel(unit="seconds"), **unknown)
    energy = CostModel(unit="joules", joules_per_output_token={"small": 2.0})
    known = {"prompt_tokens": [math.nan], "output_tokens_per_sample": {"small": [10.0]}}
    assert UsageModel().costs(allocations, energy, **known).tolist() == [[80.0]]


def test_windows_that_cannot_be() -> None:
    with pytest.raises(InvalidInputError, match="revision_window"):
        UsageModel(revision_window=0)
