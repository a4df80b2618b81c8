"""Messages of the command line that name what is wrong, in the words of who asked, and what helps."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
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


@pytest.mark.parametrize("name", ["evaluate", "compare", "demo"])
def test_results_are_not_written_into_a_bundle(
    name: str, log: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(bundle.iterdir())
    reads = {"evaluate": [str(bundle), str(log)], "compare": [str(log)]}.get(name, [])
    assert main([name, *reads, "--out", str(bundle)]) == 2
    told = capsys.readouterr().err
    assert told == f"error: {bundle} is a bundle, and holds nothing else; choose another folder\n"
    assert sorted(bundle.iterdir()) == before


def test_a_training_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    simulated_log(3, n_samples=2).write(tmp_path / "few.jsonl")
    assert (
        main(["train", str(tmp_path / "few.jsonl"), "--out", str(tmp_path / "policy"), "--trials", "1"]) == 2
    )
    assert not (tmp_path / "policy").exists()


def test_too_few_prompts_after_the_split_say_that_others_were_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated_log(30, n_samples=4, seed=1).write(tmp_path / "log.jsonl")
    command = ["train", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "policy"), "--trials", "1"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "only 18 prompts of the train side" in told
    assert "--test-fraction; 0 trains on all" in told
    assert main([*command, "--test-fraction", "0"]) == 0


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


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle and its log, without token counts and without the name of a model."""
    rng = np.random.default_rng(0)
    records = [
        {
            "prompt_id": f"q{i}",
            "prompt": f"What is {i} plus {i * i}?",
            "generator": "tiny",
            "samples": [{"answer": str(n), "correct": n == 0} for n in rng.integers(0, 2, 4).tolist()],
        }
        for i in range(24)
    ]
    folder = tmp_path_factory.mktemp("bare")
    SampleLog.from_records(records, {"tiny": Generator(name="tiny")}).write(folder / "log.jsonl")
    train = ["train", str(folder / "log.jsonl"), "--out", str(folder / "policy"), "--trials", "1"]
    assert main([*train, "--test-fraction", "0"]) == 0
    return folder / "policy", folder / "log.jsonl"


def test_a_log_without_tokens_replays_under_a_budget_in_samples(
    bare: tuple[Path, Path], tmp_path: Path
) -> None:
    policy, log, out = *bare, tmp_path / "out.jsonl"
    run = ["run", str(policy), str(log), "--backend", "replay", "--log", str(log), "--out", str(out)]
    assert main([*run, "--budget", "2", "--json"]) == 0
    assert len(out.read_text().splitlines()) == 24


def test_a_batch_whose_model_nobody_named_says_which_option_names_it(
    bare: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["plan", *map(str, bare), "--budget", "2", "--out", str(tmp_path / "batch.jsonl")]
    assert main([*plan, "--out-format", "openai-batch"]) == 2
    assert "--model tiny=NAME" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_log_with_scores_replays_plans_that_pick_by_them(tmp_path: Path) -> None:
    log, policy, out = tmp_path / "log.jsonl", tmp_path / "policy", tmp_path / "out.jsonl"
    simulated_log(60, n_samples=8, scores=True, seed=1).write(log)
    train = ["train", str(log), "--out", str(policy), "--trials", "1", "--test-fraction", "0"]
    assert main([*train, "--no-learned-verifier"]) == 0
    run = ["run", str(policy), str(log), "--backend", "replay", "--log", str(log), "--out", str(out)]
    assert main([*run, "--budget", "1500", "--json"]) == 0
    assert '"score"' in out.read_text()


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"score": 0.5, "output_tokens": 3}, "--labels verifier), or on the scores as rewards"),
        ({"answer": "4", "output_tokens": 3}, "--labels agreement)"),
    ],
)
def test_a_log_that_nobody_graded_says_what_it_can_be_trained_on(
    sample: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {"prompt_id": f"q{i}", "prompt": f"What is {i * i}?", "generator": "g", "samples": [sample, sample]}
        for i in range(60)
    ]
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(tmp_path / "log.jsonl")
    assert main(["train", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "policy")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_file_without_a_name_is_refused(
    command: str, log: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed = ["--backend", "replay", "--log", str(log)] if command == "run" else []
    assert main([command, str(bundle), str(log), "--budget", "600", *replayed, "--out", ""]) == 2
    assert "the name of a file is empty" in capsys.readouterr().err


@pytest.mark.parametrize("fraction", ["0.4", "0"])
def test_prompts_that_are_all_of_one_group_are_refused_with_a_remedy(
    fraction: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = {"answer": "4", "correct": True}
    records = [
        {
            "prompt_id": f"q{i}",
            "prompt": f"What is {i * i}?",
            "group": "one",
            "generator": "g",
            "samples": [sample],
        }
        for i in range(60)
    ]
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(tmp_path / "log.jsonl")
    command = ["train", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "policy"), "--trials", "1"]
    assert main([*command, "--test-fraction", fraction]) == 2
    assert "record prompts that differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["split", "log.jsonl", "--train", "log.jsonl", "--test", "test.jsonl"],
        ["split", "log.jsonl", "--train", "side.jsonl", "--test", "./side.jsonl"],
        ["import", "log.jsonl", "--out", "log.jsonl"],
        ["plan", "policy", "log.jsonl", "--budget", "600", "--out", "log.jsonl"],
        ["inspect", "policy", "--prompts", "prompts.csv", "--decisions", "prompts.csv"],
    ],
)
def test_no_command_writes_over_what_it_reads(
    command: list[str],
    log: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "log.jsonl").write_bytes(log.read_bytes())
    (tmp_path / "prompts.csv").write_text("id,prompt\n1,What is 6 times 7?\n")
    (tmp_path / "policy").symlink_to(bundle)
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert "name another file" in capsys.readouterr().err
    assert (tmp_path / "log.jsonl").read_bytes() == log.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "policy", "prompts.csv"]


def test_a_replay_without_a_log_names_the_option(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", str(bundle), str(log), "--budget", "600", "--out", str(tmp_path / "out.jsonl")]
    assert main([*run, "--backend", "replay"]) == 2
    assert "the replay backend needs --log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["plan", "policy", "log.jsonl", "--budget", "600", "--out", "policy/manifest.json"], "is a bundle"),
        (["inspect", "policy", "--decisions", "policy/table.csv"], "is a bundle"),
        (["run", "policy", "log.jsonl", "--out", "policy/out.jsonl"], "is a bundle"),
        (["run", "policy", "log.jsonl", "--out", "out.jsonl", "--run-log", "out.jsonl"], "for two outputs"),
        (["run", "policy", "log.jsonl", "--out", "out.jsonl", "--run-log", "log.jsonl"], "is read here"),
    ],
)
def test_no_output_stands_in_a_bundle_or_is_two_at_once(
    command: list[str],
    words: str,
    log: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "log.jsonl").write_bytes(log.read_bytes())
    (tmp_path / "policy").symlink_to(bundle)
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    replayed = ["--budget", "600", "--backend", "replay", "--log", "log.jsonl"]
    assert main([*command, *(replayed if command[0] == "run" else [])]) == 2
    assert words in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "policy"]


def test_a_link_in_a_circle_is_written_over(bundle: Path, log: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert main(["plan", str(bundle), str(log), "--budget", "600", "--out", str(tmp_path / "loop")]) == 0
    assert len((tmp_path / "loop").read_text().splitlines()) == 60


def test_numbers_without_measure_are_refused_at_once(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge, out = str(10**30), str(tmp_path / "out")
    for command in (
        ["train", str(log), "--out", out, "--seed", huge],
        ["evaluate", str(bundle), str(log), "--out", out, "--bootstrap", huge],
        ["savings", str(log), "--bootstrap", huge],
    ):
        assert main(command) == 2
        assert "not in the range" in capsys.readouterr().err
    collect = [
        "collect",
        str(log),
        "--backend",
        "replay",
        "--log",
        str(log),
        "--out",
        f"{out}.jsonl",
        "--yes",
    ]
    assert main([*collect, "--strategy", "beam_search", "--runs", huge]) == 2
    assert "at most 10,000,000 pieces" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_frontier_has_no_more_points_than_there_are(
    bundle: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frontier = ["frontier", str(bundle), str(log), "--json"]
    assert main([*frontier, "--points", "1000"]) == 0
    every = capsys.readouterr().out
    assert main([*frontier, "--points", str(10**30)]) == 0
    assert capsys.readouterr().out == every


def test_a_log_without_answers_and_texts_grades_nothing_and_needs_no_extraction(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines[1:]:
        for sample in line["samples"]:
            sample.pop("answer", None)
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = ["run", str(bundle), str(log), "--budget", "600", "--backend", "replay"]
    run += ["--log", str(tmp_path / "log.jsonl")]
    assert main([*run, "--out", str(tmp_path / "out.jsonl")]) == 1
    shown, noted = capsys.readouterr()
    assert "accuracy  not known" in shown and "neither texts nor answers" in " ".join(shown.split())
    assert "--extract" not in shown + noted


def test_two_plans_of_one_prompt_are_refused(
    bundle: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans, out = tmp_path / "plans.jsonl", tmp_path / "out.jsonl"
    assert main(["plan", str(bundle), str(log), "--budget", "600", "--out", str(plans)]) == 0
    plans.write_text(plans.read_text() + plans.read_text().splitlines()[0] + "\n")
    run = ["run", str(bundle), str(log), "--plans", str(plans), "--backend", "replay", "--log", str(log)]
    assert main([*run, "--out", str(out)]) == 2
    assert "plans.jsonl has two plans for" in " ".join(capsys.readouterr().err.split())
