"""The bracketed way gives what the plain way gives, whatever the sample says."""

from __future__ import annotations

import numpy as np
import pytest

from policies.solver import bracket, steps
from policies.solver.bracket import bracket_price, whole_range
from policies.solver.feasible import Feasible
from policies.solver.solver import solve


@pytest.fixture(autouse=True)
def _poor_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guess the price from four prompts, so that guesses are often wrong, and always narrow."""
    monkeypatch.setattr(bracket, "_LEAST_SAMPLE", 4)
    monkeypatch.setattr(bracket, "_SAMPLE_VALUES", 1)
    monkeypatch.setattr(bracket, "_FEW_VALUES", 1)


def simulate(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return values with gaps, and costs, of some dozen prompts."""
    n_prompts, n_allocations = int(rng.integers(2, 60)), int(rng.integers(1, 9))
    shape = (n_prompts, n_allocations)
    if kind == "ties":
        value, cost = rng.integers(0, 6, shape) / 6, rng.integers(0, 6, shape).astype(float)
    elif kind == "alike":
        value, cost = np.tile(rng.random(n_allocations), (n_prompts, 1)), np.arange(1.0, n_allocations + 1)
    elif kind == "unlike":
        value, cost = rng.random(shape), rng.random(shape)
    else:
        cost = np.arange(1.0, n_allocations + 1)
        value = (1 - (1 - rng.beta(0.4, 0.8, (n_prompts, 1))) ** cost).astype(np.float32)
    gaps = rng.random(shape) < rng.choice([0.0, 0.3])
    gaps[:, rng.integers(n_allocations)] = False
    value[gaps] = np.nan
    return value, cost


@pytest.mark.parametrize("kind", ["ties", "alike", "unlike", "float32"])
@pytest.mark.parametrize("limit", ["budget", "target"])
def test_agrees_with_the_whole_range(kind: str, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        value, cost = simulate(kind, rng)
        spread = cost if limit == "budget" else value
        table = np.where(np.isnan(value), np.nan, np.broadcast_to(spread, value.shape).astype(float))
        low, high = np.nanmin(table, axis=1).sum(), np.nanmax(table, axis=1).sum()
        wanted = low + 0.999 * rng.random() * (high - low)
        limits = {"budget": wanted} if limit == "budget" else {"target": wanted / value.shape[0]}
        monkeypatch.setattr(steps, "_LARGE", 10**9)
        plain = solve(value, cost, **limits)
        monkeypatch.setattr(steps, "_LARGE", -1)
        quick = solve(value, cost, **limits)
        assert quick.total_value == pytest.approx(plain.total_value, abs=1e-6)
        assert quick.total_cost == pytest.approx(plain.total_cost, abs=1e-6)
        assert quick.upper_bound == pytest.approx(plain.upper_bound, abs=1e-6)
        assert quick.price == pytest.approx(plain.price, rel=1e-9)


def test_bracket_holds_the_limit_and_leaves_few_prompts() -> None:
    rng = np.random.default_rng(1)
    n = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    menu = Feasible.of(1 - (1 - rng.beta(0.5, 0.5, (3000, 1))) ** n, n)
    found = bracket_price(menu, 9000.0, by_value=False, order=rng.permutation(3000))
    assert found.base_cost <= 9000.0 <= found.last.sum()
    assert found.active.size < 600
    assert (found.base_value, found.base_cost) == pytest.approx(menu.totals(found.start))


def test_whole_range_starts_at_the_cheapest() -> None:
    whole = whole_range(Feasible.of([[0.5, 0.2, np.nan], [0.1, 0.3, 0.3]], [2, 1, 0]))
    assert whole.start.tolist() == [1, 2]
    assert (whole.base_cost, whole.base_value) == (1.0, 0.5)
    assert whole.active.tolist() == [0, 1]
