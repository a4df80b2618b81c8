"""The hull against its definition, and the walk along it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from policies.solver.feasible import Feasible
from policies.solver.hull import cheapest, hull_increments, upper_hull

menus = st.lists(st.tuples(st.integers(0, 8) | st.none(), st.integers(0, 6)), min_size=1, max_size=7).filter(
    lambda points: any(value is not None for value, _ in points)
)


def on_hull(points: list[tuple[float, float]]) -> list[bool]:
    """Say by definition which (value, cost) points are undominated and not below a line."""
    result = []
    for value, cost in points:
        keep = not math.isnan(value)
        for other, price in points:
            if (other > value and price <= cost) or (other == value and price < cost):
                keep = False
        for low, cheap in points:
            for high, dear in points:
                between = cheap < cost < dear
                if between and low + (high - low) * (cost - cheap) / (dear - cheap) > value + 1e-12:
                    keep = False
        result.append(keep)
    return result


@settings(max_examples=200, deadline=None)
@given(points=menus)
def test_hull_is_what_the_definition_says(points: list[tuple[int | None, int]]) -> None:
    values = [math.nan if value is None else value / 8 for value, _ in points]
    costs = [float(cost) for _, cost in points]
    mask = upper_hull([values], costs)[0].tolist()
    expected = on_hull(list(zip(values, costs, strict=True)))
    # Of several equal points one is enough.
    kept = {(values[i], costs[i]) for i, keep in enumerate(mask) if keep}
    assert kept == {(values[i], costs[i]) for i, keep in enumerate(expected) if keep}
    assert sum(mask) == len(kept)


def test_rows_are_independent_of_each_other_and_of_chunks() -> None:
    rng = np.random.default_rng(0)
    value, cost = rng.random((300, 2000)), rng.random((300, 2000))
    value[rng.random(value.shape) < 0.2] = np.nan
    together = upper_hull(value, cost)
    for row in (0, 131, 299):
        assert np.array_equal(together[row], upper_hull(value[row : row + 1], cost[row])[0])


def test_steps_lead_from_the_cheapest_up_with_falling_slope() -> None:
    rng = np.random.default_rng(1)
    value, cost = rng.random((50, 20)), rng.random((50, 20))
    steps = hull_increments(value, cost)
    assert np.allclose(steps.gain, value[steps.prompt, steps.upper] - value[steps.prompt, steps.lower])
    assert np.allclose(steps.cost, cost[steps.prompt, steps.upper] - cost[steps.prompt, steps.lower])
    start = cheapest(value, cost)
    for prompt in range(50):
        mine = steps.prompt == prompt
        if not mine.any():
            assert value[prompt, start[prompt]] == value[prompt].max()
            continue
        lower, upper = steps.lower[mine], steps.upper[mine]
        assert lower[0] == start[prompt]
        assert np.array_equal(lower[1:], upper[:-1])
        assert np.all(np.diff(steps.slope[mine]) <= 0)
        assert value[prompt, upper[-1]] == value[prompt].max()


def test_steps_stay_between_start_and_last() -> None:
    value, cost = np.array([[0.0, 0.5, 0.8, 0.9]]), np.array([[1.0, 2.0, 3.0, 4.0]])
    steps = hull_increments(value, cost, start=np.array([1]), last=np.array([3.0]))
    assert steps.lower.tolist() == [1]
    assert steps.upper.tolist() == [2]


def test_points_on_a_line_stay() -> None:
    assert upper_hull([[0.1, 0.2, 0.3, 0.4]], [0.1, 0.2, 0.3, 0.4]).all()


def test_float32_is_not_copied_and_wrong_shapes_are_refused() -> None:
    value = np.zeros((2, 3), dtype=np.float32)
    assert Feasible.of(value, [1, 2, 3]).value is value
    with pytest.raises(InvalidInputError, match=r"\(2, 3\)"):
        upper_hull(value, [1, 2])
