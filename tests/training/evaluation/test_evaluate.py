"""Evaluation: every baseline with its interval, nothing that was trained on, placebos without a gain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.belief.weight_spec import STATIC
from difficulty.errors import InvalidInputError
from training.evaluate import evaluate
from training.report.report import Report
from training.simulated.log import simulated_log


@pytest.fixture(scope="module")
def report(trained: Any) -> Report:
    """Judge the trained bundle on new prompts of the same population, with whole menus in both halves."""
    return evaluate(trained.folder, simulated_log(400, n_samples=16, seed=5), n_bootstrap=300)


def differences(report: Report, policy: str) -> list[tuple[float, float]]:
    rows = report.comparison["at_equal_cost"][policy]
    return [tuple(row["difference_interval"]) for row in rows if row["value"] is not None]


def test_every_one_shot_baseline_is_there(report: Report) -> None:
    assert {
        "learned",
        "best static mix",
        "uniform majority_vote, model-0",
        "uniform majority_vote, model-1",
        "Snell bins, predicted",
        "Snell bins, oracle (half B)",
        "Damani greedy, plug-in",
        "Damani greedy, binned",
        "Damani greedy, distribution",
        "random, same histogram",
        "shuffled predictor",
        "hindsight choice (half B)",
    } <= set(report.comparison["at_equal_cost"])


def test_the_learned_policy_beats_static_where_text_tells_difficulty(report: Report) -> None:
    multiple, (low, high) = report.multiple(0.75)
    assert 1.0 < low <= multiple <= high
    assert all(high > 0 for _, high in differences(report, "learned"))
    assert max(low for low, _ in differences(report, "learned")) > 0


def test_neither_shuffling_nor_dealing_at_random_shows_the_gain(report: Report) -> None:
    for placebo in ("shuffled predictor", "random, same histogram"):
        assert all(low <= 0 for low, _ in differences(report, placebo))
        row = report.comparison["cost_multiples"][placebo][2]
        assert row["interval"][0] <= 1.0


def test_shares_of_the_oracle_gap_are_given_where_there_is_a_gap(report: Report) -> None:
    rows = report.oracle_gap["per_budget"]
    assert [row["budget"] for row in rows] == report.comparison["budgets"]
    for row in rows:
        assert (row["share"] is None) == (row["interval"] == [None, None])


def test_budgets_are_met_and_beliefs_beat_the_constant(report: Report) -> None:
    # The first budget buys the cheapest allocation of the training prompts, which may cost more here.
    for row in report.budgets[1:]:
        assert row["expected_cost"] <= row["budget"] * (1 + 1e-4)
    for row in report.budgets:
        assert 0.85 < row["realised_over_budget"] < 1.15
    for row in report.calibration.values():
        assert row["brier"] < row["brier_constant"]
        assert row["crps"] < row["crps_constant"]
        assert row["explained_share"] > 0.3
        assert sum(bin_["n"] for bin_ in row["reliability"]) == 400


def test_bands_hold_all_prompts_from_easy_to_hard(report: Report) -> None:
    singles = [row["one_sample"] for row in report.bands["bands"]]
    assert len(singles) == 5
    assert singles == sorted(singles, reverse=True)
    for row in report.bands["allocations"]:
        assert_allclose(sum(row["share"].values()), 1.0, atol=1e-3)
        assert len(row["mean_samples_per_band"]) == 5


def test_a_static_bundle_is_even_with_the_static_mix(trained: Any) -> None:
    bundle = replace(trained.bundle, policy=STATIC, deployed=np.ones_like(trained.bundle.deployed))
    report = evaluate(bundle, trained.test_log, n_bootstrap=100)
    for row in report.comparison["at_equal_cost"]["learned"]:
        assert_allclose(row["difference"], 0, atol=1e-6)
    for row in report.comparison["cost_multiples"]["learned"]:
        assert_allclose([row["multiple"], *row["interval"]], 1, atol=1e-6)


def test_prompts_that_were_trained_on_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidInputError, match="were trained on"):
        evaluate(trained.bundle, trained.train_log, n_bootstrap=100)


def test_a_log_of_other_generators_is_refused(trained: Any) -> None:
    other = simulated_log(30, n_samples=8, n_generators=1, seed=9)
    with pytest.raises(InvalidInputError, match="model-0, model-1"):
        evaluate(trained.bundle, other, n_bootstrap=100)


def test_too_few_replicates_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidInputError, match="at least 100"):
        evaluate(trained.bundle, trained.test_log, n_bootstrap=99)


def test_prompts_with_too_few_samples_are_left_out_and_counted(trained: Any) -> None:
    short = simulated_log(6, n_samples=2, seed=31)
    whole = simulated_log(40, n_samples=8, seed=32)
    report = evaluate(trained.bundle, type(whole).merge([whole, short]), n_bootstrap=100)
    assert report.data["n_prompts"] == 40
    assert report.data["n_left_out"] == 6
    assert "6 left out" in report.to_markdown()


def test_equal_seeds_give_equal_reports(trained: Any) -> None:
    first, second = (evaluate(trained.bundle, trained.test_log, n_bootstrap=100, seed=4) for _ in range(2))
    assert first.to_json() == second.to_json()
    other = evaluate(trained.bundle, trained.test_log, n_bootstrap=100, seed=5)
    assert other.to_json() != first.to_json()


def test_an_adaptive_bundle_shows_its_policy_beside_its_rivals(trained_adaptive: Any) -> None:
    report = evaluate(
        trained_adaptive.folder, simulated_log(60, n_samples=6, n_generators=1, seed=8), n_bootstrap=100
    )
    assert "adaptive" in report.comparison["at_equal_cost"]
    assert len(report.comparison["at_equal_cost"]) > 10
    json.loads(report.to_json())


def test_the_folder_holds_tables_and_figures(trained: Any, tmp_path: Path) -> None:
    report = evaluate(trained.bundle, trained.test_log, tmp_path / "report", n_bootstrap=100)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names >= {"report.json", "report.md", "frontier.png", "allocation.png", "reliability.png"}
    assert (tmp_path / "report" / "report.json").read_bytes() == report.to_json()
    for name in names:
        if name.endswith(".png"):
            assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")
