"""Costs of one course for all by the length of the question: lines that are found, and lines that are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.prompt import Prompt
from planner.planning.expectation import Expectation, Lengths
from planner.planning.growth import Growth
from policies.cost.cost_model import CostModel
from policies.course.course import Course, waves
from policies.table.table import CourseTable

N_REFERENCES = 400
COURSES = (Course(steps=waves("small", (1,))), Course(steps=waves("small", (8,))))


def priced(unit: str, tokens: np.ndarray, length: np.ndarray) -> Expectation:
    """Price both courses on reference prompts of given lengths, whose samples have so many tokens."""
    table = CourseTable.empty(COURSES, len(length))
    for array in (table.value, table.resent_tokens, table.verifier_tokens, table.cached_tokens):
        array[:] = 0.0
    table.requests[:], table.rounds[:] = 1.0, 1.0
    table.samples[:] = [1.0, 8.0]
    table.output_tokens[:] = tokens[:, None] * table.samples
    return Expectation.of(
        table, CostModel(unit=unit), Lengths(reference={"small": length}, fit={"small": (0.0, 0.25)})
    )


def told(expectation: Expectation, *lengths: float) -> np.ndarray:
    prompts = [Prompt(id=f"p{at}", prompt_tokens=int(length)) for at, length in enumerate(lengths)]
    return expectation.expect_alike(expectation.tokens(prompts))[1]


@pytest.mark.parametrize("unit", ["output_tokens", "total_tokens"])
def test_batches_of_long_and_of_short_questions_are_told_what_they_cost(unit: str) -> None:
    """Whoever is upgraded for the shortness of the question is charged for a short answer."""
    rng = np.random.default_rng(0)
    length = rng.integers(20, 400, size=2 * N_REFERENCES).astype(float)
    tokens = 40 * np.log(length) * rng.gamma(16, 1 / 16, size=len(length))
    seen, new = slice(0, N_REFERENCES), slice(N_REFERENCES, None)
    cost = told(priced(unit, tokens[seen], length[seen]), *length[new])
    came = np.array([1.0, 8.0]) * tokens[new, None] + (unit == "total_tokens") * length[new, None]
    order = length[new].argsort()
    for rows in np.array_split(order, 4):
        assert_allclose(cost[rows].mean(axis=0), came[rows].mean(axis=0), rtol=0.08)
    usual = 8 * tokens[seen].mean()
    assert came[order[:100], 1].mean() < 0.9 * usual  # what all were told before


def test_lines_end_with_the_lengths_and_costs_of_reference_prompts() -> None:
    length = np.linspace(50, 200, N_REFERENCES)
    expectation = priced("output_tokens", np.log(length), length)
    assert_allclose(told(expectation, 1, 50), told(expectation, 50, 50))
    assert_allclose(told(expectation, 10**6), told(expectation, 200))
    assert told(expectation, 1)[0, 0] >= np.log(50) - 1e-6


def test_questions_without_a_length_cost_as_usual() -> None:
    length = np.linspace(50, 200, N_REFERENCES)
    unknown = Prompt(id="neither text nor tokens")
    expectation = priced("samples", np.ones(N_REFERENCES), length)
    assert_allclose(expectation.expect_alike(expectation.tokens([unknown]))[1], [[1.0, 8.0]])
    nowhere = priced("output_tokens", np.log(length), np.full(N_REFERENCES, np.nan))
    assert_allclose(told(nowhere, 60), told(nowhere, 190))


def test_few_or_equally_long_reference_prompts_show_nothing() -> None:
    cost = np.linspace(1, 2, 19)[:, None]
    assert not Growth.of(cost, np.linspace(1, 2, 19)).slope.any()
    assert not Growth.of(np.tile(cost, (2, 1)), np.ones(38)).slope.any()


def test_lines_of_luck_are_shrunk() -> None:
    """Costs that have nothing to do with length leave half of all slopes, and those smaller than fitted."""
    rng = np.random.default_rng(1)
    cost, length = rng.gamma(2, size=(N_REFERENCES, 500)), rng.uniform(0.5, 2, size=N_REFERENCES)
    slope = Growth.of(cost, length).slope
    away = np.log(length) - np.log(length).mean()
    raw = away @ (cost - cost.mean(axis=0)) / (away @ away)
    assert (slope == 0).mean() > 0.5
    assert np.square(slope).mean() < 0.5 * np.square(raw).mean()
