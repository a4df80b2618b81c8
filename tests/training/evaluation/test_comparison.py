"""Comparisons with the reference: itself is exactly even, a planted gain is found, nothing is NaN."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from training.evaluation.bed import Played
from training.evaluation.comparison import QUANTILES, compare, gap_closed, head_to_head
from training.frontier import bootstrap_weights

WEIGHTS = bootstrap_weights(80, n_replicates=200, seed=0)


def course(seed: int = 0, *, cheaper: float = 1.0, better: float = 0.0) -> Played:
    rng = np.random.default_rng(seed)
    cost = np.array([10.0, 20.0, 40.0, 80.0]) * rng.uniform(0.7, 1.3, size=(80, 1))
    value = (
        np.array([0.3, 0.45, 0.55, 0.6]) + 0.1 * rng.normal(size=(80, 1)) + 0.02 * rng.normal(size=(80, 4))
    )
    return Played(cost * cheaper, value + better)


def test_the_reference_against_itself_is_even_without_any_spread() -> None:
    table = compare({"static": course()}, WEIGHTS, reference="static")
    for row in table.at_equal_cost["static"]:
        assert row["difference"] == 0
        assert row["difference_interval"] == [0, 0]
    for row in table.cost_multiples["static"]:
        assert row["multiple"] == 1
        assert row["interval"] == [1, 1]


def test_half_the_cost_is_a_multiple_of_two_at_every_target() -> None:
    table = compare({"static": course(), "half": course(cheaper=0.5)}, WEIGHTS, reference="static")
    assert [row["way_to_plateau"] for row in table.cost_multiples["half"]] == list(QUANTILES)
    for row in table.cost_multiples["half"]:
        assert_allclose([row["multiple"], *row["interval"]], 2, rtol=1e-6)
    assert all(row["difference"] > 0 for row in table.at_equal_cost["half"][:-1])


def test_a_gain_in_value_is_the_difference_at_equal_cost() -> None:
    table = compare({"static": course(), "better": course(better=0.05)}, WEIGHTS, reference="static")
    for row in table.at_equal_cost["better"]:
        assert_allclose(row["difference"], 0.05, atol=1e-6)
        assert_allclose(row["difference_interval"], 0.05, atol=1e-6)


def test_the_dearest_point_is_compared_with_the_static_plateau() -> None:
    table = compare(
        {"static": course(), "beyond": course(cheaper=2, better=0.05)}, WEIGHTS, reference="static"
    )
    most = table.at_most["beyond"]
    assert_allclose([most["difference"], *most["interval"]], 0.05, atol=1e-6)
    assert_allclose(most["value"] - table.plateau["plateau_value"], 0.05, atol=1e-6)
    assert_allclose(most["cost"], 2 * table.plateau["plateau_cost"])


def test_what_never_gets_there_has_multiple_zero() -> None:
    table = compare({"static": course(), "worse": course(better=-0.9)}, WEIGHTS, reference="static")
    for row in table.cost_multiples["worse"]:
        assert (row["multiple"], row["interval"], row["reached"]) == (0, [0, 0], 0)
    best = course().value.mean(axis=0)
    target = best[0] + 0.9 * (best[-1] - best[0])
    missing = table.cost_multiples["worse"][-1]["missing"]
    assert_allclose(missing, target - (best[-1] - 0.9), atol=1e-6)
    assert table.mean_multiples["worse"]["multiple"] is None


def test_how_many_replicates_get_there_is_counted() -> None:
    table = compare({"static": course(), "other": course(7)}, WEIGHTS, reference="static")
    first, top = (WEIGHTS @ course().value[:, at] for at in (0, -1))
    reached = (WEIGHTS @ course(7).value).max(axis=1) >= first + 0.9 * (top - first)
    assert_allclose(table.cost_multiples["other"][-1]["reached"], reached[1:].mean(), atol=1e-4)
    assert table.cost_multiples["static"][-1]["reached"] == 1
    assert table.cost_multiples["static"][-1]["missing"] == 0


def test_multiples_are_averaged_as_ratios() -> None:
    table = compare({"static": course(), "half": course(cheaper=0.5)}, WEIGHTS, reference="static")
    mean = table.mean_multiples["half"]
    assert_allclose([mean["multiple"], *mean["interval"]], 2, rtol=1e-6)
    table = compare({"static": course(), "other": course(7)}, WEIGHTS, reference="static")
    rows = [row["multiple"] for row in table.cost_multiples["other"][1:]]
    if min(rows) > 0:
        assert_allclose(table.mean_multiples["other"]["multiple"], np.prod(rows) ** (1 / 3), rtol=1e-4)


def test_multiples_over_a_rival_are_averaged_in_the_same_way() -> None:
    ours, half = course(), course(cheaper=2.0)
    others = {"twice as dear": half, "itself": ours}
    found = head_to_head(ours, others, WEIGHTS, reference=ours, budgets=[10.0, 20.0])
    for name, times in (("twice as dear", 2.0), ("itself", 1.0)):
        mean = found[name]["mean_multiple"]
        assert_allclose([mean["multiple"], *mean["interval"]], times, rtol=1e-6)
    poor = Played(ours.cost, 0.5 * ours.value)
    found = head_to_head(ours, {"poor": poor}, WEIGHTS, reference=ours, budgets=[20.0])
    assert found["poor"]["mean_multiple"]["multiple"] is None


def test_prompts_that_cannot_be_told_are_left_out_of_that_comparison_alone() -> None:
    some = course(better=0.05)
    value = some.value.copy()
    value[:30, 2] = np.nan
    table = compare(
        {"static": course(), "gaps": Played(some.cost, value), "whole": some}, WEIGHTS, reference="static"
    )
    assert table.n_prompts == {"static": 80, "gaps": 50, "whole": 80}
    # On the prompts that are left, static is played on the same ones: the gain is still the gain.
    for row in table.at_equal_cost["gaps"]:
        if row["value"] is not None:
            assert_allclose([row["difference"], *row["difference_interval"]], 0.05, atol=1e-6)
    alone = compare({"static": course(), "whole": some}, WEIGHTS, reference="static")
    assert alone.at_equal_cost["whole"] == table.at_equal_cost["whole"]
    nothing = Played(some.cost, np.full_like(value, np.nan))
    assert "none" not in compare({"static": course(), "none": nothing}, WEIGHTS, reference="static").frontiers


def test_what_cannot_be_bought_has_no_value_rather_than_a_guess() -> None:
    table = compare({"static": course(), "dear": course(cheaper=3.0)}, WEIGHTS, reference="static")
    rows = table.at_equal_cost["dear"]
    assert rows[0]["value"] is None
    assert rows[-1]["value"] is not None
    assert table.budgets[0] < 30 < table.budgets[-1]


def test_budgets_run_from_the_cheapest_to_the_plateau() -> None:
    table = compare({"static": course()}, WEIGHTS, reference="static")
    reference = course()
    assert_allclose(table.budgets[0], reference.cost.mean(axis=0)[0])
    assert_allclose(table.budgets[-1], reference.cost.mean(axis=0)[-1])
    assert_allclose(np.diff(np.log(table.budgets)), np.log(8) / 4)
    assert_allclose(table.plateau["plateau_value"], reference.value.mean(axis=0)[-1])


def test_one_allocation_only_still_compares() -> None:
    one = Played(np.full((80, 1), 5.0), np.full((80, 1), 0.4))
    table = compare({"static": one, "same": one}, WEIGHTS, reference="static")
    assert table.budgets == [5.0]
    assert all(row["multiple"] == 1 for row in table.cost_multiples["same"])


def test_tables_are_json_without_nan() -> None:
    courses = {"static": course(), "worse": course(better=-0.9), "dear": course(cheaper=9.0)}
    json.dumps(compare(courses, WEIGHTS, reference="static")._asdict(), allow_nan=False)


def test_intervals_hold_a_difference_that_is_real_and_one_that_is_not() -> None:
    table = compare({"static": course(0), "other": course(7)}, WEIGHTS, reference="static")
    middle = table.at_equal_cost["other"][2]
    low, high = middle["difference_interval"]
    assert low < 0 < high


def test_share_of_the_gap_is_none_at_static_half_way_between_and_all_at_the_oracle() -> None:
    static, oracle = course(), course(better=0.2)
    budgets = [15.0, 40.0]
    for ours, share in ((static, 0.0), (course(better=0.1), 0.5), (oracle, 1.0)):
        for row in gap_closed(ours, static, oracle, WEIGHTS, budgets):
            assert_allclose([row["share"], *row["interval"]], share, atol=1e-6)


def test_without_a_gap_there_is_no_share() -> None:
    # The other course is no better on the whole, but is in some replicates.
    for oracle in (course(), course(4)):
        (row,) = gap_closed(course(better=0.01), course(), oracle, WEIGHTS, [20.0])
        assert row["share"] is None
        assert row["interval"] == [None, None]


def test_an_unknown_reference_is_an_error() -> None:
    with pytest.raises(KeyError, match="static"):
        compare({"other": course()}, WEIGHTS, reference="static")


def against(ours: Played, **others: Played) -> dict[str, Any]:
    return head_to_head(ours, others, WEIGHTS, reference=course(), budgets=[20.0, 40.0, 80.0])


def test_others_of_twice_the_cost_have_multiple_two() -> None:
    table = against(course(cheaper=0.5), dear=course(), cheap=course(cheaper=0.25))
    for name, expected in (("dear", 2.0), ("cheap", 0.5)):
        for row in table[name]["cost_multiples"]:
            assert_allclose([row["multiple"], *row["interval"]], expected, rtol=1e-6)
            assert row["both_fail"] is False


def test_differences_are_ours_minus_theirs_and_so_is_their_mean() -> None:
    table = against(course(better=0.05), other=course(better=0.02), dear=course(cheaper=9.0))
    for row in table["other"]["at_equal_cost"]:
        assert_allclose([row["difference"], *row["interval"]], 0.03, atol=1e-6)
    mean = table["other"]["mean_difference"]
    assert_allclose([mean["difference"], *mean["interval"]], 0.03, atol=1e-6)
    assert table["dear"]["at_equal_cost"][0]["difference"] is None
    assert table["dear"]["mean_difference"]["difference"] is None


def test_who_alone_gets_there_is_told_apart_from_nobody() -> None:
    fails = course(better=-0.9)
    rows = against(course(), other=fails)["other"]["cost_multiples"]
    assert all(row["multiple"] is None and not row["both_fail"] for row in rows)
    rows = against(fails, other=course())["other"]["cost_multiples"]
    assert all(row["multiple"] == 0 and not row["both_fail"] for row in rows)
    rows = against(fails, other=fails)["other"]["cost_multiples"]
    assert all(row["both_fail"] and row["interval"] == [None, None] for row in rows)


def test_others_with_gaps_are_met_on_the_prompts_that_both_can_tell() -> None:
    some = course(better=0.05)
    cost = some.cost.copy()
    cost[:30] = np.nan
    for row in against(course(better=0.08), other=Played(cost, some.value))["other"]["at_equal_cost"]:
        assert_allclose([row["difference"], *row["interval"]], 0.03, atol=1e-6)
    assert against(course(), other=Played(np.full_like(cost, np.nan), some.value)) == {}
