"""Scores: exact on small cases, unbiased for true rates by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from difficulty.predictor.calibration import (
    brier_score,
    explained_share,
    rate_crps,
    reliability_curve,
)


def noise_of(n: np.ndarray, c: np.ndarray) -> np.ndarray:
    return c * (n - c) / (n**2 * (n - 1.0))


def test_brier_noise_is_exact_in_expectation() -> None:
    # By enumeration: the expected corrected score over all outcomes is the squared error of the true rate.
    n, true_rate, p = np.array([5]), 0.3, np.array([0.55])
    weights = stats.binom.pmf(np.arange(6), 5, true_rate)
    counts = [np.array([c]) for c in range(6)]
    corrected = [brier_score(p, c / n, noise_of(n, c)) for c in counts]
    assert weights @ np.array(corrected) == pytest.approx((0.55 - true_rate) ** 2, abs=1e-12)


def test_explained_share_of_known_rates() -> None:
    # 20,000 prompts, seed fixed. The share of a prediction with known error is known; its standard error is
    # below 0.01, so that a band of 0.06 alarms falsely with probability below 1e-6.
    rng = np.random.default_rng(5)
    rates = rng.beta(1.0, 2.0, 20_000)
    n = rng.integers(2, 12, rates.size)
    c = rng.binomial(n, rates)
    told, noise, mean = c / n, noise_of(n, c), np.full(rates.size, rates.mean())
    assert explained_share(rates, told, noise) == pytest.approx(1.0, abs=0.06)
    assert explained_share(mean, told, noise) == pytest.approx(0.0, abs=0.06)
    assert explained_share((mean + rates) / 2, told, noise) == pytest.approx(0.75, abs=0.06)


def test_explained_share_is_undefined_without_variance() -> None:
    one, two = np.array([0.5]), np.array([0.5, 0.5])
    assert np.isnan(explained_share(one, one, np.zeros(1)))
    assert np.isnan(explained_share(two, two, np.full(2, 1 / 12)))


def test_rate_crps_agrees_with_numerical_integration() -> None:
    support = np.array([0.1, 0.4, 0.8])
    weights = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    n, c = np.array([10, 10, 4, 5]), np.array([0, 4, 4, 3])
    expected = []
    weights /= weights.sum(1, keepdims=True)
    for row, rate in zip(weights, c / n, strict=True):

        def integrand(x: float, row: np.ndarray = row, rate: float = rate) -> float:
            return float((row[support <= x].sum() - (x >= rate)) ** 2)

        breaks = sorted({*support, rate} - {0.0, 1.0})
        expected.append(integrate.quad(integrand, 0, 1, points=breaks)[0])
    assert rate_crps(support, weights, c / n) == pytest.approx(np.mean(expected))


def test_rate_crps_of_one_belief_about_many_prompts() -> None:
    rng = np.random.default_rng(0)
    support, rates, shares = np.sort(rng.random(5)), rng.random(600), rng.dirichlet(np.ones(5), size=1)
    alone = [rate_crps(support, shares, rate) for rate in rates[:, None]]
    assert rate_crps(support, shares, rates) == pytest.approx(np.mean(alone))
    assert rate_crps(support, np.tile(shares, (600, 1)), rates) == pytest.approx(np.mean(alone))


def test_rate_crps_of_a_point_is_the_absolute_error() -> None:
    assert rate_crps(np.array([0.3]), np.ones((1, 1)), np.array([0.75])) == pytest.approx(0.45)


def test_reliability_curve_bins_prompts() -> None:
    p = np.repeat([0.1, 0.5, 0.9], 20)
    n = np.full(60, 4)
    c = np.concatenate([np.tile([0, 1], 10), np.tile([1, 3], 10), np.full(20, 4)])
    curve = reliability_curve(p, n, c, n_bins=3)
    np.testing.assert_allclose(curve.predicted, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(curve.observed, [0.125, 0.5, 1.0])
    assert curve.n.tolist() == [20, 20, 20]
    assert ((curve.lower <= curve.observed) & (curve.observed <= curve.upper)).all()
    assert curve.upper[2] == 1.0
    assert curve.lower[2] == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6), (
        "as if each prompt were a sample"
    )


def test_reliability_intervals_cover_when_prompts_differ() -> None:
    # One bin of 60 prompts with rates near 0 or 1, 20 samples each, 400 repeats, seed fixed. At a true
    # coverage of 0.95 fewer than 350 hits have probability below 1e-6; intervals that took 1,200 samples for
    # independent would cover about a third.
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(400):
        rates = rng.beta(0.3, 0.3, 60)
        c = rng.binomial(20, rates)
        curve = reliability_curve(np.full(60, 0.5), np.full(60, 20), c, n_bins=1)
        hits += bool(curve.lower[0] <= 0.5 <= curve.upper[0])
    assert hits >= 350


def test_ties_stay_in_one_bin() -> None:
    curve = reliability_curve(np.full(9, 0.5), np.full(9, 2), np.ones(9), n_bins=5)
    assert curve.n.tolist() == [9]
