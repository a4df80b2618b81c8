"""The command line from outside: exit codes, streams, files."""

import json
from pathlib import Path

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import COMMANDS, main
from planner.commands.terminal.held_out import held_out
from planner.planner import Planner
from policies.plan.wire import plan_from_json, read_plans


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log whose text tells an easy half from a hard one; ten groups of near-duplicates."""
    rng = np.random.default_rng(0)
    records = []
    for index in range(60):
        easy = index % 2 == 0
        correct = rng.random(6) < (0.9 if easy else 0.2)
        records.append(
            {
                "prompt_id": f"p{index}",
                "prompt": f"Please add {index} and {index + 3}."
                if easy
                else f"Factor {index + 1000} {index}.",
                "group": f"g{index}" if index >= 20 else f"near-{index // 2}",
                "generator": "tiny",
                "samples": [
                    {
                        "answer": "yes" if ok else f"no{rng.integers(4)}",
                        "correct": bool(ok),
                        "output_tokens": 12,
                    }
                    for ok in correct
                ],
            }
        )
    path = tmp_path_factory.mktemp("logs") / "log.jsonl.gz"
    SampleLog.from_records(records, {"tiny": Generator(name="tiny", params=1e6)}).write(path)
    return path


@pytest.fixture(scope="module")
def bundle(log_file: Path) -> Path:
    path = log_file.parent / "policy"
    assert main(["train", str(log_file), "--out", str(path), "--trials", "3"]) == 0
    return path


@pytest.fixture
def prompts_file(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("Please add 1 and 2.\nFactor 1999 7.\nPlease add 3 and 4.\n")
    return path


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_everywhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "Usage: planner" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["train"], "Missing argument"),
        (["train", "missing.jsonl"], "does not exist"),
        (["plan", "missing", "missing.txt", "--budget", "3"], "does not exist"),
        (["train", "{here}", "--unit", "bananas"], "bananas"),
        (["evaluate", "{folder}", "{here}"], "not a policy bundle"),
        (["inspect", "{folder}"], "not a policy bundle"),
        (["train", "{here}"], "line 1"),
        (["split", "{here}", "--train", "a.jsonl", "--test", "b.jsonl"], "line 1"),
    ],
)
def test_bad_input_is_exit_code_2_and_one_message(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "not-a-log.jsonl"
    here.write_text("hello\n")
    filled = [argument.format(here=here, folder=tmp_path) for argument in arguments]
    assert main(filled) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert "Traceback" not in shown.err


def test_train_sets_prompts_aside_and_evaluate_judges_on_them(
    log_file: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert (
        main(["evaluate", str(bundle), str(log_file), "--out", str(out), "--bootstrap", "100", "--json"]) == 0
    )
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    left_out = len(SampleLog.read(log_file)) - report["data"]["n_prompts"]
    assert f"{left_out} prompts were trained on" in shown.err
    train_side, test_side = SampleLog.read(log_file).split(test_fraction=0.4, seed=0)
    assert report["data"]["n_prompts"] == len(test_side)
    assert report["bundle"]["training"]["n_prompts"] == len(train_side)
    assert json.loads((out / "report.json").read_text()) == report
    assert {"report.md", "frontier.png", "allocation.png", "reliability.png"} <= {
        p.name for p in out.iterdir()
    }


def test_train_and_evaluate_fit_a_screen_of_80_columns(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    policy, out = str(tmp_path / "policy"), tmp_path / "report"
    assert main(["train", str(log_file), "--out", policy, "--trials", "1"]) == 0
    trained = capsys.readouterr().out
    assert main(["evaluate", policy, str(log_file), "--out", str(out), "--bootstrap", "100"]) == 0
    evaluated = capsys.readouterr().out
    for screen in (trained, evaluated):
        lines = [line for line in screen.splitlines() if str(tmp_path) not in line]
        assert len(lines) < 24
        assert max(map(len, lines)) <= 80
        assert "…" not in screen
    assert f"All of it: planner inspect {policy}" in trained
    assert str(out / "report.md") in evaluated
    assert "the same N for everybody" in evaluated and "95 % interval" in evaluated
    row = json.loads((out / "report.json").read_text())["uniform"]["rows"][2]
    assert f"{row['value']:.3f}" in evaluated and f"(N ≤ {row['n']})" in evaluated


def test_a_bundle_trained_on_everything_cannot_be_judged_on_the_same_log(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy"
    assert (
        main(["train", str(log_file), "--out", str(path), "--trials", "1", "--test-fraction", "0", "--json"])
        == 0
    )
    made = json.loads(capsys.readouterr().out)
    assert (made["n_test_prompts"], made["training"]["n_prompts"]) == (0, 60)
    assert main(["evaluate", str(path), str(log_file), "--out", str(tmp_path / "report")]) == 2
    assert "trained on all 60 prompts" in capsys.readouterr().err


def test_split_files_train_whole_and_evaluate_whole(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [tmp_path / "train.jsonl", tmp_path / "test.jsonl"]
    arguments = ["split", str(log_file), "--train", str(sides[0]), "--test", str(sides[1]), "--json"]
    assert main([*arguments, "--test-fraction", "0.3", "--seed", "5"]) == 0
    counts = [row["n_prompts"] for row in json.loads(capsys.readouterr().out)["sides"]]
    assert sum(counts) == 60
    groups = [{prompt.group for prompt in SampleLog.read(side).prompts} for side in sides]
    assert not groups[0] & groups[1]
    policy, report = str(tmp_path / "policy"), str(tmp_path / "report")
    assert main(["train", str(sides[0]), "--out", policy, "--trials", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["n_prompts"] == counts[0]
    assert main(["evaluate", policy, str(sides[1]), "--out", report, "--bootstrap", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["n_prompts"] == counts[1]


def test_prompts_of_groups_that_were_trained_on_are_left_out(
    log_file: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = SampleLog.read(log_file)
    train_side, _ = log.split(test_fraction=0.4, seed=0)
    group = next(p.group for p in train_side.prompts if p.group.startswith("near-"))
    twin = {"prompt_id": "twin", "prompt": "Please add 5 and 9.", "group": group, "generator": "tiny"}
    samples = [{"answer": "yes", "correct": True, "output_tokens": 12}] * 6
    extra = SampleLog.from_records([{**twin, "samples": samples}], dict(log.generators))
    SampleLog.merge([log, extra]).write(tmp_path / "more.jsonl")
    arguments = [
        "evaluate",
        str(bundle),
        str(tmp_path / "more.jsonl"),
        "--out",
        str(tmp_path / "r"),
        "--json",
    ]
    assert main([*arguments, "--bootstrap", "100"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["n_prompts"] == len(log) - len(train_side)


def test_a_bundle_knows_all_prompts_that_it_was_trained_on(log_file: Path, bundle: Path) -> None:
    log, loaded = SampleLog.read(log_file), PolicyBundle.load(bundle)
    train_side, test_side = log.split(test_fraction=0.4, seed=0)
    assert all(loaded.was_trained_on(prompt) for prompt in train_side.prompts)
    assert not any(loaded.was_trained_on(prompt) for prompt in test_side.prompts)
    assert held_out(loaded, log) == (test_side, len(train_side), 0)
    assert held_out(loaded, test_side) == (test_side, 0, 0)


def test_a_log_without_answers_or_scores_says_what_accuracy_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {"prompt_id": f"p{i}", "prompt": None, "generator": "g", "n": 8, "n_correct": i % 9}
        for i in range(60)
    ]
    path = tmp_path / "counts.jsonl"
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(path)
    assert main(["train", str(path), "--out", str(tmp_path / "a"), "--trials", "1"]) == 0
    assert "--objective coverage" in capsys.readouterr().err
    coverage = ["train", str(path), "--out", str(tmp_path / "c"), "--trials", "1", "--objective", "coverage"]
    assert main(coverage) == 0
    assert "single samples" not in capsys.readouterr().err
    plans = Planner.load(tmp_path / "c").plan(["x"], price=0.0)
    assert plans[0].allocation.n > 1


def test_generators_of_different_prompts_are_refused_with_what_they_share(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {"prompt_id": f"other{i}", "prompt": f"{i}?", "generator": "other", "n": 8, "n_correct": 4}
        for i in range(60)
    ]
    SampleLog.from_records(records, {"other": Generator(name="other")}).write(tmp_path / "other.jsonl")
    arguments = ["train", str(log_file), str(tmp_path / "other.jsonl"), "--out", str(tmp_path / "policy")]
    assert main([*arguments, "--trials", "1"]) == 2
    said = capsys.readouterr().err
    assert "labelled samples of 0 prompts in common, and 20 are needed" in " ".join(said.split())
    assert "tiny" in said and "other" in said


def test_a_folder_that_holds_other_files_is_refused_before_training(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert main(["train", str(log_file), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "thesis.tex" in said and "trials" not in said
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_exit_code_2(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["train", str(log_file), "--out", str(tmp_path / "file" / "policy")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_plans_go_to_standard_output_and_the_table_to_standard_error(
    bundle: Path, prompts_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", str(bundle), str(prompts_file), "--budget", "40"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    plans = [plan_from_json(line) for line in shown.out.splitlines()]
    assert len(plans) == 3
    assert sum(plan.expected_cost for plan in plans) <= 3 * 40
    assert {plan.unit for plan in plans} == {"output_tokens"}
    assert "budget 40 output tokens per prompt" in " ".join(shown.err.split())
    assert main([*arguments, "--json"]) == 0
    again = capsys.readouterr()
    assert again.out == shown.out
    assert again.err == ""


def test_plans_go_to_a_file_and_the_summary_is_one_document(
    bundle: Path, prompts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plans.jsonl"
    arguments = [
        "plan",
        str(bundle),
        str(prompts_file),
        "--budget",
        "9",
        "--unit",
        "samples",
        "--scope",
        "batch",
    ]
    assert main([*arguments, "--max-per-prompt", "4", "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    plans = read_plans(out)
    assert summary["n_prompts"] == len(plans) == 3
    assert summary["expected_cost"] == pytest.approx(sum(plan.expected_cost for plan in plans))
    assert summary["expected_cost"] <= 9
    assert max(plan.expected_cost for plan in plans) <= 4
    assert sum(row["n_prompts"] for row in summary["allocations"]) == 3
    assert main([*arguments, "--out", str(out)]) == 0
    assert "all" in capsys.readouterr().out


def test_plans_agree_with_the_python_interface(
    bundle: Path, prompts_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(bundle), str(prompts_file), "--price", "0.001"]) == 0
    shown = [plan_from_json(line) for line in capsys.readouterr().out.splitlines()]
    lines = [line for line in prompts_file.read_text().split("\n") if line]
    assert shown == Planner.load(bundle).plan(lines, price=0.001)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give one of"),
        (["--budget", "40", "--price", "1"], "give one of"),
        (["--price", "1", "--max-per-prompt", "3"], "goes with --budget"),
        (["--target-accuracy", "0.5", "--unit", "samples"], "goes with --budget"),
        (["--budget", "-1"], "above 0"),
        (["--budget", "1"], "error: "),
        (["--budget", "40", "--unit", "usd"], "error: "),
        (["--target-accuracy", "1.0"], "error: "),
    ],
)
def test_impossible_requests_are_refused(
    options: list[str], said: str, bundle: Path, prompts_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(bundle), str(prompts_file), *options]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_unused_fields_are_mentioned(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Please add 1 and 2.", "level": 4}\n')
    assert main(["plan", str(bundle), str(path), "--budget", "40", "--json"]) == 0
    assert "does not use: level" in capsys.readouterr().err


def test_inspect_tells_what_a_bundle_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "tiny" in shown and "tiny x1; vote" in shown and "cost in output tokens" in shown
    assert main(["inspect", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policy_bundle"] >= 1


def test_inspect_refuses_a_tampered_bundle(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "policy"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "references.npz").write_bytes(b"changed")
    assert main(["inspect", str(copy)]) == 2
    assert "references.npz" in capsys.readouterr().err


def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warn(*_: object, **__: object) -> None:
        warnings.warn("mind the step", UserWarning, stacklevel=1)

    from planner import cli

    monkeypatch.setattr(cli._planner, "main", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main([]) == 0
    assert capsys.readouterr().err == "warning: mind the step\n"


def test_an_interrupt_is_exit_code_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner import cli

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli._planner, "invoke", interrupt)
    assert main(["inspect", "."]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_plan_reads_the_files_that_run_and_collect_read(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from planner.collection.tasks import read_tasks

    (tmp_path / "q.jsonl").write_text('{"question": "Please add 1 and 2.", "answer": "#### 3"}\n')
    (tmp_path / "q.csv").write_text("problem,answer\nPlease add 1 and 2.,3\nFactor 1999 7.,4\n")
    for name, n in (("q.jsonl", 1), ("q.csv", 2)):
        out = tmp_path / f"{name}.plans"
        assert main(["plan", str(bundle), str(tmp_path / name), "--price", "0.001", "--out", str(out)]) == 0
        ids = [json.loads(line)["prompt_id"] for line in out.read_text().splitlines()]
        assert ids == [prompt.id for prompt in read_tasks(str(tmp_path / name)).prompts] and len(ids) == n
    capsys.readouterr()


def test_help_says_what_each_command_does_without_cutting_it_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS) and "..." not in shown.partition("Commands:")[2]
