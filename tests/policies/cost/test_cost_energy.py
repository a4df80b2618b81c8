"""Energy per token from metered runs."""

from __future__ import annotations

import math

import pytest

from difficulty.errors import InvalidInputError
from policies.cost.energy import EnergyRun, fit_energy


def test_fit_finds_the_figures_again() -> None:
    runs = [
        EnergyRun(prompt_tokens=p, output_tokens=t, joules=0.07 * p + 2.5 * t)
        for p, t in ((100, 10), (1000, 10), (50, 800))
    ]
    energy = fit_energy(runs)
    assert energy.prompt == pytest.approx(0.07)
    assert energy.output == pytest.approx(2.5)


def test_runs_that_cannot_be() -> None:
    one = EnergyRun(prompt_tokens=100, output_tokens=10, joules=50.0)
    with pytest.raises(InvalidInputError, match="at least 2"):
        fit_energy([one])
    with pytest.raises(InvalidInputError, match="cannot be told apart"):
        fit_energy([one, EnergyRun(prompt_tokens=200, output_tokens=20, joules=100.0)])
    with pytest.raises(InvalidInputError, match="run 1"):
        fit_energy([one, EnergyRun(prompt_tokens=200, output_tokens=math.nan, joules=100.0)])
