"""Fine grids are laid on generators that are best for somebody, and nothing that is best is lost by it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from difficulty.errors import UnknownUnitError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, waves
from policies.table.table import CourseTable
from training.policy import columns
from training.policy.columns import Columns, measure_columns
from training.policy.narrowing import best_first
from training.simulated.log import simulated_log


def table(value: np.ndarray, generators: list[tuple[str, ...]]) -> CourseTable:
    """Courses of one sample of each generator that they name."""
    courses = [
        Course(steps=tuple(step for name in names for step in waves(name, (1,)))) for names in generators
    ]
    made = CourseTable.empty(courses, len(value))
    made.value[:] = value
    return made


def test_who_is_best_at_some_price_comes_first_and_then_who_comes_near() -> None:
    names = [("dear",), ("worse",), ("cheap",), ("cheap", "dear"), ("hopeless",)]
    value = np.tile(np.float32([0.9, 0.6, 0.5, 0.88, 0.1]), (10, 1))
    cost = np.tile(np.float32([10.0, 10.0, 1.0, 4.0, 10.0]), (10, 1))
    ranked = best_first(table(value, names), cost)
    assert set(ranked[:3]) == {("dear",), ("cheap",), ("cheap", "dear")}
    assert ranked[3:] == [("worse",), ("hopeless",)]


def test_who_is_best_by_text_for_some_counts_as_best() -> None:
    names = [("dear",), ("cheap",), ("odd",), ("worse",)]
    value = np.tile(np.float32([0.9, 0.5, 0.1, 0.49]), (60, 1))
    value[:6] = [0.0, 0.0, 1.0, 0.0]
    cost = np.tile(np.float32([10.0, 1.0, 1.0, 1.0]), (60, 1))
    kinds = np.arange(60) < 6
    weights = (kinds[:, None] == kinds).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    assert best_first(table(value, names), cost).index(("odd",)) == 3
    assert best_first(table(value, names), cost, weights).index(("odd",)) < 3


def test_what_is_unknown_of_a_course_does_not_rank_it() -> None:
    value = np.tile(np.float32([0.9, 0.5, np.nan]), (10, 1))
    value[0, 0] = np.nan
    cost = np.tile(np.float32([2.0, 1.0, 0.1]), (10, 1))
    weights = np.full((10, 10), 0.1, dtype=np.float32)
    ranked = best_first(table(value, [("a",), ("b",), ("never",)]), cost, weights)
    assert sorted(ranked) == [("a",), ("b",)]


def measured(most_fine: int, monkeypatch: pytest.MonkeyPatch) -> Columns:
    monkeypatch.setattr(columns, "_MOST_FINE", most_fine)
    log = simulated_log(50, n_samples=6, n_generators=5, seed=1)
    return measure_columns(
        log, CostModel(unit="output_tokens", generators=log.generators), objective="accuracy"
    )


def test_fewer_courses_are_measured_and_nothing_best_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    fine, few = measured(1_000_000, monkeypatch), measured(800, monkeypatch)
    assert set(few.table.courses) < set(fine.table.courses)
    assert len(few.table.courses) < len(fine.table.courses) / 2
    place = {course: at for at, course in enumerate(fine.table.courses)}
    same = [place[course] for course in few.table.courses]
    assert np.allclose(few.value, fine.value[:, same]) and np.allclose(few.cost, fine.cost[:, same])
    worth = [
        (part.value.mean(axis=0) - fine.prices[:, None] * part.cost.mean(axis=0)).max(axis=1)
        for part in (fine, few)
    ]
    assert (worth[0] - worth[1]).mean() < 0.001
    owners = Counter(course.generators for course in few.table.courses)
    assert max(owners.values()) > 3 * np.median(list(owners.values()))


def test_a_unit_that_nothing_can_be_priced_in_is_refused_before_grids_are_narrowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "_MOST_FINE", 1)
    recorded = [
        {"prompt_id": str(at), "generator": "g", "samples": [{"answer": "1", "correct": True}] * 3}
        for at in range(30)
    ]
    log = SampleLog.from_records(recorded, {"g": Generator(name="g")})
    with pytest.raises(UnknownUnitError, match="does not record output_tokens;"):
        measure_columns(log, CostModel(unit="output_tokens", generators=log.generators), objective="accuracy")
