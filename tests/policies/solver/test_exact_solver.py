"""The exact solver beyond the reach of exhaustive search, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.solver.exact_solver import solve_exact
from policies.solver.feasible import Feasible


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_integer_programming(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_prompts, n_allocations = 25, 6
    value = rng.random((n_prompts, n_allocations))
    cost = rng.uniform(1, 5, size=(n_prompts, n_allocations))
    budget = float(0.5 * cost.min(axis=1).sum() + 0.5 * cost.max(axis=1).sum())
    choice = solve_exact(Feasible.of(value, cost), budget)
    rows = np.arange(n_prompts)
    assert cost[rows, choice].sum() <= budget
    one_each = np.kron(np.eye(n_prompts), np.ones(n_allocations))
    optimum = milp(
        -value.ravel(),
        integrality=np.ones(value.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(cost.reshape(1, -1), -np.inf, budget),
        ],
        options={"mip_rel_gap": 0.0},
    )
    assert value[rows, choice].sum() == pytest.approx(-optimum.fun, abs=1e-6)


def test_limits() -> None:
    with pytest.raises(InvalidInputError, match="at most 500 prompts"):
        solve_exact(Feasible.of(np.zeros((501, 1)), [1]), 1000.0)
    with pytest.raises(InvalidBudgetError) as caught:
        solve_exact(Feasible.of([[0.5], [0.5]], [3]), 5.0)
    assert caught.value.least == 6.0
    with pytest.raises(InvalidBudgetError, match="prompt 1"):
        solve_exact(Feasible.of([[0.5], [np.nan]], [3]), 5.0)


def test_infinite_budget_takes_the_best() -> None:
    assert solve_exact(Feasible.of([[0.1, 0.9], [0.8, 0.2]], [1, 2]), np.inf).tolist() == [1, 0]
