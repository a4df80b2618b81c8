"""Posteriors agree with closed forms, enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.belief.posterior import (
    is_mode,
    leads,
)


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
