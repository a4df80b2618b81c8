from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from difficulty.belief.beta_binomial import BetaBinomial
from difficulty.errors import InvalidInputError

_shape = st.floats(0.05, 50.0)
_zero = st.floats(0.0, 0.95)


@settings(max_examples=50, deadline=None)
@given(_shape, _shape, _zero)
def test_marginal_is_a_distribution_and_matches_scipy(a: float, b: float, zero: float) -> None:
    belief = BetaBinomial(a=a, b=b, zero=zero)
    counts = np.arange(13)
    chance = np.exp(belief.log_marginal(12, counts))
    expected = (1 - zero) * betabinom.pmf(counts, 12, a, b) + zero * (counts == 0)
    np.testing.assert_allclose(chance, expected, atol=1e-9)
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)


def test_bad_input_raises() -> None:
    with pytest.raises(InvalidInputError, match="a must be finite and > 0"):
        BetaBinomial(a=0.0, b=1.0)
    with pytest.raises(InvalidInputError, match="zero must be between 0 and 1"):
        BetaBinomial(a=1.0, b=1.0, zero=1.5)
    with pytest.raises(InvalidInputError, match="broadcast"):
        BetaBinomial(a=np.ones(2), b=np.ones(3))
    with pytest.raises(InvalidInputError, match="between 0 and n"):
        BetaBinomial(a=1.0, b=1.0).log_marginal(3, 4)


def test_parameters_of_many_prompts_equal_those_of_each() -> None:
    belief = BetaBinomial(a=np.array([0.5, 2.0]), b=np.array([1.0, 3.0]), zero=np.array([0.0, 0.4]))
    for row, single in enumerate((BetaBinomial(a=0.5, b=1.0), BetaBinomial(a=2.0, b=3.0, zero=0.4))):
        assert belief.log_marginal([5, 6], [0, 2])[row] == single.log_marginal([5, 6][row], [0, 2][row])
    assert belief == BetaBinomial(a=belief.a, b=belief.b, zero=belief.zero)
    assert belief != BetaBinomial(a=belief.a, b=belief.b)


def test_a_prompt_that_is_never_solved_has_no_correct_sample() -> None:
    assert BetaBinomial(a=1.0, b=1.0, zero=1.0).log_marginal(4, 2) == -np.inf
