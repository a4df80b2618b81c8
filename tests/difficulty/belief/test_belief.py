"""Beliefs are weighted means over reference prompts: checked by hand and against direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from difficulty.belief.reference_prompts import Belief, ReferencePrompts
from difficulty.errors import InvalidInputError, UnknownGeneratorError


def references(n: list[list[int]], n_correct: list[list[int]]) -> ReferencePrompts:
    counts = np.array(n)
    return ReferencePrompts(
        generators=tuple(f"g{column}" for column in range(counts.shape[1])),
        n=counts,
        n_correct=np.array(n_correct),
        output_tokens=np.where(counts > 0, 10.0 * np.arange(1, len(counts) + 1)[:, None], np.nan),
    )


def belief(weights: list[list[float]], of: ReferencePrompts) -> Belief:
    return Belief(weights=np.array(weights, dtype=np.float32), references=of)


def test_success_adds_one_sample_at_the_mean_of_the_generator() -> None:
    counts = references([[4], [4], [0]], [[4], [0], [0]])
    assert_allclose(counts.success()[:, 0], [(4 + 0.5) / 5, (0 + 0.5) / 5, np.nan])
    assert len(counts) == 3


def test_success_of_a_generator_without_samples_is_nan() -> None:
    assert np.isnan(references([[4, 0]], [[2, 0]]).success()[0, 1])


def test_expectation_is_the_weighted_mean() -> None:
    thought = belief([[0.25, 0.75], [1.0, 0.0]], references([[9], [9]], [[9], [0]]))
    assert_allclose(thought.expect(np.array([[1.0, 4.0], [2.0, 8.0]])), [[1.75, 7.0], [1.0, 4.0]])


def test_expectation_leaves_out_what_was_not_measured() -> None:
    thought = belief([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]], references([[1]] * 3, [[1]] * 3))
    values = np.array([[1.0, 7.0], [3.0, np.nan], [np.nan, np.nan]])
    got = thought.expect(values)
    assert_allclose(got[0], [(0.5 * 1 + 0.3 * 3) / 0.8, 7.0], rtol=1e-6)
    assert np.isnan(got[1]).all()


def test_mean_is_pass_at_one_and_pass_at_k_is_averaged_over_the_distribution() -> None:
    thought = belief([[0.5, 0.5]], references([[9], [9]], [[9], [0]]))
    easy, hard = (9 + 0.5) / 10, 0.5 / 10
    assert_allclose(thought.mean("g0"), thought.pass_at_k("g0", 1))
    assert_allclose(thought.pass_at_k("g0", 4), [1 - ((1 - easy) ** 4 + (1 - hard) ** 4) / 2], rtol=1e-6)
    # The mean plugged in would promise far more: that is the error that beliefs are distributions for.
    assert thought.pass_at_k("g0", 4)[0] < 1 - (1 - thought.mean("g0")[0]) ** 4 - 0.3


@given(
    correct=st.lists(st.integers(0, 8), min_size=2, max_size=6),
    raw=st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6),
)
def test_pass_at_k_rises_with_k_and_quantiles_rise_with_q(correct: list[int], raw: list[float]) -> None:
    weights = np.array(raw[: len(correct)])
    thought = belief(
        [(weights / weights.sum()).tolist()], references([[8]] * len(correct), [[c] for c in correct])
    )
    curve = [thought.pass_at_k("g0", k)[0] for k in (1, 2, 4, 8, 16)]
    assert np.all(np.diff(curve) >= -1e-6)
    quantiles = [thought.quantile("g0", q)[0] for q in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert np.all(np.diff(quantiles) >= 0)
    success = thought.references.success()[:, 0]
    assert quantiles[0] == success.min()
    assert quantiles[-1] == success.max()


def test_quantile_is_where_the_weight_below_reaches_q() -> None:
    of = references([[9], [9], [9]], [[9], [0], [3]])
    thought = belief([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], of)
    high, low, middle = of.success()[:, 0]
    assert_allclose(thought.quantile("g0", 0.5), [low, high])
    assert_allclose(thought.quantile("g0", 0.6), [middle, high])
    assert_allclose(thought.quantile("g0", 0.9), [high, high])


def test_quantile_ignores_references_without_samples() -> None:
    thought = belief([[0.5, 0.5]], references([[9], [0]], [[9], [0]]))
    assert thought.quantile("g0", 0.1)[0] == thought.references.success()[0, 0]


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_quantile_outside_the_unit_interval_is_refused(q: float) -> None:
    thought = belief([[1.0]], references([[9]], [[9]]))
    with pytest.raises(InvalidInputError, match=r"q must lie in \[0, 1\]"):
        thought.quantile("g0", q)


def test_expected_tokens_are_those_of_the_references() -> None:
    thought = belief([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], references([[1]] * 3, [[1]] * 3))
    assert_allclose(thought.expected_output_tokens("g0"), [15.0, 10.0])
    assert len(thought) == 2


def test_unknown_generator_names_the_known_ones() -> None:
    thought = belief([[1.0]], references([[9, 9]], [[9, 9]]))
    for ask in (thought.mean, thought.expected_output_tokens):
        with pytest.raises(UnknownGeneratorError, match="g0, g1; got 'other'"):
            ask("other")


def test_weights_must_have_a_column_per_reference() -> None:
    with pytest.raises(InvalidInputError, match=r"\(P, 1\)"):
        belief([[0.5, 0.5]], references([[9]], [[9]]))
