"""Scores: exact on small cases, unbiased for true rates by simulation, invalid input refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from difficulty.errors import InvalidInputError
from difficulty.predictor.calibration import (
    brier_score,
    explained_share,
    rate_crps,
    reliability_curve,
)


def test_brier_noise_is_exact_in_expectation() -> None:
    # By enumeration: the expected corrected score over all outcomes is the squared error of the true rate.
    n, true_rate, p = 5, 0.3, 0.55
    weights = stats.binom.pmf(np.arange(n + 1), n, true_rate)
    corrected = [brier_score(p=[p], n=[n], n_correct=[c]).corrected for c in range(n + 1)]
    assert weights @ np.array(corrected) == pytest.approx((p - true_rate) ** 2, abs=1e-12)


def test_brier_parts_add_up_and_single_samples_are_raw_only() -> None:
    score = brier_score(p=[0.2, 0.9, 0.5], n=[4, 3, 0], n_correct=[1, 3, 0])
    assert score.raw == pytest.approx((0.05**2 + 0.1**2) / 2)
    assert score.corrected == pytest.approx(score.raw - score.noise)
    single = brier_score(p=[0.2], n=[1], n_correct=[1])
    assert single.raw == pytest.approx(0.64)
    assert np.isnan(single.noise)
    assert np.isnan(single.corrected)


def test_explained_share_of_known_rates() -> None:
    # 20,000 prompts, seed fixed. The share of a prediction with known error is known; its standard error is
    # below 0.01, so that a band of 0.06 alarms falsely with probability below 1e-6.
    rng = np.random.default_rng(5)
    rates = rng.beta(1.0, 2.0, 20_000)
    n = rng.integers(2, 12, rates.size)
    c = rng.binomial(n, rates)
    assert explained_share(p=rates, n=n, n_correct=c) == pytest.approx(1.0, abs=0.06)
    assert explained_share(p=np.full(rates.size, rates.mean()), n=n, n_correct=c) == pytest.approx(
        0.0, abs=0.06
    )
    half = rates.mean() + (rates - rates.mean()) / 2
    assert explained_share(p=half, n=n, n_correct=c) == pytest.approx(0.75, abs=0.06)


def test_explained_share_is_undefined_without_variance() -> None:
    assert np.isnan(explained_share(p=[0.5, 0.5], n=[1, 1], n_correct=[0, 1]))
    assert np.isnan(explained_share(p=[0.5, 0.5], n=[4, 4], n_correct=[2, 2]))


def test_rate_crps_agrees_with_numerical_integration() -> None:
    support = np.array([0.1, 0.4, 0.8])
    weights = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    n, c = np.array([10, 10, 4, 5]), np.array([0, 4, 4, 3])
    expected = []
    for row, rate in zip(weights / weights.sum(1, keepdims=True), c / n, strict=True):

        def integrand(x: float, row: np.ndarray = row, rate: float = rate) -> float:
            return float((row[support <= x].sum() - (x >= rate)) ** 2)

        breaks = sorted({*support, rate} - {0.0, 1.0})
        expected.append(integrate.quad(integrand, 0, 1, points=breaks)[0])
    assert rate_crps(support=support, weights=weights, n=n, n_correct=c) == pytest.approx(np.mean(expected))


def test_rate_crps_of_a_point_is_the_absolute_error() -> None:
    assert rate_crps(support=[0.3], weights=[[2.0]], n=[4], n_correct=[3]) == pytest.approx(0.45)


def test_reliability_curve_bins_prompts() -> None:
    p = np.repeat([0.1, 0.5, 0.9], 20)
    n = np.full(60, 4)
    c = np.concatenate([np.tile([0, 1], 10), np.tile([1, 3], 10), np.full(20, 4)])
    curve = reliability_curve(p=p, n=n, n_correct=c, n_bins=3)
    np.testing.assert_allclose(curve.predicted, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(curve.observed, [0.125, 0.5, 1.0])
    assert curve.n_prompts.tolist() == [20, 20, 20]
    assert curve.n_samples.tolist() == [80, 80, 80]
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
        curve = reliability_curve(p=np.full(60, 0.5), n=np.full(60, 20), n_correct=c, n_bins=1)
        hits += bool(curve.lower[0] <= 0.5 <= curve.upper[0])
    assert hits >= 350


def test_ties_stay_in_one_bin() -> None:
    curve = reliability_curve(p=[0.5] * 9, n=[2] * 9, n_correct=[1] * 9, n_bins=5)
    assert curve.n_prompts.tolist() == [9]


@pytest.mark.parametrize(
    ("p", "n", "c", "message"),
    [
        ([0.5], [2], [3], r"\[0, n\]"),
        ([0.5], [2], [-1], r"\[0, n\]"),
        ([1.5], [2], [1], r"\[0, 1\]"),
        ([float("nan")], [2], [1], r"\[0, 1\]"),
        ([0.5], [0], [0], "at least one prompt"),
        ([0.5, 0.5], [2], [1], "one shape"),
    ],
)
def test_wrong_counts_are_refused(p: list[float], n: list[int], c: list[int], message: str) -> None:
    for score in (brier_score, explained_share, reliability_curve):
        with pytest.raises(InvalidInputError, match=message):
            score(p=p, n=n, n_correct=c)


@pytest.mark.parametrize(
    ("support", "weights", "message"),
    [
        ([0.5, 0.1], [[1.0, 1.0]], "ascend"),
        ([0.1, 1.5], [[1.0, 1.0]], "ascend"),
        ([0.1, 0.5], [[1.0, -1.0]], "weights"),
        ([0.1, 0.5], [[0.0, 0.0]], "weights"),
        ([0.1, 0.5], [[1.0]], "shape"),
        ([0.5], [[1.0], [1.0]], r"\(2,\)"),
    ],
)
def test_wrong_distributions_are_refused(
    support: list[float], weights: list[list[float]], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        rate_crps(support=support, weights=weights, n=[2], n_correct=[1])


def test_wrong_bins_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_bins"):
        reliability_curve(p=[0.5], n=[2], n_correct=[1], n_bins=0)
