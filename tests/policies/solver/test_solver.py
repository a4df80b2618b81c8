"""The solver against exhaustive search, its limits, and its behaviour at size."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.solver.solution import Solution
from policies.solver.solver import solve

Case = tuple[NDArray[np.float64], NDArray[np.float64]]


@st.composite
def cases(draw: st.DrawFn, *, most_prompts: int = 4, most_allocations: int = 5) -> Case:
    """Draw small menus with ties, dominated allocations, gaps, and integer costs (so that sums are exact)."""
    n_prompts = draw(st.integers(1, most_prompts))
    n_allocations = draw(st.integers(1, most_allocations))
    shape = (n_prompts, n_allocations)
    numbers = st.integers(0, 12)
    value = np.array(
        draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    ).reshape(shape)
    cost = np.array(
        draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    ).reshape(shape)
    value = value / 12
    gaps = np.array(
        draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    ).reshape(shape)
    gaps[:, draw(st.integers(0, n_allocations - 1))] = False
    value[gaps] = np.nan
    return value, cost.astype(np.float64)


def best_by_search(value: NDArray[np.float64], cost: NDArray[np.float64], budget: float) -> float:
    """Return the best total value within a budget by trying everything; -inf where nothing fits."""
    best = -math.inf
    for choice in itertools.product(range(value.shape[1]), repeat=value.shape[0]):
        rows = np.arange(value.shape[0])
        worth = value[rows, list(choice)].sum()
        if not np.isnan(worth) and cost[rows, list(choice)].sum() <= budget:
            best = max(best, float(worth))
    return best


def largest_gain(value: NDArray[np.float64]) -> float:
    """Return the largest difference of value that one prompt can make."""
    return float((np.nanmax(value, axis=1) - np.nanmin(value, axis=1)).max())


def check_totals(solution: Solution, value: NDArray[np.float64], cost: NDArray[np.float64]) -> None:
    rows = np.arange(value.shape[0])
    assert solution.total_value == pytest.approx(value[rows, solution.choice].sum())
    assert solution.total_cost == pytest.approx(
        np.broadcast_to(cost, value.shape)[rows, solution.choice].sum()
    )


@settings(max_examples=150, deadline=None)
@given(case=cases(), budget=st.integers(0, 40), seed=st.integers(0, 3))
def test_the_solver_against_exhaustive_search(case: Case, budget: int, seed: int) -> None:
    value, cost = case
    optimum = best_by_search(value, cost, budget)
    if optimum == -math.inf:
        with pytest.raises(InvalidBudgetError) as caught:
            solve(value, cost, budget=budget, seed=seed)
        assert caught.value.least == np.where(np.isnan(value), np.inf, cost).min(axis=1).sum()
        return
    solution = solve(value, cost, budget=budget, seed=seed)
    check_totals(solution, value, cost)
    assert solution.total_cost <= budget
    assert optimum - largest_gain(value) - 1e-9 <= solution.total_value <= optimum + 1e-9
    assert solution.upper_bound >= optimum - 1e-9


@settings(max_examples=40, deadline=None)
@given(case=cases(most_prompts=6), seed=st.integers(0, 3))
def test_value_never_falls_when_the_budget_grows(case: Case, seed: int) -> None:
    value, cost = case
    least = np.where(np.isnan(value), np.inf, cost).min(axis=1).sum()
    totals = [solve(value, cost, budget=least + extra, seed=seed).total_value for extra in range(40)]
    assert np.all(np.diff(totals) >= -1e-9)


@settings(max_examples=100, deadline=None)
@given(case=cases(), cap=st.integers(0, 12), budget=st.integers(0, 40))
def test_never_over_a_cap_that_is_told_by_gaps(case: Case, cap: int, budget: int) -> None:
    value, cost = case
    value = np.where(cost > cap, np.nan, value)
    for limits in ({"budget": float(budget)}, {"price": 0.01}, {"target": 0.4}):
        try:
            solution = solve(value, cost, **limits)
        except InvalidBudgetError:
            continue
        assert cost[np.arange(value.shape[0]), solution.choice].max() <= cap


@settings(max_examples=100, deadline=None)
@given(case=cases(), target=st.integers(0, 12))
def test_target_is_reached_at_nearly_the_least_cost(case: Case, target: int) -> None:
    value, cost = case
    rows = np.arange(value.shape[0])
    wanted = target / 12
    costs = [
        cost[rows, list(choice)].sum()
        for choice in itertools.product(range(value.shape[1]), repeat=value.shape[0])
        if value[rows, list(choice)].mean() >= wanted - 1e-12
    ]
    if not costs:
        with pytest.raises(InvalidBudgetError) as caught:
            solve(value, cost, target=wanted)
        assert caught.value.reachable == pytest.approx(np.nanmax(value, axis=1).mean())
        return
    solution = solve(value, cost, target=wanted)
    check_totals(solution, value, cost)
    assert solution.total_value >= wanted * value.shape[0] - 1e-9
    available = np.where(np.isnan(value), np.nan, cost)
    one_step = (np.nanmax(available, axis=1) - np.nanmin(available, axis=1)).max()
    assert solution.total_cost <= min(costs) + one_step + 1e-9


@settings(max_examples=60, deadline=None)
@given(case=cases(most_prompts=5), price=st.floats(0, 0.5))
def test_a_price_buys_the_best_net_value(case: Case, price: float) -> None:
    value, cost = case
    solution = solve(value, cost, price=price)
    net = value - price * cost
    assert np.allclose(net[np.arange(value.shape[0]), solution.choice], np.nanmax(net, axis=1))


def test_order_of_prompts_does_not_matter_without_ties() -> None:
    rng = np.random.default_rng(1)
    value, cost = np.sort(rng.random((40, 7)), axis=1), np.sort(rng.random((40, 7)), axis=1)
    order = rng.permutation(40)
    one, other = solve(value, cost, budget=12.0), solve(value[order], cost[order], budget=12.0)
    assert np.array_equal(one.choice[order], other.choice)


def test_equal_prompts_become_a_mix() -> None:
    value = np.tile([0.3, 0.5, 0.6], (100, 1))
    solution = solve(value, [1, 2, 4], budget=230.0, seed=5)
    assert np.bincount(solution.choice).tolist() == [0, 85, 15]
    assert solution.total_cost == 230.0
    assert not np.array_equal(solution.choice, solve(value, [1, 2, 4], budget=230.0, seed=6).choice)


def test_price_of_a_budget_reproduces_the_choice_but_for_what_leftovers_lift() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(0.5, 0.5, size=(500, 1))
    n = np.array([1, 2, 4, 8, 16])
    value = 1 - (1 - p) ** n
    solution = solve(value, n, budget=2000.0)
    again = solve(value, n, price=solution.price)
    assert (solution.choice >= again.choice).all()
    assert 0 < np.count_nonzero(solution.choice != again.choice) < 10


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("limit", ["budget", "target"])
def test_large_batches_agree_with_the_plain_way(
    shared: bool, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    n = np.array([1, 2, 4, 8, 16, 32, 64, 128], dtype=np.float64)
    value = (1 - (1 - rng.beta(0.4, 0.8, size=(20_000, 1))) ** n) * rng.uniform(0.5, 1, size=(20_000, 1))
    cost = n if shared else n * rng.uniform(50, 150, size=(20_000, 1))
    limits = (
        {"budget": float(np.broadcast_to(cost, value.shape)[:, 3].sum())}
        if limit == "budget"
        else {"target": 0.4}
    )
    plain = solve(value, cost, **limits)
    monkeypatch.setattr("policies.solver.steps._LARGE", 1000)
    quick = solve(value, cost, **limits)
    assert np.array_equal(plain.choice, quick.choice)
    assert plain.price == quick.price


def test_large_batches_of_equal_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.solver.steps._LARGE", 1000)
    value = np.tile(np.array([0.3, 0.5, 0.6], dtype=np.float32), (5000, 1))
    solution = solve(value, [1, 2, 4], budget=11_000.0)
    assert np.bincount(solution.choice).tolist() == [0, 4500, 500]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "exactly one"),
        ({"budget": 1.0, "price": 1.0}, "exactly one"),
        ({"budget": math.nan}, "budget must be"),
        ({"price": -1.0}, "price must be"),
        ({"price": math.inf}, "price must be"),
    ],
)
def test_limits_that_cannot_be_meant(limits: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidBudgetError, match=message):
        solve([[0.1, 0.2]], [1, 2], **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "cost", "message"),
    [
        ([[0.1, 0.2]], [1, -2], "every cost must be finite"),
        ([[0.1, 0.2]], [1, math.nan], "every cost must be finite"),
        ([[0.1, math.inf]], [1, 2], "every value must be finite"),
        ([[0.1, -math.inf], [math.nan, 1.0]], [1, 2], "every value must be finite"),
        ([0.1, 0.2], [1, 2], "value must have shape"),
        ([[0.1, 0.2]], [1, 2, 3], "cost must have shape"),
        ([["a", "b"]], [1, 2], "array of numbers"),
    ],
)
def test_arrays_that_cannot_be_meant(value: list[object], cost: list[float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        solve(value, cost, budget=5.0)  # type: ignore[arg-type]


def test_a_prompt_without_any_value_is_an_error() -> None:
    for limits in ({"budget": 5.0}, {"price": 0.1}, {"target": 0.1}):
        with pytest.raises(InvalidBudgetError, match="prompt 1 has no available allocation"):
            solve([[0.1, 0.2], [math.nan, math.nan]], [1, 2], **limits)


def test_no_prompts() -> None:
    assert solve(np.zeros((0, 3)), [1, 2, 3], budget=0.0).choice.shape == (0,)


@pytest.mark.parametrize("n_prompts", [1, 3])
def test_figures_in_messages_work_when_they_are_typed_in(n_prompts: int) -> None:
    value, cost = np.full((n_prompts, 2), 2 / 3), [math.pi, 4.0]
    with pytest.raises(InvalidBudgetError, match="raise it to") as poor:
        solve(value, cost, budget=1.0)
    least = float(re.findall(r"raise it to ([0-9.]+)", str(poor.value))[0])
    assert solve(value, cost, budget=least).total_cost == pytest.approx(n_prompts * math.pi)
    with pytest.raises(InvalidBudgetError, match="cannot be reached") as high:
        solve(value, cost, target=0.9)
    reachable = float(re.findall(r"give ([0-9.]+) on average", str(high.value))[0])
    assert solve(value, cost, target=reachable).total_value == pytest.approx(n_prompts * 2 / 3)
