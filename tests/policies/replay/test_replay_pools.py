"""Recorded samples are charged for what they generated, and waves for the prompt that they send."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import UnknownUnitError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.replay.pools import half_of, replay_pools

GENERATORS = {"g": Generator(name="g", params=1e9, usd_per_mtok_in=1.0, usd_per_mtok_out=4.0)}


def log_of(*rows: list[int | None], prompt_tokens: int | None = 100) -> SampleLog:
    records = [
        {
            "prompt_id": str(index),
            "generator": "g",
            "samples": [
                {"answer": "x", "correct": True} | ({} if tokens is None else {"output_tokens": tokens})
                for tokens in row
            ],
        }
        | ({} if prompt_tokens is None else {"prompt_tokens": prompt_tokens})
        for index, row in enumerate(rows)
    ]
    return SampleLog.from_records(records, GENERATORS)


def test_each_unit_charges_samples_and_requests_apart() -> None:
    log = log_of([10, 20], [30])
    expected = {
        "samples": ([1.0, 1.0], 1.0, 0.0),
        "output_tokens": ([10.0, 20.0], 30.0, 0.0),
        "total_tokens": ([10.0, 20.0], 30.0, 100.0),
        "usd": ([4e-5, 8e-5], 1.2e-4, 1e-4),
        "flops": ([2e10, 4e10], 6e10, 2e11),
    }
    for unit, (first, second, request) in expected.items():
        pool = replay_pools(log, CostModel(unit=unit, generators=GENERATORS))["g"]  # type: ignore[arg-type]
        np.testing.assert_allclose(pool.cost[0], first)
        np.testing.assert_allclose(pool.cost[1, 0], second)
        assert np.isnan(pool.cost[1, 1])
        np.testing.assert_allclose(pool.request_cost, request)


def test_a_prefix_cache_makes_coming_back_free() -> None:
    pools = replay_pools(log_of([10]), CostModel(unit="total_tokens"), resend_prompts=False)
    assert pools["g"].request_cost.tolist() == [0.0]


def test_gaps_are_filled_by_the_prompt_else_by_the_generator_and_never_without_any_count() -> None:
    pool = replay_pools(log_of([10, None, 20], [None], [60]), CostModel(unit="output_tokens"))["g"]
    np.testing.assert_allclose(pool.cost[0], [10, 15, 20])
    np.testing.assert_allclose([pool.cost[1, 0], pool.cost[2, 0]], [30, 60])
    with pytest.raises(UnknownUnitError):
        replay_pools(log_of([None, None]), CostModel(unit="output_tokens"))
    with pytest.raises(UnknownUnitError):
        replay_pools(log_of([10], prompt_tokens=None), CostModel(unit="total_tokens"))
    assert replay_pools(log_of([None]), CostModel(unit="samples"))["g"].cost.tolist() == [[1.0]]


def test_seconds_do_not_add_up_over_samples() -> None:
    with pytest.raises(UnknownUnitError, match="seconds"):
        replay_pools(log_of([10]), CostModel(unit="seconds"))


def test_only_named_generators_are_priced() -> None:
    assert replay_pools(log_of([None]), CostModel(unit="output_tokens"), generators=[]) == {}


def test_halves_share_no_sample_and_leave_none_out() -> None:
    pool = replay_pools(log_of([10, 20, 30]), CostModel(unit="output_tokens"))["g"]
    even, odd = (half_of(pool, half).pool.correct for half in ("even", "odd"))
    np.testing.assert_array_equal(even, [[1, -1, 1]])
    np.testing.assert_array_equal(odd, [[-1, 1, -1]])
