"""``planner savings``: one screen of 80 columns, JSON for programs, exit code 2 for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli import main
from planner.commands.tables.savings import message
from training.savings.savings import Savings
from training.simulated.log import simulated_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("savings") / "log.jsonl"
    simulated_log(120, n_samples=8, n_generators=3, seed=1).write(path)
    return path


def test_the_next_command_is_in_the_unit_that_was_asked_for(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["savings", str(log), "--unit", "samples", "--bootstrap", "200"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: planner train {log} --unit samples"


def test_a_log_that_is_too_small_to_train_on_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next command refused it: of 30 prompts 12 are set aside, and 20 are needed."""
    small = tmp_path / "small.jsonl"
    simulated_log(30, n_samples=8, n_generators=3, seed=1).write(small)
    assert main(["savings", str(small), "--bootstrap", "200"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Next: record 34 prompts or more, then planner train {small}"


def test_all_is_on_one_screen_of_80_columns(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["savings", str(log), "--n", "7", "--bootstrap", "200"]) == 0
    screen = capsys.readouterr().out
    *lines, last = screen.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "…" not in screen
    assert last == f"Next: planner train {log}"
    for words in (
        "7 samples of model-",
        "for everybody",
        "output tokens per prompt",
        "stopping early",
        "95 %",
    ):
        assert words in screen
    assert "Collecting these 2,880 samples cost" in screen


def test_programs_get_the_same_as_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["savings", str(log), "--unit", "flops", "--bootstrap", "200", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["unit"] == "flops"
    assert found["ways"][-1]["name"] == "all together"
    assert set(found["collecting"]) == {"cost", "repaid_after", "repaid_after_interval"}


def test_a_log_of_one_sample_of_one_model_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated_log(30, n_samples=1, n_generators=1).write(tmp_path / "log.jsonl")
    assert main(["savings", str(tmp_path / "log.jsonl")]) == 2
    assert "needs at least 2 labelled samples" in capsys.readouterr().err


def test_one_sample_each_of_several_models_is_told_and_what_it_cannot_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"q{i},{name},{int(i % 3 > 0)},{size}" for i in range(40) for name, size in (("a", 40), ("b", 10))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,model,correct,tokens", *rows]))
    log = str(tmp_path / "log.jsonl")
    assert main(["import", str(tmp_path / "t.csv"), "--out", log]) == 0
    assert main(["savings", log, "--generator", "a"]) == 0
    screen = " ".join(capsys.readouterr().out.split())
    assert "The same accuracy would have cost 10: 75 % less [75 %, 75 %]" in screen
    assert "this log cannot tell: that needs answers or scores" in screen
    assert main(["savings", log, "--objective", "coverage", "--generator", "a"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: planner train {log} --objective coverage"


def test_a_single_way_is_told_where_all_together_never_gets_there() -> None:
    today = {"generator": "m", "picking": "majority vote", "n": 5, "value": 0.99, "cost": 10.0}
    share = {"cost": 7.0, "saved": 3.0, "saved_share": 0.3, "saved_interval": [2.8, 3.2]}
    ways = [
        {"name": "stopping early", **share, "saved_share_interval": [0.28, 0.32]},
        {"name": "choosing the model", **share, "saved_share": 0.4, "saved_share_interval": [-0.1, 0.5]},
        {"name": "all together", "cost": None, "saved_share": None, "saved_share_interval": [None, None]},
    ]
    data = {"objective": "accuracy", "unit": "samples", "n_samples": 100}
    said = message(Savings(data=data, today=today, ways=ways, collecting={}))
    assert said.endswith(
        "Stopping early alone would have cost 7 for the same accuracy: 30 % less [28 %, 32 %]."
    )
    ways[0]["saved_share_interval"] = [None, 0.32]
    assert "Nothing that this log can show" in message(
        Savings(data=data, today=today, ways=ways, collecting={})
    )
