"""Levels under a budget: chosen by one cost, counted by another, and never above the budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner.planning.levels import Menu
from planner.planning.spend import choose_levels

from difficulty.errors import InvalidBudgetError
from policies.solver.solver import solve


def menu_of(n_prompts: int, n_levels: int = 6, *, seed: int = 0, blunt: bool = False) -> Menu:
    """Return levels that gain less and less; charges differ between prompts by up to nine times."""
    rng = np.random.default_rng(seed)
    cost = np.geomspace(1, 40, n_levels) * rng.uniform(0.5, 2, (n_prompts, 1))
    value = 1 - np.exp(-rng.uniform(0.02, 0.5, (n_prompts, 1)) * cost)
    charge = cost if blunt else cost * rng.uniform(0.3, 2.7, (n_prompts, 1))
    return Menu(
        value=value,
        told=value,
        told_error=np.zeros_like(value),
        cost=cost,
        charge=charge,
        charge_deviation=np.zeros_like(cost),
        option=np.zeros(cost.shape, dtype=np.intp),
        move=np.zeros(cost.shape, dtype=np.intp),
        width=np.ones(cost.shape, dtype=np.int64),
    )


def choose(menu: Menu, **one: float) -> np.ndarray:
    budget, price, target, cap = (one.get(name) for name in ("budget", "price", "target", "cap"))
    return choose_levels(menu, budget=budget, price=price, target=target, cap=cap, seed=0).choice


def charged(menu: Menu, choice: np.ndarray) -> float:
    return float(menu.charge[np.arange(len(choice)), choice].sum())


@settings(deadline=None, max_examples=150)
@given(
    n_prompts=st.integers(1, 30),
    seed=st.integers(0, 1000),
    share=st.floats(0.0, 1.2),
)
def test_charges_never_exceed_the_budget(n_prompts: int, seed: int, share: float) -> None:
    menu = menu_of(n_prompts, seed=seed)
    least, most = menu.charge.min(axis=1).sum(), menu.charge.max(axis=1).sum()
    budget = least + share * (most - least)
    assert charged(menu, choose(menu, budget=budget)) <= budget * (1 + 1e-9)


def test_a_budget_below_the_least_charge_is_refused_with_that_charge() -> None:
    menu = menu_of(20)
    least = menu.charge.min(axis=1).sum()
    with pytest.raises(InvalidBudgetError) as caught:
        choose(menu, budget=0.9 * least)
    assert caught.value.least == pytest.approx(least)


def test_budgets_are_used_and_choices_are_those_of_one_price() -> None:
    menu = menu_of(400, n_levels=25)
    for budget in (2000.0, 4000.0, 8000.0):
        choice = choose(menu, budget=budget)
        assert charged(menu, choice) > 0.97 * budget
        # What is weighed decides: no other choice is worth more at what this one weighs.
        weighed = float(menu.cost[np.arange(400), choice].sum())
        best = solve(menu.value, menu.cost, budget=weighed * (1 + 1e-9))
        worth = float(menu.value[np.arange(400), choice].sum())
        assert worth >= best.total_value - 0.05


def test_prompts_that_are_charged_little_are_not_preferred() -> None:
    # All gain alike; half are charged a tenth. Choosing by charges would give it all to them.
    cost = np.tile([1.0, 2.0, 4.0, 8.0], (200, 1))
    value = np.tile([0.1, 0.3, 0.4, 0.45], (200, 1))
    cheap = np.arange(200) < 100
    menu = Menu(
        value=value,
        told=value,
        told_error=np.zeros_like(value),
        cost=cost,
        charge=np.where(cheap[:, None], 0.1, 1.0) * cost,
        charge_deviation=np.zeros_like(cost),
        option=np.zeros(cost.shape, dtype=np.intp),
        move=np.zeros(cost.shape, dtype=np.intp),
        width=np.ones(cost.shape, dtype=np.int64),
    )
    choice = choose(menu, budget=330.0)
    given_cheap, given_dear = cost[np.arange(200), choice][cheap], cost[np.arange(200), choice][~cheap]
    assert abs(given_cheap.mean() - given_dear.mean()) < 1.0
    by_charge = solve(menu.value, menu.charge, budget=330.0).choice
    assert cost[np.arange(200), by_charge][cheap].mean() > cost[np.arange(200), by_charge][~cheap].mean() + 2


def test_prices_targets_and_single_beliefs_are_solved_as_they_are() -> None:
    menu, blunt = menu_of(50), menu_of(50, blunt=True)
    bought, reached = (solve(menu.value, menu.cost, price=0.01), solve(menu.value, menu.cost, target=0.6))
    np.testing.assert_array_equal(choose(menu, price=0.01), bought.choice)
    np.testing.assert_array_equal(choose(menu, target=0.6), reached.choice)
    np.testing.assert_array_equal(
        choose(blunt, budget=900.0), solve(blunt.value, blunt.cost, budget=900.0).choice
    )


@pytest.mark.parametrize("share", [0.95, 1.5, 3.0])
def test_caps_hold_while_the_limit_is_searched(share: float) -> None:
    # Charges as menus have them under a cap: at most the cap at every level that is to be had.
    rows, cap, plain = np.arange(60), 12.0, menu_of(60)
    fits = plain.cost <= cap
    capped = np.where(fits, np.minimum(plain.charge, cap), np.maximum(plain.charge, plain.cost))
    menu = replace(plain, charge=capped)
    budget = share * float(np.where(fits, menu.charge, 0.0).max(axis=1).sum())
    choice = choose(menu, budget=budget, cap=cap)
    assert menu.charge[rows, choice].max() <= cap
    assert charged(menu, choice) <= budget * (1 + 1e-9)
    assert menu.charge[rows, choose(menu, budget=budget)].max() > cap, "the cap binds"
