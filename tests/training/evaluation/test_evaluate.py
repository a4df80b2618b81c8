"""Evaluation: every baseline with its interval, nothing that was trained on, placebos without a gain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from training.evaluate import evaluate
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import Report
from training.simulated.log import simulated_log


@pytest.fixture(scope="module")
def report(trained: Any) -> Report:
    """Judge the trained bundle on new prompts of the same population, with whole tables in both halves."""
    return evaluate(trained.folder, simulated_log(300, n_samples=16, seed=5), n_bootstrap=300)


def differences(report: Report, policy: str) -> list[tuple[float, float]]:
    rows = report.comparison["at_equal_cost"][policy]
    return [tuple(row["difference_interval"]) for row in rows if row["value"] is not None]


def test_every_baseline_is_there(report: Report) -> None:
    assert {
        OURS,
        STATIC,
        BEST_RULE,
        "Adaptive-Consistency",
        "ESC",
        "k agree",
        "until 75 % agree",
        "two agree, else another model",
        "uniform majority vote, model-0",
        "uniform majority vote, model-1",
        "Snell bins, predicted",
        "Damani greedy, plug-in",
        "Damani greedy, binned",
        "Damani greedy, distribution",
        "random, same histogram",
        "shuffled text",
        "without the text",
        "without reacting to samples",
        "hindsight (half B)",
    } <= set(report.comparison["at_equal_cost"])
    assert set(report.comparison["n_prompts"].values()) == {300}


def test_the_learned_policy_beats_static_where_text_tells_difficulty(report: Report) -> None:
    multiple, (low, high) = report.multiple(0.9)
    assert 1.0 < low <= multiple <= high
    assert all(high >= 0 for _, high in differences(report, OURS))
    assert max(low for low, _ in differences(report, OURS)) > 0


def test_dealing_at_random_does_not_show_the_gain(report: Report) -> None:
    gain = report.rivals["random, same histogram"]["mean_difference"]
    assert gain["interval"][0] > 0


def test_what_did_the_work_is_told_part_by_part(report: Report) -> None:
    assert {"the text", "reacting to samples"} <= set(report.work)
    reacting = report.work["reacting to samples"]["mean_difference"]
    assert reacting["interval"][0] > 0
    assert "What did the work: " in report.verdict


def test_budgets_are_met_and_beliefs_beat_the_constant(report: Report) -> None:
    # The first budget buys the cheapest course of the training prompts, which may cost more here.
    for row in report.budgets[1:]:
        assert row["expected_cost"] <= row["budget"] * (1 + 1e-4)
        assert row["realised_over_budget"] < 1.15
    for row in report.calibration.values():
        assert row["brier"] < row["brier_constant"]
        assert row["crps"] < row["crps_constant"]
        assert row["explained_share"] > 0.3
        assert sum(bin_["n"] for bin_ in row["reliability"]) == 300


def test_promises_are_told_at_every_budget(report: Report) -> None:
    assert [row["budget"] for row in report.promises] == report.comparison["budgets"]
    for row in report.promises:
        told = [fifth["told"] for fifth in row["fifths"]]
        assert told == sorted(told)
        assert abs(row["told"] - row["realised"]) < 0.06


def test_bands_hold_all_prompts_from_easy_to_hard(report: Report) -> None:
    singles = [row["one_sample"] for row in report.bands["bands"]]
    assert len(singles) == 5
    assert singles == sorted(singles, reverse=True)
    for row in report.bands["allocations"]:
        assert_allclose(sum(row["share"].values()), 1.0, atol=1e-3)
        assert len(row["mean_samples_per_band"]) == 5


def test_a_static_bundle_is_even_with_the_static_mix(trained: Any) -> None:
    bundle = trained.bundle
    policy, value = bundle.policy, bundle.table.value.mean(axis=0, dtype=float)
    model = {name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)}
    cost = bundle.table.cost(CostModel(unit=bundle.unit, generators=bundle.generators), model).mean(
        axis=0, dtype=float
    )
    static = np.array([c.one_shot and len(c.generators) == 1 for c in bundle.table.courses])
    worth = np.where(static, value - policy.prices[:, None] * cost, -np.inf)
    offered = worth.argmax(axis=1)[:, None] == np.arange(len(static))
    verdict = [{"deployed": "static mix", "gain": 0.0, "error": 0.0}]
    plain = replace(
        bundle,
        policy=replace(policy, offered=offered),
        deployed=bundle.deployed | static,
        training={**bundle.training, "verdict": verdict},
    )
    report = evaluate(plain, trained.test_log, n_bootstrap=100)
    for row in report.comparison["at_equal_cost"][OURS]:
        assert_allclose(row["difference"], 0, atol=2e-3)
    for row in report.comparison["cost_multiples"][OURS]:
        assert_allclose(row["multiple"], 1, atol=0.02)
    assert report.verdict.startswith("Nothing special pays here")


def test_prompts_that_were_trained_on_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidInputError, match="were trained on"):
        evaluate(trained.bundle, trained.train_log, n_bootstrap=100)


def test_a_log_of_other_generators_is_refused(trained: Any) -> None:
    other = simulated_log(30, n_samples=8, n_generators=1, seed=9)
    with pytest.raises(InvalidInputError, match="model-0, model-1"):
        evaluate(trained.bundle, other, n_bootstrap=100)


def test_few_questions_are_refused_since_their_intervals_tell_nothing(trained: Any) -> None:
    log = simulated_log(9, n_samples=16, seed=5)
    with pytest.raises(InvalidInputError, match="at least 10 test prompts that differ"):
        evaluate(trained.folder, log, n_bootstrap=100)


def test_too_few_replicates_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidInputError, match="at least 100"):
        evaluate(trained.bundle, trained.test_log, n_bootstrap=99)


def test_equal_seeds_give_equal_reports(trained: Any) -> None:
    first, second = (evaluate(trained.bundle, trained.test_log, n_bootstrap=100, seed=4) for _ in range(2))
    assert first.to_json() == second.to_json()
    other = evaluate(trained.bundle, trained.test_log, n_bootstrap=100, seed=5)
    assert other.to_json() != first.to_json()


def test_the_folder_holds_tables_and_figures(trained: Any, tmp_path: Path) -> None:
    report = evaluate(trained.bundle, trained.test_log, tmp_path / "report", n_bootstrap=100)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names >= {"report.json", "report.md", "frontier.png", "allocation.png", "reliability.png"}
    assert (tmp_path / "report" / "report.json").read_bytes() == report.to_json()
    json.loads(report.to_json())
    for name in names:
        if name.endswith(".png"):
            assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_strangers_are_counted_without_a_warning(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    trained.test_log.select([prompt.id for prompt in trained.test_log.prompts[:60]]).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    strange = {line["prompt_id"] for line in lines[:10]}
    for line in lines:
        if line["prompt_id"] in strange:
            line["prompt"] = "\u9019\u662f\u4ec0\u9ebc " + line["prompt"].encode().hex()
    path.write_text("\n".join(map(json.dumps, [header, *lines])))
    report = evaluate(trained.bundle, SampleLog.read(path), n_bootstrap=100)
    assert report.data["n_strange"] == len(strange)
    assert f"{len(strange)} of the prompts, unlike those that were trained on" in report.to_markdown()
