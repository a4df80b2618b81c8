"""``planner train``, ``inspect``, ``evaluate`` and ``run`` with a learned verifier, from outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from planner.ports.outcome_wire import outcome_from_json


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wrong answers mostly agree, so the vote fails; log-probability tells them apart."""
    rng = np.random.default_rng(5)
    records = []
    for index in range(100):
        right = rng.random(8) < rng.uniform(0.1, 0.6)
        logprobs = np.minimum(-3 + 1.2 * right + 0.5 * rng.standard_normal(8), 0.0)
        samples = [
            {
                "answer": "right" if ok else f"wrong-{int(rng.random() < 0.2)}",
                "correct": bool(ok),
                "mean_logprob": float(value),
                "output_tokens": 10,
            }
            for ok, value in zip(right, logprobs, strict=True)
        ]
        records.append({"prompt_id": f"p{index}", "generator": "tiny", "gold": "right", "samples": samples})
    path = tmp_path_factory.mktemp("log") / "log.jsonl.gz"
    SampleLog.from_records(records, {"tiny": Generator(name="tiny")}).write(path)
    return path


@pytest.fixture(scope="module")
def bundle(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    main(["train", str(log), "--out", str(folder), "--trials", "2", "--unit", "samples", "--json"])
    return folder


def run(bundle: Path, log: Path, out: Path, *more: str) -> int:
    options = ["--backend", "replay", "--log", str(log), "--budget", "4", "--unit", "samples", "--json"]
    return main(["run", str(bundle), str(log), "--out", str(out), *options, *more])


def test_training_and_inspecting_say_what_it_is_worth(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(log), "--out", str(tmp_path / "b"), "--trials", "1"]) == 0
    assert "score that training learned picks better answers than the vote" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["inspect", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "Learned scores" in shown and "by learned" in shown


def test_scores_that_could_not_be_compared_make_no_empty_table(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = PolicyBundle.load(bundle)
    record = {name: {**row, "selection": []} for name, row in whole.training["learned_verifier"].items()}
    replace(whole, training={**whole.training, "learned_verifier": record}).save(tmp_path / "b")
    assert main(["inspect", str(tmp_path / "b")]) == 0
    assert "Learned scores" not in capsys.readouterr().out


def test_a_plan_that_needs_it_needs_no_option(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "outcomes.jsonl"
    assert run(bundle, log, out) == 0
    summary = json.loads(capsys.readouterr().out)
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    by_it = [one for one in outcomes if one.allocation.parameters.get("verifier") == "learned"]
    assert by_it and all(one.selected_by in ("best_of_n", "weighted_best_of_n") for one in by_it)
    assert all(one.candidates[one.selected or 0].score is not None for one in by_it)
    assert summary["usage"]["verifier_tokens"] == 0 and summary["failures"] == {}


def test_it_can_be_asked_for_by_name(bundle: Path, log: Path, tmp_path: Path) -> None:
    assert run(bundle, log, tmp_path / "a.jsonl", "--verifier", "learned") == 0


def test_training_can_leave_it_out(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--trials", "1", "--unit", "samples", "--no-learned-verifier"]
    assert main(["train", str(log), "--out", str(tmp_path / "b"), *options]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "No score of answers was learned" in shown and "--no-learned-verifier" in shown
    assert not (tmp_path / "b" / "verifiers.json").exists()


def test_a_bundle_without_one_refuses_the_name(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain"
    options = ["--trials", "1", "--objective", "coverage", "--unit", "samples", "--json"]
    assert main(["train", str(log), "--out", str(plain), *options]) == 0
    capsys.readouterr()
    assert run(plain, log, tmp_path / "a.jsonl", "--verifier", "learned") == 2
    assert "no learned verifier here" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a.jsonl").exists()


def test_unknown_names_and_collecting_with_it_are_refused(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, log, tmp_path / "a.jsonl", "--verifier", "clever") == 2
    assert "got 'clever'" in " ".join(capsys.readouterr().err.split())
    collecting = ["collect", str(log), "--out", str(tmp_path / "c.jsonl.gz"), "--samples", "2", "--yes"]
    replayed = ["--backend", "replay", "--log", str(log), "--verifier", "learned"]
    assert main([*collecting, *replayed]) == 2
    assert "comes with a bundle" in " ".join(capsys.readouterr().err.split())


def test_evaluating_reports_it_on_prompts_that_were_set_aside(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle), str(log), "--out", str(tmp_path), "--bootstrap", "200"]) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "report.json").read_bytes())
    row = report["learned_verifier"]["tiny"]
    assert row["offered"] in ("best_of_n", "weighted_best_of_n")
    assert [one["n"] for one in row["selection"]] == [2, 4, 8]
    gain, (low, high) = row["selection"][1]["gain_best_of_n"]
    assert low <= gain <= high and gain > 0
    assert "## Picking by a learned verifier" in (tmp_path / "report.md").read_text()
