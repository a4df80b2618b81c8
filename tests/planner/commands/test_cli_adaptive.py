"""``--adaptive`` of `planner plan` and `planner run` and ``--ablations`` of `planner train`, from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from training.adaptive.rivals import RIVALS, SHIPPED

from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from planner.commands.tables.bundle import ladder_table
from planner.ports.outcome_wire import outcome_from_json
from policies.plan.wire import read_plans
from training.simulated.log import simulated_log


def test_plans_that_react_are_planned_and_run(
    reacting: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "log.jsonl.gz", tmp_path / "plans.jsonl"
    reacting.test_log.write(log)
    asked = [str(reacting.folder), str(log), "--budget", "200", "--adaptive"]
    assert main(["plan", *asked, "--out", str(out)]) == 0
    plans = read_plans(out)
    assert len(plans) == len(reacting.test_log.prompts)
    assert all("level" in plan.allocation.parameters and plan.cost_interval for plan in plans)
    assert "Plans for 80 prompts" in capsys.readouterr().out
    outcomes = tmp_path / "outcomes.jsonl"
    replay = ["--backend", "replay", "--log", str(log), "--out", str(outcomes), "--json"]
    assert main(["run", *asked, *replay]) == 0
    lines = [outcome_from_json(line) for line in outcomes.read_bytes().splitlines()]
    spent = sum(float(outcome.cost or 0.0) for outcome in lines)
    assert 0.9 * 200 * len(lines) < spent <= 200 * len(lines)
    assert json.loads(capsys.readouterr().out)["n_prompts"] == len(lines)


def test_bundles_that_cannot_react_are_refused(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("What is 6 times 7?\n")
    assert main(["plan", str(trained.folder), str(prompts), "--budget", "200", "--adaptive"]) == 2
    assert "no adaptive policy" in capsys.readouterr().err


def test_ablations_are_fitted_on_demand_and_shown_with_the_rivals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, bundle = tmp_path / "log.jsonl.gz", tmp_path / "policy"
    simulated_log(60, n_samples=6, n_generators=1, seed=2).write(log)
    fit = ["train", str(log), "--trials", "1", "--out"]
    assert main([*fit, str(bundle), "--ablations"]) == 0
    ablations = {f"adaptive, no {part}" for part in ("prior", "futility", "routing")}
    # One generator alone: nothing to escalate to.
    others = {*RIVALS, *SHIPPED[:2]}
    assert set(PolicyBundle.load(bundle).rivals) == {*others, *ablations}
    capsys.readouterr()
    report = ["--bootstrap", "100", "--out", str(tmp_path / "report")]
    assert main(["evaluate", str(bundle), str(log), *report]) == 0
    shown = capsys.readouterr().out
    assert "best of the tuned rules" in shown
    assert "adaptive, no futility" in shown.split("over the adaptive policy's")[1]
    assert "loses to hindsight" in shown
    assert main([*fit, str(tmp_path / "plain")]) == 0
    assert set(PolicyBundle.load(tmp_path / "plain").rivals) == others


def test_inspect_shows_what_plans_that_react_do(
    reacting: Any, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(reacting.folder)]) == 0
    shown = capsys.readouterr().out.partition("Plans that react")[2]
    table = PolicyBundle.load(reacting.folder).adaptive
    assert table is not None
    last = len(table.policy.prices) - 1
    for level in (0, last):
        assert f"{table.value[:, level].mean():.3f}" in shown
    assert "ValueRule" in shown
    assert main(["inspect", str(trained.folder)]) == 0
    assert "Plans that react" not in capsys.readouterr().out


def test_a_single_sample_has_no_vote_to_weigh(reacting: Any) -> None:
    bundle = PolicyBundle.load(reacting.folder)
    assert bundle.adaptive is not None
    shown = ladder_table(bundle)
    columns = {str(column.header): list(column.cells) for column in shown.columns}
    singles = [str(text).startswith("1 of") and "then" not in str(text) for text in columns["draws at most"]]
    assert True in singles
    assert False in singles
    assert [text == "–" for text in columns["votes count"]] == singles
