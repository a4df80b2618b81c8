"""``planner plan`` writes batches and rollouts, one-shot, and refuses what does not go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    rows = [f"{n},Add up {n} + {n + 1}.,{2 * n + 1}" for n in range(6)]
    (tmp_path / "p.csv").write_text("\n".join(["id,question,answer", *rows]) + "\n")
    return "p.csv"


def test_a_batch_is_written_for_the_models_of_the_generators(
    trained: Any, prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["plan", str(trained.folder), prompts, "--price", "1e-4", "--out", "batch.jsonl"]
    asked += ["--out-format", "openai-batch"]
    assert main([*asked, "--model", "model-0=a", "--model", "model-1=b"]) == 0
    files = sorted(Path().glob("batch*.jsonl"))
    assert files and all(file.name in capsys.readouterr().out or len(files) > 1 for file in files)
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {line["body"]["model"] for line in lines} <= {"a", "b"}
    assert {line["custom_id"].split("#")[0] for line in lines} == set("012345")
    assert main([*asked, "--model", "model-9=a"]) == 2
    assert "give GENERATOR=NAME, with a generator of model-0, model-1" in capsys.readouterr().err


def test_answers_are_selected_from_what_a_batch_brought_back(trained: Any, prompts: str) -> None:
    asked = ["plan", str(trained.folder), prompts, "--budget", "150"]
    assert main([*asked, "--one-shot", "--out", "plans.jsonl"]) == 0
    models = ["--model", "model-0=a", "--model", "model-1=b"]
    assert main([*asked, "--out", "batch.jsonl", "--out-format", "openai-batch", *models]) == 0
    files = [str(file) for file in sorted(Path().glob("batch*.jsonl"))]
    requests = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    results = []
    for request in requests:
        choice = {"message": {"role": "assistant", "content": "It is 7"}, "finish_reason": "stop"}
        n = request["body"].get("n", 1)
        body = {"choices": [choice] * n, "usage": {"prompt_tokens": 5, "completion_tokens": 3 * n}}
        results.append({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}})
    Path("results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    assert main(["import", *files, "results.jsonl", "--extract", "number", "--out", "drawn.jsonl"]) == 0
    run = ["run", str(trained.folder), prompts, "--plans", "plans.jsonl", "--out", "outcomes.jsonl"]
    assert main([*run, "--backend", "replay", "--log", "drawn.jsonl", "--extract", "number"]) == 0
    outcomes = [json.loads(line) for line in Path("outcomes.jsonl").read_text().splitlines()]
    assert [outcome["answer"] for outcome in outcomes] == ["7"] * 6
    drawn = sum(request["body"].get("n", 1) for request in requests)
    assert sum(outcome["usage"]["samples"] for outcome in outcomes) == drawn


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
def test_rollouts_are_written_with_their_numbers(trained: Any, prompts: str, name: str) -> None:
    pandas = pytest.importorskip("pandas")
    asked = ["plan", str(trained.folder), prompts, "--budget", "200", "--out", name]
    assert main([*asked, "--out-format", "rollouts"]) == 0
    frame = pandas.read_parquet(name) if name.endswith("parquet") else pandas.read_json(name, lines=True)
    assert (
        len(frame) == 6 and frame["rollout.n"].min() >= 1 and list(frame["answer"].astype(int))[:2] == [1, 3]
    )


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_plans_are_written_as_a_table_for_other_tools(
    trained: Any, prompts: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pandas = pytest.importorskip("pandas")
    asked = ["plan", str(trained.folder), prompts, "--budget", "200"]
    assert main([*asked, "--out", name, "--out-format", "table"]) == 0
    assert f"Table: {name}" in capsys.readouterr().out
    frame = pandas.read_parquet(name) if name.endswith("parquet") else pandas.read_csv(name)
    assert main([*asked, "--out", "plans.jsonl"]) == 0
    plans = [json.loads(line) for line in Path("plans.jsonl").read_text().splitlines()]
    assert [str(one) for one in frame["prompt_id"]] == [plan["prompt_id"] for plan in plans]
    assert list(frame["expected_cost"]) == [plan["expected_cost"] for plan in plans]
    assert next(iter(frame["prompt"])) == "Add up 0 + 1." and list(frame["gold"].astype(int))[:2] == [1, 3]


def test_prompts_that_repeat_a_text_are_said(
    trained: Any, prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("twice.csv").write_text("question,model\nWhat is 6 times 7?,a\nWhat is 6 times 7?,b\nHow many?,a\n")
    asked = ["plan", str(trained.folder), "twice.csv", "--price", "1e-4", "--out", "plans.jsonl"]
    assert main(asked) == 0
    assert "note: 1 of 3 prompts repeat the text of another one" in capsys.readouterr().err
    assert main([*asked[:2], prompts, *asked[3:]]) == 0
    assert "repeat the text" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "t.json", "--out-format", "table"], "written as .csv or .parquet; got t.json"),
        (["--out", "plans.csv"], "name the file plans.jsonl; a table plans.csv for other tools"),
        (["--out-format", "rollouts"], "--out-format rollouts goes with --out"),
        (["--out", "x.jsonl", "--model", "a=b"], "--model goes with --out-format openai-batch"),
        (["--out", "x.txt", "--out-format", "rollouts"], "written as .parquet or .jsonl; got x.txt"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: list[str], said: str, trained: Any, prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(trained.folder), prompts, "--price", "1e-4", *options]) == 2
    assert said in capsys.readouterr().err
