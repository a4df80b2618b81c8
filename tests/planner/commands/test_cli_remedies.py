"""Messages of the command line that name what is wrong, in the words of who asked, and what helps."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest

from difficulty.errors import InvalidBudgetError
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from planner.planner import Planner
from policies.cost.budget import Budget
from training.simulated.log import simulated_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("remedies") / "log.jsonl"
    simulated_log(60, n_samples=6, seed=1).write(path)
    return path


@pytest.fixture(scope="module")
def bundle(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "policy"
    assert main(["train", str(log), "--out", str(folder), "--trials", "1", "--json"]) == 0
    return folder


@pytest.mark.parametrize("name", ["train", "savings", "split"])
def test_a_seed_below_zero_is_refused(
    name: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--train", str(tmp_path / "a.jsonl"), "--test", str(tmp_path / "b.jsonl")]
    more = {"train": ["--out", str(tmp_path / "policy")], "split": sides}.get(name, [])
    assert main([name, str(log), *more, "--seed", "-1"]) == 2
    assert "--seed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    simulated_log(3, n_samples=2).write(tmp_path / "few.jsonl")
    assert (
        main(["train", str(tmp_path / "few.jsonl"), "--out", str(tmp_path / "policy"), "--trials", "1"]) == 2
    )
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    ("storage", "words"),
    [([], "with --storage FILE"), (["--storage", "t.log"], "kept in t.log; the same command")],
)
def test_an_interrupted_training_says_how_to_resume(
    storage: list[str],
    words: str,
    log: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("training.train"), "train", interrupt)
    assert main(["train", str(log), "--out", str(tmp_path / "policy"), *storage]) == 130
    assert words in capsys.readouterr().err
    assert not (tmp_path / "policy").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_names_the_file_and_what_helps(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Add up 3 + 4.\n")
    assert main(["plan", str(bundle), str(prompts), "--budget", "400", "--out", "/dev/full"]) == 2
    shown = capsys.readouterr().err
    assert "/dev/full: No space left on device; make room there, or write elsewhere" in shown


def test_a_budget_is_to_be_raised_in_its_own_scope(bundle: Path) -> None:
    planner = Planner(bundle=PolicyBundle.load(bundle))
    prompts = ["Add up 3 + 4.", "Add up 5 + 6 + 7."]
    with pytest.raises(InvalidBudgetError, match="per prompt on average, and the budget is 1;") as each:
        planner.plan(prompts, budget=Budget(limit=1, unit="output_tokens"))
    with pytest.raises(
        InvalidBudgetError, match=r"in all, and the budget is 1; .* plan fewer prompts"
    ) as whole:
        planner.plan(prompts, budget=Budget(limit=1, unit="output_tokens", scope="batch"))
    scopes: tuple[Literal["prompt", "batch"], ...] = ("prompt", "batch")
    for error, scope in zip((each, whole), scopes, strict=True):
        enough = float(str(error.value).split("raise it to ")[1].split(",")[0])
        assert planner.plan(prompts, budget=Budget(limit=enough, unit="output_tokens", scope=scope))
