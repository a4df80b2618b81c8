"""The margin against the normal quantile and against simulation."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from policies.solver.overrun import safety_margin


@pytest.mark.parametrize("chance", [0.4, 0.1, 1e-3])
def test_the_margin_leaves_the_chance_that_was_asked_for(chance: float) -> None:
    margin = safety_margin(49.0, overrun=chance)
    assert 1 - NormalDist(sigma=7.0).cdf(margin) == pytest.approx(chance)


def test_agrees_with_simulated_batches() -> None:
    # 4,000 batches of 200 exponential costs: the standard error of a tenth is 0.0047, skewness adds less;
    # 0.03 is more than five standard errors, a false-alarm rate below 1e-6.
    totals = np.random.default_rng(0).exponential(10.0, size=(4000, 200)).sum(axis=1)
    limit = 2000.0 + safety_margin(200 * 100.0, overrun=0.1)
    assert np.mean(totals > limit) == pytest.approx(0.1, abs=0.03)


def test_certain_costs_need_no_margin() -> None:
    assert safety_margin(0.0, overrun=0.01) == 0.0
