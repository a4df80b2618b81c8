"""Frontiers: reading values and costs off them, and replicates that equal resampling by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from training.frontier import Frontier, bootstrap_weights, interval


def frontier(cost: list[float], value: list[float]) -> Frontier:
    return Frontier(cost=np.array([cost], dtype=np.float64), value=np.array([value]))


LINE = frontier([10, 20, 40], [0.2, 0.6, 0.7])


def at(budget: float) -> float:
    return float(LINE.value_at(np.array(budget))[0])


def needs(target: float, of: Frontier = LINE) -> float:
    return float(of.cost_of(np.array(target))[0])


def test_values_are_interpolated_linearly_between_points() -> None:
    assert_allclose([at(10), at(15), at(20), at(30), at(40)], [0.2, 0.4, 0.6, 0.65, 0.7])


def test_below_the_cheapest_there_is_nothing_and_beyond_the_dearest_no_more() -> None:
    assert np.isnan(at(9.9))
    assert_allclose(at(10 * (1 - 1e-12)), 0.2)
    assert at(1e9) == 0.7


def test_cost_of_a_target_is_the_inverse() -> None:
    assert_allclose([needs(0.2), needs(0.4), needs(0.6), needs(0.65)], [10, 15, 20, 30])
    assert needs(0.1) == 10
    assert needs(0.71) == np.inf


@given(
    gains=st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    steps=st.lists(st.floats(0.1, 10), min_size=6, max_size=6),
    share=st.floats(0, 1),
)
def test_reading_there_and_back(gains: list[float], steps: list[float], share: float) -> None:
    cost, value = np.cumsum(steps[: len(gains)]), np.cumsum(gains)
    line = frontier(cost.tolist(), value.tolist())
    target = value[0] + share * (value[-1] - value[0])
    assert_allclose(line.value_at(np.array(needs(target, line)))[0], target, rtol=1e-9)


def test_the_first_crossing_counts_where_a_frontier_falls() -> None:
    hump = frontier([1, 2, 3, 4], [0.1, 0.5, 0.3, 0.6])
    assert_allclose(needs(0.4, hump), 1.75)
    assert_allclose(needs(0.55, hump), 3 + 0.25 / 0.3)


def test_points_of_equal_cost_do_not_divide_by_zero() -> None:
    line = frontier([1, 1, 2], [0.1, 0.3, 0.4])
    assert_allclose(line.value_at(np.array(1.0)), 0.3)
    assert needs(0.2, line) == 1.0


def test_a_replicate_is_the_same_prompts_drawn_again_by_hand() -> None:
    rng = np.random.default_rng(0)
    cost, value = rng.uniform(1, 9, size=(15, 6)), rng.random((15, 6))
    weights = bootstrap_weights(15, n_replicates=20, seed=4)
    line = Frontier.of(cost, value, weights)
    for replicate in (0, 1, 7, 20):
        drawn = np.repeat(np.arange(15), np.rint(weights[replicate] * 15).astype(int))
        assert len(drawn) == 15
        by_hand = sorted(
            zip(cost[drawn].mean(axis=0), value[drawn].mean(axis=0), strict=True), key=lambda point: point[0]
        )
        assert_allclose(np.column_stack([line.cost[replicate], line.value[replicate]]), by_hand)
        at_five = np.interp(5.0, line.cost[replicate], line.value[replicate])
        assert_allclose(line.value_at(np.array(5.0))[replicate], at_five)


def test_bootstrap_weights_are_resamples_and_the_first_row_is_the_sample() -> None:
    weights = bootstrap_weights(40, n_replicates=50, seed=1)
    assert weights.shape == (51, 40)
    assert_array_equal(weights[0], np.full(40, 1 / 40))
    assert_allclose(weights.sum(axis=1), 1)
    assert_allclose(np.rint(weights * 40), weights * 40, atol=1e-9)
    assert_array_equal(weights, bootstrap_weights(40, n_replicates=50, seed=1))
    assert (weights != bootstrap_weights(40, n_replicates=50, seed=2)).any()


def test_the_bootstrap_error_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=200)
    means = bootstrap_weights(200, n_replicates=4000, seed=0)[1:] @ values
    # 4000 replicates know the standard error to 1.1 %; 6 % is over five of these (false alarms below 1e-6).
    assert_allclose(means.std(), values.std() / np.sqrt(200), rtol=0.06)


def test_interval_holds_the_middle_counts_infinities_and_skips_nan() -> None:
    draws = np.arange(1001.0)
    assert interval(draws) == (25.0, 975.0)
    assert interval(draws, level=0.99) == (5.0, 995.0)
    assert interval(np.append(draws, [np.nan] * 500)) == (25.0, 975.0)
    low, high = interval(np.append(np.zeros(50), np.full(50, np.inf)))
    assert (low, high) == (0.0, np.inf)
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_near_duplicates_are_drawn_together() -> None:
    groups = [f"g{place // 3}" for place in range(30)] + ["alone"]
    weights = bootstrap_weights(31, n_replicates=500, seed=0, groups=groups)
    assert_allclose(weights.sum(axis=1), 1)
    assert_array_equal(weights[:, 0:30:3], weights[:, 1:30:3])
    assert_array_equal(weights[0], np.full(31, 1 / 31))
    # Equal within groups, the mean varies as one of 11 values does, not as one of 31.
    values = np.repeat(np.random.default_rng(0).normal(size=11), 3)[:31]
    alone = bootstrap_weights(31, n_replicates=500, seed=0)
    assert (weights @ values).std() > 1.4 * (alone @ values).std()
