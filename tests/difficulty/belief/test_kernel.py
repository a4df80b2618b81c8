"""Weights over reference prompts: sums, limits, and agreement with the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.weights import BinWeights, KernelWeights, UniformWeights, Weigher
from difficulty.errors import InvalidInputError

REFERENCES = np.random.default_rng(0).normal(size=(40, 3))
QUERIES = np.random.default_rng(1).normal(size=(7, 3))


def weighers(references: np.ndarray, floor: float) -> list[Weigher]:
    return [
        UniformWeights(references),
        KernelWeights(references, level_bandwidth=0.3, deviation_bandwidth=0.7, floor=floor),
        BinWeights(references, n_bins=4),
    ]


coordinates = st.floats(-50, 50, width=32).map(float)


@given(
    references=arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=coordinates),
    queries=arrays(np.float64, st.tuples(st.integers(1, 4), st.just(2)), elements=coordinates),
    floor=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_rows_are_distributions_wherever_the_query_lies(
    references: np.ndarray, queries: np.ndarray, floor: float
) -> None:
    for weigh in weighers(references, floor):
        weights = weigh(queries)
        assert weights.shape == (len(queries), len(references))
        assert weights.dtype == np.float32
        assert (weights >= 0).all()
        assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)


def test_kernel_agrees_with_the_formula() -> None:
    weigh = KernelWeights(REFERENCES, level_bandwidth=0.4, deviation_bandwidth=1.5, floor=0.02)
    queries = QUERIES.clip(REFERENCES.min(axis=0), REFERENCES.max(axis=0))
    scaled = (queries[:, None] - REFERENCES) / REFERENCES.std(axis=0) / np.array([0.4, 1.5, 1.5])
    plain = np.exp(-0.5 * (scaled**2).sum(axis=2)) + 0.02
    assert_allclose(weigh(QUERIES), plain / plain.sum(axis=1, keepdims=True), rtol=2e-4, atol=1e-6)


def test_a_query_far_outside_is_moved_to_the_edge() -> None:
    weigh = KernelWeights(REFERENCES[:, :1], level_bandwidth=0.5, floor=0.0)
    edge = weigh(np.array([[REFERENCES[:, 0].max()]]))
    assert_array_equal(weigh(np.array([[1e6]])), edge)
    assert edge[0].argmax() == REFERENCES[:, 0].argmax()


def test_without_a_floor_a_narrow_kernel_keeps_the_nearest_reference() -> None:
    # exp(-(1e3)²/2) is 0 in every float: the row would be 0/0 without the shift.
    weigh = KernelWeights(np.array([[0.0], [1.0]]), level_bandwidth=1e-3, floor=0.0)
    assert_array_equal(weigh(np.array([[0.4], [0.9]])).round(6), [[1, 0], [0, 1]])


def test_whole_bandwidths_mean_what_they_say() -> None:
    # An int array of bandwidths would cut 0.5 to 0.
    whole = KernelWeights(REFERENCES, level_bandwidth=0.5, deviation_bandwidth=30, floor=0)
    decimal = KernelWeights(REFERENCES, level_bandwidth=0.5, deviation_bandwidth=30.0, floor=0.0)
    assert_array_equal(whole(QUERIES), decimal(QUERIES))
    assert whole(QUERIES).max() < 0.5


def test_a_constant_coordinate_tells_nothing() -> None:
    wide = np.column_stack([REFERENCES[:, 0], np.full(len(REFERENCES), 3.0)])
    queries = np.column_stack([QUERIES[:, 0], np.arange(len(QUERIES))])
    one = KernelWeights(REFERENCES[:, :1], level_bandwidth=0.5)
    two = KernelWeights(wide, level_bandwidth=0.5, deviation_bandwidth=0.1)
    assert_allclose(two(queries), one(QUERIES[:, :1]), rtol=1e-5)
    constant = KernelWeights(np.zeros((4, 1)), level_bandwidth=0.5)
    assert_allclose(constant(np.array([[0.0], [9.0]])), 0.25)


def test_infinite_deviation_bandwidth_ignores_deviations() -> None:
    one = KernelWeights(REFERENCES[:, :1], level_bandwidth=0.5)
    all_ = KernelWeights(REFERENCES, level_bandwidth=0.5)
    assert_allclose(all_(QUERIES), one(QUERIES[:, :1]), rtol=1e-4, atol=1e-7)


def test_floor_pulls_towards_the_population() -> None:
    spread = [
        KernelWeights(REFERENCES, level_bandwidth=0.2, floor=floor)(QUERIES).max()
        for floor in (0.0, 0.01, 0.1, 1.0)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 2 * spread[-1]


def test_a_prompt_does_not_depend_on_its_batch() -> None:
    for weigh in weighers(REFERENCES, 0.01):
        together = weigh(QUERIES)
        alone = np.concatenate([weigh(QUERIES[row : row + 1]) for row in range(len(QUERIES))])
        assert_allclose(together, alone, rtol=1e-4, atol=1e-8)


def test_bins_hold_the_references_of_the_same_quantile() -> None:
    references = np.arange(10.0)[:, None]
    weights = BinWeights(references, n_bins=5)(np.array([[0.2], [4.0], [99.0]]))
    assert_allclose(weights @ references[:, 0], [0.5, 4.5, 8.5])
    assert_array_equal((weights > 0).sum(axis=1), [2, 2, 2])


def test_one_bin_is_the_population_and_an_empty_bin_too() -> None:
    assert_allclose(BinWeights(REFERENCES, n_bins=1)(QUERIES), UniformWeights(REFERENCES)(QUERIES))
    lumped = np.array([[0.0], [0.0], [0.0], [1.0]])
    assert_allclose(BinWeights(lumped, n_bins=3)(np.array([[0.5]])).sum(), 1.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"level_bandwidth": 0.0},
        {"level_bandwidth": float("nan")},
        {"level_bandwidth": 1.0, "deviation_bandwidth": -1.0},
        {"level_bandwidth": 1.0, "floor": 1.5},
        {"level_bandwidth": 1.0, "floor": float("nan")},
    ],
)
def test_kernel_parameters_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="bandwidths must be above 0"):
        KernelWeights(REFERENCES, **bad)


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_bins must be at least 1, got 0"):
        BinWeights(REFERENCES, n_bins=0)
