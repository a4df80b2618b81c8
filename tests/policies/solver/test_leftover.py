"""What is left of a budget is spent; the last gap to a target is closed cheaply."""

from __future__ import annotations

import numpy as np
import pytest

from policies.solver import leftover
from policies.solver.feasible import Feasible
from policies.solver.leftover import cheapest_upgrade, fill
from policies.solver.solver import solve


@pytest.mark.parametrize("queue", [4096, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_that_fits_is_left(
    queue: int, dtype: type[np.floating], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A short queue makes the batch be scanned again and again.
    monkeypatch.setattr(leftover, "_QUEUE", queue)
    rng = np.random.default_rng(0)
    value, cost = rng.random((300, 6)).astype(dtype), rng.random((300, 6)).astype(dtype)
    cost[0] *= 1000
    value[0] *= 10_000
    menu = Feasible.of(value, cost)
    start = cost.argmin(axis=1)
    choice = start.copy()
    left = fill(menu, choice, 30.0, np.arange(300))
    rows = np.arange(300)
    spent = cost[rows, choice].astype(float).sum() - cost[rows, start].astype(float).sum()
    assert left == pytest.approx(30.0 - spent, abs=1e-6)
    extra = cost.astype(float) - cost[rows, choice].astype(float)[:, None]
    better = (value > value[rows, choice][:, None]) & (extra <= left)
    assert not better.any()


def test_greedy_by_hand_takes_the_steepest_that_fits() -> None:
    # Slopes 0.4, 0.3 and 0.2; the steepest does not fit, the next one does, then the last one.
    menu = Feasible.of([[0.0, 4.0], [0.0, 0.9], [0.0, 0.4]], [[0, 10], [0, 3], [0, 2]])
    choice = np.zeros(3, dtype=np.intp)
    assert fill(menu, choice, 6.0, np.arange(3)) == 1.0
    assert choice.tolist() == [0, 1, 1]


def test_dominated_allocations_are_used_where_the_hull_does_not_fit() -> None:
    value, cost = [[0.1, 0.2, 0.9], [0.5, 0.5, 0.5]], [1, 3, 10]
    solution = solve(value, cost, budget=5.0)
    assert solution.choice.tolist() == [1, 0]


def test_equal_upgrades_go_by_the_order_given() -> None:
    menu = Feasible.of([[0.0, 1.0]] * 4, [0, 1])
    for order in ([2, 0, 1, 3], [3, 1, 0, 2]):
        choice = np.zeros(4, dtype=np.intp)
        fill(menu, choice, 1.0, np.argsort(order))
        assert choice.tolist() == [int(prompt == order[0]) for prompt in range(4)]
        assert cheapest_upgrade(menu, np.zeros(4, dtype=np.intp), 0.5, np.argsort(order)) == (order[0], 1)


def test_the_last_step_to_a_target_is_the_cheapest_that_is_enough() -> None:
    # The steepest step costs 5 and overshoots; a flatter one for 2 is enough.
    value, cost = [[0.0, 1.0], [0.0, 0.3]], [[0, 5], [0, 2]]
    solution = solve(value, cost, target=0.1)
    assert solution.choice.tolist() == [0, 1]
    assert solution.total_cost == 2
