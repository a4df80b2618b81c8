"""Policies of an evaluation are masks over one table: each worked out by brute force on a tiny one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from tiny_bed import COURSES, PRICES, tiny_bed

from policies.course.course import Course, waves
from policies.course.stop import Agreement
from training.evaluation import baselines as base
from training.evaluation.ablations import CHOICE, POOLING, REACTING, TEXT, ablations
from training.evaluation.bed import Played, TestBed
from training.policy.masks import rule_masks
from training.report.names import BEST_RULE

STATIC = [0, 1, 2, 3, 4]


def best_for_all(bed: TestBed, columns: list[int]) -> set[int]:
    """Return the columns that are best for everybody at some of many prices."""
    value, cost = bed.subject.value.mean(axis=0), bed.subject.cost.mean(axis=0)
    prices = np.concatenate([[0.0], np.geomspace(1e-5, 1e3, 4000)])
    return {columns[int((value[columns] - price * cost[columns]).argmax())] for price in prices}


def points(played: Played) -> set[tuple[float, float]]:
    """Return mean cost and value of every point."""
    return set(zip(played.cost.mean(axis=0).round(9), played.value.mean(axis=0).round(9), strict=True))


def expected_points(bed: TestBed, columns: set[int]) -> set[tuple[float, float]]:
    return points(bed.for_all(np.array(sorted(columns))))


def by_hand(bed: TestBed, offered: NDArray[np.bool_], weights: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return what each prompt takes at each price, one by one."""
    choice = np.empty((len(bed), len(PRICES)), dtype=np.intp)
    for level, price in enumerate(PRICES):
        for row in range(len(bed)):
            likes = weights[row] if offered[level].sum() > 1 else np.full(len(weights[row]), 1.0)
            likes = likes / likes.sum()
            worth = likes @ bed.subject.value - price * (likes @ bed.subject.cost)
            choice[row, level] = np.where(offered[level], worth, -np.inf).argmax()
    return choice


def assert_chosen_from(bed: TestBed, chosen: NDArray[np.intp], by_price: NDArray[np.intp]) -> None:
    """Every kept point is what prompts take at some price, and costs rise from one to the next."""
    levels = {tuple(column) for column in by_price.T}
    assert {tuple(column) for column in chosen.T} <= levels
    rows = np.arange(len(bed))[:, None]
    assert np.all(np.diff(bed.believed()[1][rows, chosen].mean(axis=0)) > 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_static_mix_is_the_best_of_one_shot_courses_for_everybody(seed: int) -> None:
    bed = tiny_bed(seed=seed)
    assert points(base.static_mix(bed)) == expected_points(bed, best_for_all(bed, STATIC))


@pytest.mark.parametrize("seed", range(3))
def test_rivals_are_tuned_price_by_price_among_their_own_columns(seed: int) -> None:
    bed = tiny_bed(seed=seed)
    own = {
        "k agree": [0, 3, 5],
        "Adaptive-Consistency": [0, 3, 6],
        "ESC": [0, 3, 7],
        "until 75 % agree": [0, 3, 8],
        "two agree, else another model": [0, 3, 9],
        "one vote of several models": [0, 3, 10],
        BEST_RULE: [*STATIC, 5, 6, 7, 8, 9, 10],
    }
    rivals = base.rivals(bed)
    assert set(rivals) == set(own)
    for name, columns in own.items():
        assert points(rivals[name]) == expected_points(bed, best_for_all(bed, columns)), name


def test_a_rule_that_the_table_does_not_hold_is_no_rival() -> None:
    assert rule_masks(COURSES[:5]) == {}
    masks = rule_masks([*COURSES[:5], Course(steps=waves("small", (1, 1, 1)), stop=Agreement(count=2))])
    assert set(masks) == {"k agree", BEST_RULE}


def test_prompts_take_what_they_believe_in_at_each_price() -> None:
    bed = tiny_bed(seed=3)
    everything = np.ones((len(PRICES), len(COURSES)), dtype=bool)
    assert_chosen_from(bed, bed.chosen(), by_hand(bed, everything, bed.weights))
    order = np.random.default_rng(4).permutation(len(bed))
    assert points(base.placebo(bed, seed=4)) <= points(
        bed.realise(by_hand(bed, everything, bed.weights[order]))
    )


def test_a_policy_never_sees_what_it_is_judged_by() -> None:
    bed = tiny_bed(seed=3)
    measured = bed.measured._replace(value=1 - bed.measured.value, cost=2 * bed.measured.cost)
    other = replace(bed, measured=measured)
    assert_array_equal(bed.chosen(), other.chosen())
    for name in ("Damani greedy, plug-in", "Damani greedy, binned", "Damani greedy, distribution"):
        assert_allclose(base.marginal_greedy(other)[name].cost, 2 * base.marginal_greedy(bed)[name].cost)
    assert_allclose(base.snell_bins(other).value, 1 - base.snell_bins(bed).value)


def test_realised_is_what_was_measured_of_the_choice() -> None:
    bed = tiny_bed()
    choice = bed.chosen()
    played = bed.realise(choice)
    for row, level in ((0, 0), (7, 1), (14, choice.shape[1] - 1)):
        assert played.value[row, level] == bed.measured.value[row, choice[row, level]]
        assert played.cost[row, level] == bed.measured.cost[row, choice[row, level]]


def test_uniform_gives_everybody_the_same_number_of_samples() -> None:
    bed = tiny_bed()
    families = base.uniform(bed)
    assert {name: widths.tolist() for name, (widths, _) in families.items()} == {
        "uniform majority vote, small": [1, 3, 5],
        "uniform majority vote, large": [1, 4],
    }
    assert_array_equal(families["uniform majority vote, large"][1].value, bed.measured.value[:, [3, 4]])


def test_the_same_histogram_is_dealt_to_others() -> None:
    bed = tiny_bed(40)
    rng = np.random.default_rng(0)
    choice = rng.integers(len(COURSES), size=(40, 3))
    bed.measured.value[:] = np.arange(len(COURSES))  # the value tells the course
    dealt = base.random_histogram(bed, choice, seed=1).value
    assert all(Counter(dealt[:, level]) == Counter(choice[:, level]) for level in range(3))
    assert (dealt != choice).any()


def test_bins_expect_what_their_prompts_expect_on_average() -> None:
    bed = tiny_bed(15, seed=5)
    success = bed.subject.references.success().mean(axis=1)
    level = bed.weights @ success
    bins = np.array_split(np.argsort(level, kind="stable"), 5)
    value, cost = bed.believed()
    played = base.snell_bins(bed)
    for at, price in enumerate(PRICES):
        for rows in bins:
            worth = value[rows].mean(axis=0) - price * cost[rows].mean(axis=0)
            best = STATIC[int(worth[STATIC].argmax())]
            assert_array_equal(played.value[rows, at], bed.measured.value[rows, best])


def test_greedy_by_marginal_gain_buys_by_predicted_coverage() -> None:
    bed = tiny_bed(12, seed=6)
    mean = bed.subject.value.mean(axis=0)
    name, columns = ("small", [0, 1, 2]) if mean[[0, 1, 2]].max() > mean[[3, 4]].max() else ("large", [3, 4])
    success = bed.subject.references.success()[:, 0 if name == "small" else 1]
    cost = bed.believed()[1]
    greedy = base.marginal_greedy(bed)
    for row in range(len(bed)):
        p = bed.weights[row].astype(float) @ success
        for level, price in enumerate(PRICES):
            for kind, coverage in (
                ("plug-in", [1 - (1 - p) ** COURSES[c].n for c in columns]),
                (
                    "distribution",
                    [bed.weights[row].astype(float) @ (1 - (1 - success) ** COURSES[c].n) for c in columns],
                ),
            ):
                best = columns[int((np.array(coverage) - price * cost[row, columns]).argmax())]
                found = greedy[f"Damani greedy, {kind}"].value[row, level]
                assert found == bed.measured.value[row, best]


def test_ablations_switch_one_part_off() -> None:
    bed = tiny_bed(seed=7)
    value, cost = bed.subject.value.mean(axis=0), bed.subject.cost.mean(axis=0)
    everything = np.ones((len(PRICES), len(COURSES)), dtype=bool)
    one_shot = np.array([course.one_shot for course in COURSES])
    alone = np.array([len(course.generators) == 1 for course in COURSES])
    owner = np.array([course.generators[0] for course in COURSES])
    found = ablations(bed)
    assert set(found) == {TEXT, REACTING, POOLING, CHOICE}
    assert points(found[TEXT]) <= expected_points(bed, best_for_all(bed, list(range(len(COURSES)))))
    for part, mask in ((REACTING, one_shot), (POOLING, alone)):
        assert points(found[part]) <= points(bed.realise(by_hand(bed, everything & mask, bed.weights)))
    one_model = np.zeros_like(everything)
    for level, price in enumerate(PRICES):
        best = np.where(alone, value - price * cost, -np.inf).argmax()
        one_model[level] = alone & (owner == owner[best])
    assert points(found[CHOICE]) <= points(bed.realise(by_hand(bed, one_model, bed.weights)))


def test_where_nothing_is_left_on_offer_everybody_gets_the_best_of_what_is_left() -> None:
    offered = np.tile(np.arange(len(COURSES)) == 5, (len(PRICES), 1))  # reacts, for everybody
    bed = tiny_bed(offered=offered)
    found = ablations(bed)
    assert set(found) == {REACTING, CHOICE}
    one_shot = [at for at, course in enumerate(COURSES) if course.one_shot]
    assert points(found[REACTING]) <= expected_points(bed, best_for_all(bed, one_shot))
    assert len({tuple(row) for row in found[REACTING].value}) > 1


def test_what_stood_beside_a_lost_offer_is_not_all_that_is_left() -> None:
    """A sample of the small model, offered beside a cascade for a few prompts, was all that was left."""
    offered = np.zeros((len(PRICES), len(COURSES)), dtype=bool)
    offered[:, [0, 5]] = True  # 5 reacts
    n_points = 0
    for seed in range(3):
        bed = tiny_bed(offered=offered, seed=seed)
        one_shot = np.array([course.one_shot for course in COURSES])
        best = [bed.subject.best(one_shot, float(price)) for price in PRICES]
        left = (np.array(best)[:, None] == np.arange(len(COURSES))) | (np.arange(len(COURSES)) == 0)
        found = points(ablations(bed)[REACTING])
        assert found <= points(bed.realise(by_hand(bed, left, bed.weights)))
        n_points += len(found)
    assert n_points > 3


def test_without_the_text_everybody_gets_the_best_of_all_that_is_on_offer_or_static() -> None:
    offered = np.zeros((len(PRICES), len(COURSES)), dtype=bool)
    offered[::2, [5, 9]] = offered[1::2, [6, 10]] = True
    for seed in range(3):
        bed = tiny_bed(offered=offered, seed=seed)
        found = points(ablations(bed)[TEXT])
        assert found <= expected_points(bed, best_for_all(bed, [*STATIC, 5, 6, 9, 10]))


def test_with_one_model_and_nothing_by_text_there_is_nothing_to_switch_off() -> None:
    courses = COURSES[:3]
    bed = tiny_bed(courses=courses, offered=np.tile(np.arange(3) == 1, (len(PRICES), 1)))
    assert ablations(bed) == {}
