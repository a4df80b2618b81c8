"""Posteriors agree with closed forms, enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.belief.beta_binomial import BetaBinomial
from difficulty.belief.posterior import (
    expected_improvement,
    is_mode,
    leads,
    reweigh,
    success_within,
    unsolvable,
)
from difficulty.errors import InvalidInputError


def test_leads_has_the_closed_form_of_unanimous_votes() -> None:
    n = np.arange(10)
    np.testing.assert_allclose(leads(n, 0), 1 - 0.5 ** (n + 1))


@given(st.integers(0, 40), st.integers(0, 40))
def test_leads_is_symmetric_and_grows_with_the_lead(first: int, second: int) -> None:
    assert leads(first, second) == pytest.approx(1 - leads(second, first))
    assert leads(first + 1, second) > leads(first, second)


def test_a_prior_that_expects_agreement_is_surer() -> None:
    assert leads(2, 0, prior_leader=3.0) > leads(2, 0) > leads(2, 0, prior_runner_up=2.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_with_two_answers_the_mode_is_the_duel(first: int, second: int) -> None:
    assert is_mode(first, second, 0, 0) == pytest.approx(float(leads(first, second)), abs=2e-5)


def test_mode_probability_agrees_with_simulation() -> None:
    # 200,000 draws: five standard errors are below 0.006, a false alarm below 1e-6.
    draws = np.random.default_rng(0).dirichlet([6.0, 4.0, 2.0, 2.0], size=200_000)
    simulated = (draws.argmax(axis=1) == 0).mean()
    assert is_mode(5, 3, 2, 2) == pytest.approx(simulated, abs=0.006)


def test_a_third_answer_makes_the_mode_less_sure() -> None:
    assert is_mode(5, 3, 3, 1) < is_mode(5, 3, 0, 0)


def test_success_within_agrees_with_the_product_of_single_steps() -> None:
    prior = BetaBinomial(a=0.6, b=1.7, zero=0.15)
    fail = 1.0
    for step in range(5):
        fail *= 1 - float(success_within(prior, 2 + step, 1))
    assert float(success_within(prior, 2, 5)) == pytest.approx(1 - fail)


def test_failures_lower_the_chance_and_raise_the_suspicion_of_unsolvable() -> None:
    prior = BetaBinomial(a=0.5, b=1.0, zero=0.1)
    chances = success_within(prior, np.arange(50), 1)
    assert np.all(np.diff(chances) < 0)
    suspicion = unsolvable(prior, np.arange(50))
    assert np.all(np.diff(suspicion) > 0)
    assert suspicion[0] == pytest.approx(0.1)
    assert unsolvable(BetaBinomial(a=0.5, b=1.0), 99) == 0


def test_reweigh_is_bayes_rule() -> None:
    success = np.array([0.0, 0.3, 1.0])
    weights = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    posterior = reweigh(weights, success, [0, 2, 1], [2, 2, 2])
    np.testing.assert_allclose(posterior[0], np.array([0.2, 0.3 * 0.49, 0.0]) / (0.2 + 0.3 * 0.49))
    np.testing.assert_allclose(posterior[1], np.array([0.0, 0.3 * 0.09, 0.5]) / (0.5 + 0.3 * 0.09))
    np.testing.assert_allclose(posterior[2], [0.0, 1.0, 0.0])


def test_reweigh_keeps_the_prior_where_nothing_explains_the_data() -> None:
    posterior = reweigh(np.array([[0.4, 0.6]]), np.array([0.0, 1.0]), [1], [2])
    np.testing.assert_allclose(posterior, [[0.4, 0.6]])


def test_reweigh_survives_many_samples() -> None:
    posterior = reweigh(np.array([[0.5, 0.5]]), np.array([0.4, 0.6]), [60_000], [100_000])
    np.testing.assert_allclose(posterior, [[0.0, 1.0]], atol=1e-12)


def test_more_correct_than_samples_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        reweigh(np.array([[1.0]]), np.array([0.5]), [3], [2])


def test_expected_improvement_agrees_with_simulation() -> None:
    # The predictive of 6 scores with 2 pseudo-samples is a Student t with 7 degrees of freedom.
    deviation = np.sqrt((6 * 0.2**2 + 2 * 0.1**2) / 7) * np.sqrt(7 / 6)
    draws = 0.5 + deviation * np.random.default_rng(1).standard_t(7, size=400_000)
    simulated = np.maximum(draws - 0.6, 0).mean()
    value = float(expected_improvement(0.6, 0.5, 0.2, 6, prior_deviation=0.1))
    # Five standard errors are below 0.0012, a false alarm below 1e-6.
    assert value == pytest.approx(simulated, abs=0.0012)


def test_expected_improvement_falls_with_the_best_and_never_below_zero() -> None:
    values = expected_improvement(np.linspace(0, 3, 30), 0.5, 0.2, 8, prior_deviation=0.1)
    assert np.all(np.diff(values) < 0)
    assert np.all(values >= 0)
    with pytest.raises(InvalidInputError):
        expected_improvement(0.5, 0.5, 0.1, 3, prior_deviation=0.0)
