"""Promises and budgets of plans against what was measured of them, and who gets what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_bed import COURSES, tiny_bed, with_gaps

from policies.choice.telling import Telling
from training.evaluation.allocation import allocation_table, kind_of
from training.evaluation.bed import TestBed
from training.evaluation.comparison import on
from training.evaluation.promises import Planned, budget_rows, promise_rows
from training.frontier import bootstrap_weights

N = 25
WEIGHTS = bootstrap_weights(N, n_replicates=200, seed=0)
SURE = replace(Telling.plain(1), error=np.zeros(2), spread=np.zeros(2))
VAGUE = replace(Telling.plain(1), error=np.full(2, 0.1), spread=np.full(2, 0.2))


def planned(bed: TestBed, *, budget: float = 2.0, off: float = 0.0) -> Planned:
    """Return plans of random courses that promise what is measured, or so much more."""
    rng = np.random.default_rng(1)
    column = rng.integers(len(COURSES), size=len(bed))
    rows = np.arange(len(bed))
    value, cost = bed.measured.value[rows, column], bed.measured.cost[rows, column]
    known = np.where(np.isnan(value), 0.5, value)
    return Planned(budget, column, known + off, np.nan_to_num(cost, nan=1.0), value, cost)


def test_promises_by_fifth_are_sorted_by_what_was_told() -> None:
    bed = tiny_bed(N)
    plan = planned(bed)
    (row,) = promise_rows([plan], WEIGHTS, VAGUE)
    order = np.argsort(plan.told, kind="stable")
    assert [fifth["n_prompts"] for fifth in row["fifths"]] == [5] * 5
    for fifth, rows in zip(row["fifths"], np.split(order, 5), strict=True):
        assert_allclose(fifth["told"], plan.told[rows].mean())
        assert_allclose(fifth["realised"], plan.value[rows].mean())
        assert_allclose(fifth["realised_cost"], plan.cost[rows].mean())
        mask = np.isin(np.arange(N), rows)
        replicates = np.sort((on(WEIGHTS, mask) @ plan.value[mask])[1:])
        assert replicates[0] <= fifth["interval"][0] <= fifth["realised"] <= fifth["interval"][1]
        assert fifth["held"]


def test_a_promise_that_is_far_off_is_not_held() -> None:
    bed = tiny_bed(N)
    sure = replace(bed, measured=bed.measured._replace(value=np.full_like(bed.measured.value, 0.3)))
    (row,) = promise_rows([planned(sure, off=0.06)], WEIGHTS, SURE)
    assert not any(fifth["held"] for fifth in row["fifths"])
    (row,) = promise_rows([planned(sure, off=0.04)], WEIGHTS, SURE)
    assert all(fifth["held"] for fifth in row["fifths"])


def test_a_promise_is_held_by_the_interval_that_was_told_of_its_mean() -> None:
    bed = tiny_bed(N)
    sure = replace(bed, measured=bed.measured._replace(value=np.full_like(bed.measured.value, 0.5)))
    (row,) = promise_rows([planned(sure, off=0.1)], WEIGHTS, VAGUE)
    # All err together by .1, and each of five by .2 besides: 1.96 × √(.1² + .2² / 5).
    for fifth in row["fifths"]:
        assert fifth["told_interval"] == pytest.approx([0.6 - 0.2629, 0.6 + 0.2629], abs=1e-3)
        assert fifth["held_as_told"] and not fifth["held"]
        # What comes does not vary, so that right promises are off by their shared error alone.
        assert fifth["chance"] == pytest.approx(0.38, abs=0.1)
    assert row["told_interval"][0] == pytest.approx(0.6 - 1.96 * np.hypot(0.1, 0.04), abs=1e-3)


def test_right_promises_hold_about_as_often_as_is_told() -> None:
    """Twelve hundred prompts whose success is told rightly, forty at a time: .05 is a third of the error."""
    rng, held, chance = np.random.default_rng(0), [], []
    weights = bootstrap_weights(40, n_replicates=200, seed=0)
    for _ in range(30):
        told = rng.uniform(0.2, 0.8, 40)
        value = (rng.random(40) < told).astype(float)
        plan = Planned(1.0, np.zeros(40, dtype=np.intp), told, told, value, told)
        (row,) = promise_rows([plan], weights, SURE)
        held += [fifth["held"] for fifth in row["fifths"]]
        chance += [fifth["chance"] for fifth in row["fifths"]]
    # Of 150 fifths; standard error .02, and intervals of eight prompts are too narrow.
    assert np.mean(chance) == pytest.approx(np.mean(held), abs=0.1)
    assert np.mean(held) < 1


def test_budgets_are_told_both_ways() -> None:
    bed = tiny_bed(N)
    for budget in (0.5, 50.0):
        plan = planned(bed, budget=budget)
        (row,) = budget_rows([plan], bed, WEIGHTS)
        assert row["realised_over_budget"] == pytest.approx(plan.cost.mean() / budget)
        low, high = row["realised_over_budget_interval"]
        assert low < row["realised_over_budget"] < high
        assert (row["realised_over_budget"] > 1) == (budget == 0.5)
        assert row["expected_value"] == pytest.approx(plan.told.mean())


def test_prompts_whose_course_is_not_known_are_left_out_and_counted() -> None:
    whole = tiny_bed(N)
    column = planned(whole).column
    rows = np.flatnonzero(column == column[0])
    bed = with_gaps(whole, rows.tolist(), int(column[0]))
    plan = planned(bed)
    (row,) = budget_rows([plan], bed, WEIGHTS)
    left = np.setdiff1d(np.arange(N), rows)
    assert row["n_prompts"] == len(left)
    assert row["realised_value"] == pytest.approx(plan.value[left].mean())
    (row,) = promise_rows([plan], WEIGHTS, VAGUE)
    assert sum(fifth["n_prompts"] for fifth in row["fifths"]) == len(left)


def test_bands_go_from_easy_to_hard_and_hold_everybody() -> None:
    bed = tiny_bed(N)
    plan = planned(bed)
    table = allocation_table([plan], bed)
    truth = bed.measured.value[:, [0, 3]].mean(axis=1)
    order = np.argsort(-truth, kind="stable")
    samples = np.array([COURSES[column].n for column in plan.column])
    for band, rows, mean in zip(
        table["bands"],
        np.split(order, 5),
        table["allocations"][0]["mean_samples_per_band"],
        strict=True,
    ):
        assert band["one_sample"] == pytest.approx(truth[rows].mean(), abs=1e-4)
        assert band["value"] == pytest.approx(plan.value[rows].mean(), abs=1e-4)
        assert mean == pytest.approx(samples[rows].mean(), abs=1e-3)
    assert sum(table["allocations"][0]["share"].values()) == pytest.approx(1.0, abs=1e-3)


def test_kinds_of_courses_are_named_in_words() -> None:
    assert [kind_of(COURSES[at]) for at in (0, 2, 5, 9, 10)] == [
        "small once",
        "small vote",
        "small vote, stops early",
        "small + large vote, stops early",
        "small + large vote",
    ]
