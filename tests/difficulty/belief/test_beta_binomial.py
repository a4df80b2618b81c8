from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, betabinom

from difficulty.belief.beta_binomial import BetaBinomial, fit_beta_binomial
from difficulty.errors import InvalidInputError

_shape = st.floats(0.05, 50.0)
_zero = st.floats(0.0, 0.95)


@pytest.mark.parametrize(("a", "b", "zero"), [(0.5, 1.5, 0.0), (2.0, 3.0, 0.3), (1.2, 0.7, 0.9)])
def test_moments_and_curves_agree_with_integration(a: float, b: float, zero: float) -> None:
    belief = BetaBinomial(a=a, b=b, zero=zero)

    def expect(worth: object) -> float:
        return (1 - zero) * quad(lambda p: worth(p) * beta.pdf(p, a, b), 0, 1, epsabs=1e-12)[0]  # type: ignore[operator]

    assert belief.mean == pytest.approx(expect(lambda p: p), abs=1e-8)
    assert belief.variance == pytest.approx(expect(lambda p: p * p) - float(belief.mean) ** 2, abs=1e-8)
    for k in (1, 2, 7):
        assert belief.pass_at_k(k) == pytest.approx(expect(lambda p, k=k: 1 - (1 - p) ** k), abs=1e-8)
        assert belief.marginal_gain(k) == pytest.approx(expect(lambda p, k=k: p * (1 - p) ** k), abs=1e-8)


@settings(max_examples=50, deadline=None)
@given(_shape, _shape, _zero)
def test_marginal_is_a_distribution_and_matches_scipy(a: float, b: float, zero: float) -> None:
    belief = BetaBinomial(a=a, b=b, zero=zero)
    counts = np.arange(13)
    chance = np.exp(belief.log_marginal(12, counts))
    expected = (1 - zero) * betabinom.pmf(counts, 12, a, b) + zero * (counts == 0)
    np.testing.assert_allclose(chance, expected, atol=1e-9)
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(_shape, _shape, _zero)
def test_gain_is_the_increment_of_pass_at_k(a: float, b: float, zero: float) -> None:
    belief = BetaBinomial(a=a, b=b, zero=zero)
    k = np.arange(0, 65)
    curve = belief.pass_at_k(k)
    np.testing.assert_allclose(np.diff(curve), belief.marginal_gain(k[:-1]), atol=1e-9)
    assert curve[0] == 0 and curve[1] == pytest.approx(float(belief.mean), abs=1e-12)
    assert (np.diff(belief.marginal_gain(k)) <= 1e-15).all()


@settings(max_examples=50, deadline=None)
@given(_shape, _shape, st.floats(0.001, 0.95), st.integers(0, 8), st.integers(0, 8))
def test_posterior_is_bayes_rule_and_order_free(
    a: float, b: float, zero: float, wrong: int, right: int
) -> None:
    prior = BetaBinomial(a=a, b=b, zero=zero)
    at_once = prior.posterior(wrong + right, right)
    in_steps = prior.posterior(wrong, 0).posterior(right, right)
    for name in ("a", "b", "zero"):
        assert getattr(at_once, name) == pytest.approx(getattr(in_steps, name), abs=1e-9)
    # P(next is correct | data) = P(data, next correct) / P(data), over ordered draws.
    from math import comb, exp

    n = wrong + right
    joint = exp(float(prior.log_marginal(n + 1, right + 1))) / comb(n + 1, right + 1)
    evidence = exp(float(prior.log_marginal(n, right))) / comb(n, right)
    assert at_once.mean == pytest.approx(joint / evidence, rel=1e-7)


def test_vectorised_parameters_equal_scalars() -> None:
    belief = BetaBinomial(a=np.array([0.5, 2.0]), b=np.array([1.0, 3.0]), zero=np.array([0.0, 0.4]))
    after = belief.posterior(np.array([5, 6]), np.array([0, 2]))
    for row in range(2):
        single = BetaBinomial(a=belief.a[row], b=belief.b[row], zero=belief.zero[row])  # type: ignore[index]
        assert belief.pass_at_k(4)[row] == single.pass_at_k(4)
        alone = single.posterior([5, 6][row], [0, 2][row])
        assert (after.a[row], after.b[row]) == (alone.a, alone.b)  # type: ignore[index]
        assert after.zero[row] == pytest.approx(alone.zero)  # type: ignore[index]
    assert belief == BetaBinomial(a=belief.a, b=belief.b, zero=belief.zero)
    assert belief != after


def test_certain_zero_stays_zero_until_something_is_correct() -> None:
    never = BetaBinomial(a=1.0, b=1.0, zero=1.0)
    assert never.pass_at_k(1000) == 0.0
    assert never.posterior(10, 0).zero == 1.0
    assert never.posterior(10, 1).zero == 0.0
    assert never.log_marginal(4, 2) == -np.inf


def test_fit_recovers_the_truth() -> None:
    # Standard errors over 30 other seeds: 0.019, 0.035 and 0.005; tolerances are seven of them, rate < 1e-10.
    rng = np.random.default_rng(4)
    p = np.where(rng.random(20_000) < 0.25, 0.0, rng.beta(0.8, 2.0, 20_000))
    n = rng.integers(5, 30, size=20_000)
    fitted = fit_beta_binomial(n, rng.binomial(n, p))
    assert (fitted.a, fitted.b, fitted.zero) == (
        pytest.approx(0.8, abs=0.15),
        pytest.approx(2.0, abs=0.3),
        pytest.approx(0.25, abs=0.04),
    )


def test_fit_beats_perturbed_parameters_and_weights_are_repetitions() -> None:
    rng = np.random.default_rng(5)
    n = np.full(300, 10)
    n_correct = rng.binomial(10, np.where(rng.random(300) < 0.3, 0.0, rng.beta(1.0, 1.0, 300)))
    weight = rng.integers(0, 4, size=300)
    fitted = fit_beta_binomial(n, n_correct, weight=weight)
    repeated = fit_beta_binomial(np.repeat(n, weight), np.repeat(n_correct, weight))
    assert (fitted.a, fitted.b, fitted.zero) == pytest.approx(
        (repeated.a, repeated.b, repeated.zero), rel=1e-6
    )
    best = float(weight @ fitted.log_marginal(n, n_correct))
    for factor in (0.9, 1.1):
        for name in ("a", "b", "zero"):
            values = {"a": fitted.a, "b": fitted.b, "zero": fitted.zero}
            values[name] = values[name] * factor
            assert weight @ BetaBinomial(**values).log_marginal(n, n_correct) < best


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_fit_survives_counts_without_spread(share: float) -> None:
    fitted = fit_beta_binomial(np.full(50, 8), np.full(50, int(8 * share)))
    assert fitted.mean == pytest.approx(share, abs=0.01)
    one = fit_beta_binomial([1, 1, 1, 1], [1, 0, 1, 1], zero_inflated=False)
    assert one.mean == pytest.approx(0.75, abs=1e-3) and one.zero == 0.0


def test_bad_input_raises() -> None:
    with pytest.raises(InvalidInputError, match="a must be finite and > 0"):
        BetaBinomial(a=0.0, b=1.0)
    with pytest.raises(InvalidInputError, match="zero must be between 0 and 1"):
        BetaBinomial(a=1.0, b=1.0, zero=1.5)
    with pytest.raises(InvalidInputError, match="broadcast"):
        BetaBinomial(a=np.ones(2), b=np.ones(3))
    with pytest.raises(InvalidInputError, match="between 0 and n"):
        fit_beta_binomial([3], [4])
    with pytest.raises(InvalidInputError, match="at least one prompt"):
        fit_beta_binomial([0, 0], [0, 0])
    with pytest.raises(InvalidInputError, match="share a shape"):
        fit_beta_binomial([3, 3], [1, 1], weight=[1.0])
    with pytest.raises(InvalidInputError, match="k must be >= 0"):
        BetaBinomial(a=1.0, b=1.0).pass_at_k(-1)
