"""The cold start: a broad prior that spends sanely before anything was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from policies.menu.cold_start import cold_start


def test_votes_help_on_average_and_hurt_where_the_right_answer_trails() -> None:
    curves = cold_start(["g"]).curves
    widths = np.array([a.width for a in curves.allocations])
    assert_array_equal(widths, np.sort(widths))
    assert np.all(np.diff(curves.value.mean(axis=0)) > 0)
    hard = curves.value[5]
    assert hard[-1] < hard[0] < 0.3


def test_one_sample_is_worth_the_mean_of_the_prior() -> None:
    start = cold_start(["g"])
    # Beta(0.6, 0.6) has mean 1/2 and its quantiles are symmetric.
    assert_allclose(start.curves.value[:, 0].mean(), 0.5, atol=1e-6)
    assert_allclose(start.references.success()[:, 0], start.curves.value[:, 0], atol=1e-3)


def test_coverage_is_one_minus_the_chance_of_missing() -> None:
    curves = cold_start(["g"], objective="coverage").curves
    success = curves.value[:, :1]
    widths = np.array([a.width for a in curves.allocations])
    assert_allclose(curves.value, 1 - (1 - success) ** widths)
    assert {a.strategy for a in curves.allocations} == {"first_success"}


def test_generators_are_alike_and_tokens_follow_samples() -> None:
    curves = cold_start(["g", "h"], output_tokens_per_sample=300.0).curves
    half = len(curves.allocations) // 2
    assert [a.generator for a in curves.allocations] == ["g"] * half + ["h"] * half
    assert_array_equal(curves.value[:, :half], curves.value[:, half:])
    assert_allclose(curves.output_tokens, 300 * curves.samples)
    assert np.isnan(curves.prompt_tokens).all()


@pytest.mark.parametrize("objective", ["accuracy", "coverage"])
def test_every_call_gives_the_same(objective: str) -> None:
    one, two = (cold_start(["g"], objective=objective) for _ in range(2))  # type: ignore[arg-type]
    assert_array_equal(one.curves.value, two.curves.value)
    assert one.curves.allocations == two.curves.allocations
