"""Prices cover a whole frontier, so that what is best at some of them is all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from policies.solver.hull import upper_hull
from policies.solver.prices import price_grid

values = st.floats(0, 1, width=32).map(float)


def choose(value: NDArray[np.float64], cost: NDArray[np.float64], prices: NDArray[np.float64]) -> Any:
    """Return each prompt's best allocation at each price, ties to the cheaper one, shape (P, L)."""
    order = np.argsort(cost.mean(axis=0), kind="stable")
    worth = value[:, order, None] - prices * cost[:, order, None]
    return order[worth.argmax(axis=1)]


@given(
    value=arrays(np.float64, st.just(8), elements=values),
    cost=arrays(np.float64, st.just(8), elements=st.floats(1, 1e4, width=32).map(float), unique=True),
)
def test_prices_fall_and_visit_every_vertex_of_the_static_hull(value: np.ndarray, cost: np.ndarray) -> None:
    prices = price_grid(value, cost, n_prices=6)
    assert np.all(np.diff(prices) < 0)
    assert prices[-1] > 0
    visited = {int(index) for index in choose(value[None], cost[None], prices)[0]}
    hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    ordered = hull[np.argsort(cost[hull])]
    slopes = np.diff(value[ordered]) / np.diff(cost[ordered])
    # Neighbouring slopes that differ by rounding only have no price between them.
    distinct = np.abs(np.diff(slopes)) > 1e-9 * np.abs(slopes[:-1]) if len(slopes) > 1 else np.zeros(0)
    inner = ordered[1:-1][distinct.astype(bool)] if len(ordered) > 2 else ordered[:0]
    assert set(inner.tolist()) <= visited
    assert int(ordered[0]) in visited
    assert int(ordered[-1]) in visited


def test_the_first_price_buys_the_cheapest_only_and_the_last_the_best() -> None:
    value, cost = np.array([0.2, 0.5, 0.6, 0.61]), np.array([10.0, 20.0, 40.0, 80.0])
    prices = price_grid(value, cost, n_prices=10)
    choice = choose(value[None], cost[None], prices)[0]
    assert choice[0] == 0
    assert choice[-1] == 3
    assert_array_equal(np.unique(choice), [0, 1, 2, 3])


def test_spending_never_falls_as_the_price_does() -> None:
    rng = np.random.default_rng(0)
    value, cost = np.sort(rng.random((30, 7)), axis=1), np.sort(rng.random((30, 7)), axis=1) * 50 + 1
    prices = price_grid(value.mean(axis=0), cost.mean(axis=0), n_prices=30)
    choice = choose(value, cost, prices)
    rows = np.arange(30)[:, None]
    assert np.all(np.diff(cost[rows, choice], axis=1) >= 0)
    assert np.all(np.diff(value[rows, choice], axis=1) >= -1e-12)


def test_scaling_costs_scales_prices() -> None:
    value, cost = np.array([0.2, 0.5, 0.6]), np.array([10.0, 20.0, 40.0])
    assert_allclose(price_grid(value, 1e9 * cost, n_prices=8) * 1e9, price_grid(value, cost, n_prices=8))


def test_a_menu_of_one_and_a_flat_menu_have_prices() -> None:
    for value, cost in (([0.3], [5.0]), ([0.3, 0.3], [5.0, 5.0]), ([0.0, 0.0], [1.0, 2.0])):
        prices = price_grid(np.array(value), np.array(cost), n_prices=5)
        assert np.isfinite(prices).all()
        assert (prices > 0).all()
