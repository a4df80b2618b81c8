"""The hindsight choice sees one half only, and draws what few samples say towards what is usual."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from policies.menu.curves import CurveTable
from policies.solver.prices import choose_at_prices
from training.evaluation import baselines as base
from training.evaluation.hindsight import half_sizes, hindsight, posterior


@pytest.fixture(scope="module")
def n_even(trained: Any) -> np.ndarray:
    return half_sizes(trained.test_log, trained.bundle.references.generators)


def test_it_chooses_on_one_half_and_is_scored_on_the_other(
    bed: base.TestBed, halves: tuple[CurveTable, CurveTable], n_even: np.ndarray
) -> None:
    even, odd = halves
    course = hindsight(bed, even, odd, n_even)
    blind = hindsight(bed, even, replace(odd, value=1 - odd.value), n_even)
    assert_array_equal(course.cost, blind.cost)
    assert_allclose(course.value, 1 - blind.value)


def test_it_beats_choosing_by_the_half_alone(
    bed: base.TestBed, halves: tuple[CurveTable, CurveTable], n_even: np.ndarray
) -> None:
    even, odd = halves
    columns = np.flatnonzero(~(np.isnan(even.value) | np.isnan(odd.value)).any(axis=0))
    naive = columns[choose_at_prices(even.value[:, columns], bed.cost[:, columns], bed.prices)]
    alone = bed.realise(naive, odd.value)
    course = hindsight(bed, even, odd, n_even)
    worth, of_half = ((item.value - bed.prices * item.cost).mean(axis=0) for item in (course, alone))
    assert (worth - of_half)[bed.prices < 0.01].mean() > 0.03


def test_the_posterior_follows_what_was_right(
    bed: base.TestBed, halves: tuple[CurveTable, CurveTable], n_even: np.ndarray
) -> None:
    even, _ = halves
    success = bed.bundle.references.success().mean(axis=1)
    everything, nothing, unknown = (
        posterior(bed, replace(even, value=np.full_like(even.value, value)), n)
        for value, n in ((1.0, n_even), (0.0, n_even), (0.5, np.zeros_like(n_even)))
    )
    for weights in (everything, nothing, unknown):
        assert_allclose(weights.sum(axis=1), 1)
    assert np.all(everything @ success >= unknown @ success)
    assert np.all(nothing @ success <= unknown @ success)
    prior = bed.bundle.policy.weigher(bed.bundle.references.coordinates)(bed.coordinates)
    assert_allclose(unknown, prior / prior.sum(axis=1, keepdims=True), rtol=1e-5)


def test_half_sizes_count_labelled_samples_at_even_positions(trained: Any, n_even: np.ndarray) -> None:
    assert n_even.shape == (len(trained.test_log.prompts), len(trained.bundle.references.generators))
    assert set(n_even.ravel().tolist()) == {4}
