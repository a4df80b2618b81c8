"""Names that steer terminals or are markup are shown as they are: in tables, errors, JSON and reports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from planner.cli import main
from training.report.markdown import as_text, figure_label
from training.simulated.log import simulated_log

NAMES = {
    "model-0": "\x1b]0;owned\x07\x1b[2J[red]evil[/] :smile: $\\frac$ \u202egnp\x9b31m",
    "model-1": "<img src=x onerror=alert(1)>|`a` [b](javascript:c)\r\n**bold** \ud83d",
}
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "log.jsonl"
    simulated_log(60, n_samples=6, n_generators=2, seed=2).write(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = {**NAMES, "model-1": NAMES["model-1"].replace("\ud83d", "")}
    lines[0]["generators"] = {names[key]: value for key, value in lines[0]["generators"].items()}
    for line in lines[1:]:
        line["generator"] = names[line["generator"]]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_every_command_shows_names_as_they_are(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, report = str(tmp_path / "policy"), tmp_path / "report"
    prompts = tmp_path / "prompts.txt"
    text = next(json.loads(line)["prompt"] for line in log.read_text().splitlines()[1:])
    prompts.write_text(text + "\n")
    plan = ["plan", policy, str(prompts), "--budget", "200"]
    for arguments in (
        ["train", str(log), "--out", policy, "--trials", "2"],
        ["train", str(log), "--out", policy, "--trials", "2", "--json"],
        ["inspect", policy],
        ["inspect", policy, "--json"],
        plan,
        [*plan, "--json"],
        [*plan, "--out", str(tmp_path / "plans.jsonl")],
        ["evaluate", policy, str(log), "--out", str(report)],
    ):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert not STEERS.search(out + err), arguments
        if "--json" in arguments and arguments[0] == "inspect":
            assert set(NAMES.values()) & set(json.loads(out)["generators"])
        elif arguments[0] == "inspect":
            assert "[red]evil[/]" in "".join(out.split())
    text = (report / "report.md").read_text(encoding="utf-8")
    assert not STEERS.search(text)
    assert "<img" not in text and "&lt;img" in text
    table = next(part for part in text.split("## Belief")[1].split("\n\n") if part.startswith("| generator"))
    cells = {line.count(" | ") for line in table.split("\n")}
    assert len(cells - {0}) == 1


def test_errors_and_warnings_steer_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "\x1b[2Jnowhere"
    assert main(["inspect", str(folder)]) == 2
    bad = tmp_path / "log.jsonl"
    bad.write_text(json.dumps({"sample_log": 1, "generators": {"a\x1b[2J": {"temperature": -1}}}) + "\n")
    assert main(["train", str(bad), "--out", str(tmp_path / "policy")]) == 2
    out, err = capsys.readouterr()
    assert "\\x1b[2J" in err
    assert not STEERS.search(out + err)


def test_markdown_and_labels_keep_a_name_on_one_line() -> None:
    shown = as_text(NAMES["model-1"])
    assert (
        shown == "&lt;img src=x onerror=alert(1)&gt;\\|\\`a\\` \\[b\\](javascript:c) \\*\\*bold\\*\\* \\ud83d"
    )
    assert figure_label("a $x$ \x1b[2J\nb") == r"a \$x\$ \x1b[2J b"
    assert as_text("qwen-1.5b/cot_8") == "qwen-1.5b/cot_8"
