"""A batch never costs more than its limit, and spends where a unit of cost buys most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.control.batch import BatchControl

PRICES = np.geomspace(1.0, 1e-3, 12)


def run(seed: int, n: int, limit: float, *, early: bool) -> tuple[BatchControl, float, int]:
    """Play a batch of prompts with random gains, costs and bounds to its end; return what it really cost."""
    rng = np.random.default_rng(seed)
    control, actual, rounds = BatchControl(limit=limit), 0.0, 0
    waves_left = rng.integers(0, 6, size=n)
    while True:
        live = waves_left > 0
        gain = np.where(live, rng.exponential(0.2, n), 0.0)[:, None] * np.linspace(1, 1.3, len(PRICES))
        cost = rng.exponential(2.0, n)[:, None] * np.linspace(1, 2, len(PRICES))
        worst = rng.uniform(0, 5, n) * live
        admission = control.admit(gain, cost, worst=worst, prices=PRICES)
        if not admission.go_on.any():
            return control, actual, rounds
        assert not np.any(admission.go_on & ~live)
        for index in np.flatnonzero(admission.go_on):
            paid = worst[index] * (rng.random() if early else 1.0)
            actual += paid
            control.settle(paid, reserved=worst[index])
        assert control.spent + control.reserved <= limit * (1 + 1e-12) + 1e-9
        waves_left = waves_left - admission.go_on
        rounds += 1


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(0, 60), st.booleans())
def test_the_total_is_never_exceeded(seed: int, n: int, limit: float, early: bool) -> None:
    control, actual, _ = run(seed, n, limit, early=early)
    assert actual <= limit + 1e-9
    assert control.spent == pytest.approx(actual)
    assert control.reserved == pytest.approx(0, abs=1e-9)


def test_thousands_of_random_batches_stay_within_their_limits() -> None:
    rng = np.random.default_rng(5)
    for seed in range(1000):
        limit = float(rng.uniform(0, 30))
        assert run(seed, int(rng.integers(1, 7)), limit, early=bool(seed % 2))[1] <= limit + 1e-9


def test_the_best_gain_per_cost_goes_first() -> None:
    gain, cost = np.array([[0.2], [0.4], [0.3]]), np.array([[1.0], [4.0], [1.0]])
    admission = BatchControl(limit=2.0).admit(gain, cost, worst=cost[:, 0], prices=np.array([0.01]))
    assert admission.go_on.tolist() == [True, False, True]


def test_what_is_not_worth_the_lowest_price_is_not_bought() -> None:
    gain, cost = np.array([[0.001], [0.4]]), np.ones((2, 1))
    admission = BatchControl(limit=99.0).admit(gain, cost, worst=np.ones(2), prices=np.array([0.01]))
    assert admission.go_on.tolist() == [False, True]


def test_savings_buy_what_was_out_of_reach() -> None:
    control = BatchControl(limit=10.0)
    gain, cost = np.array([[0.5], [0.4], [0.3]]), np.full((3, 1), 4.0)
    worst, prices = np.full(3, 4.0), np.array([0.01])
    first = control.admit(gain, cost, worst=worst, prices=prices)
    assert first.go_on.tolist() == [True, True, False]
    for _ in range(2):
        control.settle(1.0, reserved=4.0)
    second = control.admit(gain * [[0], [0], [1]], cost, worst=worst, prices=prices)
    assert second.go_on.tolist() == [False, False, True]


def test_the_price_falls_as_money_is_left_over() -> None:
    rng = np.random.default_rng(0)
    gain = rng.exponential(0.1, (200, 1)) * np.ones(len(PRICES))
    cost = np.ones_like(gain)
    prices = [
        BatchControl(limit=limit).admit(gain, cost, worst=np.ones(200), prices=PRICES).price
        for limit in (5.0, 50.0, 150.0, 500.0)
    ]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] > prices[-1]


def test_a_wave_fits_even_where_the_whole_way_does_not() -> None:
    control = BatchControl(limit=1.0)
    admission = control.admit(np.array([[5.0]]), np.array([[3.0]]), worst=np.ones(1), prices=np.array([0.1]))
    assert admission.go_on.tolist() == [True]


def test_more_than_the_bound_is_booked_and_leaves_less() -> None:
    control = BatchControl(limit=5.0)
    control.admit(np.ones((1, 1)), np.ones((1, 1)), worst=np.ones(1), prices=np.array([0.1]))
    control.settle(7.0, reserved=1.0)
    assert (control.spent, control.reserved, control.left) == (7.0, 0.0, 0.0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidBudgetError):
        BatchControl(limit=float("nan"))
    control = BatchControl(limit=1.0)
    with pytest.raises(InvalidInputError):
        control.admit(np.ones((2, 3)), np.ones((2, 2)), worst=np.ones(2), prices=np.ones(2))
    with pytest.raises(InvalidInputError):
        control.admit(np.ones((1, 1)), np.ones((1, 1)), worst=np.array([np.inf]), prices=np.ones(1))
    with pytest.raises(InvalidInputError):
        control.settle(-1.0, reserved=0.0)
