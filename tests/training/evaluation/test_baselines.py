"""Baselines do what their names say, on the test side of a trained bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.weight_spec import PolicySpec
from policies.menu.curves import CurveTable
from training.evaluation import baselines as base


def test_uniform_gives_everyone_the_same_width(bed: base.TestBed) -> None:
    courses = base.uniform_courses(bed)
    assert set(courses) == {"uniform majority_vote, model-0", "uniform majority_vote, model-1"}
    columns = [i for i, a in enumerate(bed.curves.allocations) if a.generator == "model-1"]
    assert_array_equal(courses["uniform majority_vote, model-1"].value, bed.curves.value[:, columns])
    assert_array_equal(courses["uniform majority_vote, model-1"].cost, bed.cost[:, columns])


def test_the_static_mix_is_the_hull_of_the_training_prompts(bed: base.TestBed) -> None:
    hull = base.static_hull(bed)
    mean_cost, mean_value = bed.train_cost.mean(axis=0)[hull], bed.bundle.curves.value.mean(axis=0)[hull]
    assert np.all(np.diff(mean_cost) > 0)
    assert np.all(np.diff(mean_value) > 0)
    assert np.all(np.diff(np.diff(mean_value) / np.diff(mean_cost)) <= 1e-12)
    course = base.static_mix(bed)
    assert_array_equal(course.value, bed.curves.value[:, hull])
    # Nothing that everybody could be given lies above it on the training prompts.
    others = np.interp(bed.train_cost.mean(axis=0), mean_cost, mean_value)
    assert np.all(bed.bundle.curves.value.mean(axis=0) <= others + 1e-12)


def test_a_static_policy_buys_hull_allocations_for_everyone(bed: base.TestBed) -> None:
    choice = base.policy_choice(bed, PolicySpec())
    assert (choice == choice[0]).all()
    assert set(choice[0].tolist()) == set(base.static_hull(bed).tolist())


def test_the_course_of_a_policy_is_what_it_chooses(bed: base.TestBed) -> None:
    choice = base.policy_choice(bed, bed.bundle.policy, bed.bundle.deployed)
    course = base.policy_course(bed, bed.bundle.policy, deployed=bed.bundle.deployed)
    for index, level in ((0, 0), (17, 9), (60, 25)):
        assert course.value[index, level] == bed.curves.value[index, choice[index, level]]
        assert course.cost[index, level] == bed.cost[index, choice[index, level]]


def test_a_policy_never_sees_the_samples_of_the_prompt_it_plans(bed: base.TestBed) -> None:
    hidden = replace(bed, curves=replace(bed.curves, value=1 - bed.curves.value))
    for policy in (bed.bundle.policy, PolicySpec(family="bins", n_bins=5)):
        assert_array_equal(base.policy_choice(bed, policy), base.policy_choice(hidden, policy))
    for gain in (base.plug_in, base.distributional, base.binned):
        assert_array_equal(
            base.marginal_greedy(bed, gain=gain).cost, base.marginal_greedy(hidden, gain=gain).cost
        )


def test_other_coordinates_are_used_for_the_placebo(bed: base.TestBed) -> None:
    order = np.arange(len(bed.cost))[::-1]
    placebo = base.policy_course(bed, bed.bundle.policy, coordinates=bed.coordinates[order])
    swapped = base.policy_choice(bed, bed.bundle.policy)[order]
    assert_array_equal(placebo.cost, bed.realise(swapped).cost)


def test_a_random_histogram_deals_the_same_allocations_to_other_prompts(bed: base.TestBed) -> None:
    choice = base.policy_choice(bed, bed.bundle.policy)
    flat = replace(bed, cost=np.tile(np.arange(bed.cost.shape[1], dtype=np.float64), (len(bed.cost), 1)))
    dealt = base.random_histogram(flat, choice, seed=0).cost
    assert_array_equal(np.sort(dealt, axis=0), np.sort(choice.astype(np.float64), axis=0))
    assert (dealt != choice).any()
    assert_array_equal(dealt, base.random_histogram(flat, choice, seed=0).cost)


def test_oracle_bins_see_one_half_only(bed: base.TestBed, halves: tuple[CurveTable, CurveTable]) -> None:
    even, odd = halves
    course = base.oracle_bins(bed, even, odd)
    assert_array_equal(course.cost, base.oracle_bins(bed, even, replace(odd, value=1 - odd.value)).cost)
    worse = base.oracle_bins(bed, replace(even, value=1 - even.value), odd)
    assert (worse.cost != course.cost).any()


def test_plugging_in_the_mean_promises_more_than_the_distribution() -> None:
    weights = np.array([[0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    success, widths = np.array([0.0, 0.8]), np.array([1, 2, 8])
    plugged, real = base.plug_in(weights, success, widths), base.distributional(weights, success, widths)
    assert_allclose(plugged[0], 1 - 0.6**widths)
    assert_allclose(real[0], 0.5 * (1 - 0.2**widths))
    assert np.all(plugged[0, 1:] > real[0, 1:])
    assert_allclose(plugged[1], real[1])


def test_binned_predictions_are_shared_within_a_bin_and_keep_the_mean() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(6, 0.3), size=50).astype(np.float32)
    success, widths = rng.random(6), np.array([1, 4])
    shared = base.binned(weights, success, widths)
    assert len(np.unique(shared[:, 0].round(12))) == 10
    assert_allclose(shared.mean(axis=0), base.distributional(weights, success, widths).mean(axis=0))


def test_greedy_spends_on_the_strongest_family_and_more_as_the_price_falls(bed: base.TestBed) -> None:
    course = base.marginal_greedy(bed, gain=base.distributional)
    columns = [i for i, a in enumerate(bed.curves.allocations) if a.generator == "model-1"]
    assert np.isin(course.cost, bed.cost[:, columns]).all()
    assert np.all(np.diff(course.cost.mean(axis=0)) >= 0)
