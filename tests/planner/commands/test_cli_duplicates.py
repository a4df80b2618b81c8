"""The command line on logs that hold lines more than once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difficulty.log.sample_log import SampleLog
from planner.cli import main
from training.simulated.log import simulated_log


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """A log of 40 prompts whose first line is there twice, the second time with other labels."""
    path = tmp_path / "log.jsonl"
    simulated_log(40, n_samples=3, n_generators=1).write(path)
    lines = path.read_text().splitlines()
    repeat = json.loads(lines[1])
    for sample in repeat["samples"]:
        sample["correct"] = not sample["correct"]
    path.write_text("\n".join([*lines, json.dumps(repeat)]) + "\n")
    return path


def test_repeats_are_refused_with_the_option_that_helps(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(log_file), "--out", str(tmp_path / "policy"), "--trials", "1"]) == 2
    assert "--on-duplicate first" in capsys.readouterr().err


def test_the_first_of_them_is_trained_judged_and_split_on(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ["--on-duplicate", "first"]
    policy = str(tmp_path / "policy")
    assert main(["train", str(log_file), "--out", policy, "--trials", "1", *first]) == 0
    shown = capsys.readouterr()
    assert "left out: 1 that repeat" in shown.err
    assert f"planner evaluate {policy} {log_file} --on-duplicate first" in shown.out
    report = str(tmp_path / "report")
    assert main(["evaluate", policy, str(log_file), "--out", report, "--bootstrap", "100", *first]) == 0
    sides = [str(tmp_path / "train.jsonl"), str(tmp_path / "test.jsonl")]
    assert main(["split", str(log_file), "--train", sides[0], "--test", sides[1], *first]) == 0
    assert sum(len(SampleLog.read(side)) for side in sides) == 40
