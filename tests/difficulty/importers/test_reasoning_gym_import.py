"""Results of reasoning-gym's evaluation scripts, of one task and of several, become logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.importers.kind import kind_of
from difficulty.importers.reasoning_gym import read_reasoning_gym
from planner.cli import main


def completion(answer: str | None, score: float) -> dict[str, Any]:
    text = f"<think>so</think><answer>{answer}</answer>"
    return {"model_answer": answer, "full_model_response": text, "score": score}


def question(text: str, gold: str, *completions: dict[str, Any]) -> dict[str, Any]:
    best = max(one.get("score", 0.0) for one in completions)
    return {"question": text, "expected_answer": gold, "best_score": best, "completions": list(completions)}


RESULTS = [
    question("2 + 2?", "4", completion("4", 1.0), completion("5", 0.05), completion(None, 0.0)),
    question("2 + 2?", "4", completion("4", 0.98), {"error": "timeout", "score": 0.0}),
    question("3 + 3?", "6", {"error": "timeout", "score": 0.0}),
]


def one_task(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": "sums", "category": "arithmetic", "results": RESULTS}, indent=1))
    return path


def several_tasks(path: Path, model: str = "tiny") -> Path:
    tasks = [{"name": "sums", "category": "reasoning", "results": RESULTS[:1]}]
    found = {
        "metadata": {"model": model, "temperature": 0.6, "top_p": 0.9, "max_tokens": 1024, "eval_repeats": 3},
        "categories": [{"name": "reasoning", "datasets": tasks}],
    }
    path.write_text(json.dumps(found))
    return path


def test_every_completion_is_a_sample_and_failed_ones_are_counted(tmp_path: Path) -> None:
    path = one_task(tmp_path / "acme_tiny-1b_20250315_163713" / "arithmetic" / "sums.json")
    log = read_reasoning_gym(path)
    pool = log.pool("acme_tiny-1b")
    assert pool.correct[:, :3].tolist() == [[1, 0, 0], [0, -1, -1]]
    assert [prompt.gold for prompt in log.prompts] == ["4", "4"]
    assert log.prompts[0].group == log.prompts[1].group != log.prompts[0].id != log.prompts[1].id
    assert log.about["failed_samples_left_out"] == 2
    assert [one.answer for one in log.samples(log.prompts[0].id, "acme_tiny-1b")] == ["4", "5", None]
    partial = read_reasoning_gym(path, threshold=0.9)
    assert partial.pool("acme_tiny-1b").correct[1].tolist()[0] == 1


def test_a_file_of_several_tasks_names_its_model(tmp_path: Path) -> None:
    log = read_reasoning_gym(several_tasks(tmp_path / "results.json"))
    (generator,) = log.generators.values()
    assert (generator.name, generator.temperature, generator.max_output_tokens) == ("tiny", 0.6, 1024)
    both = [several_tasks(tmp_path / "results.json"), several_tasks(tmp_path / "other.json", "large")]
    assert list(read_reasoning_gym(*both).generators) == ["tiny", "large"]
    assert len(read_reasoning_gym(*both)) == 1  # the same question
    spelled = several_tasks(tmp_path / "c.json", "../models/third")
    spelled.write_text(spelled.read_text().replace('"expected_answer": "4"', '"expected_answer": "4.0"'))
    again = read_reasoning_gym(both[0], spelled)
    assert (list(again.generators), again.prompts[0].gold) == (["tiny", "third"], "4")


def test_what_is_wrong_names_file_and_remedy(tmp_path: Path) -> None:
    path = one_task(tmp_path / "sums.json")
    with pytest.raises(InvalidInputError, match=r"does not say which model .* generator=Generator\(name"):
        read_reasoning_gym(path)
    assert read_reasoning_gym(path, generator=Generator(name="g")).n_samples == 4
    with pytest.raises(InvalidInputError, match=r"has the same content as .*; give one"):
        read_reasoning_gym(path, one_task(tmp_path / "again.json"), generator=Generator(name="g"))
    path.write_text('{"name": "sums", "results": [{"question": "2 + 2?"}]}')
    with pytest.raises(InvalidLogError, match=r"sums\.json: not a file of .*`completions` - at `\$\.results"):
        read_reasoning_gym(path, generator=Generator(name="g"))
    with pytest.raises(InvalidLogError, match="cannot read the file"):
        read_reasoning_gym(tmp_path / "none.json")


def test_the_folder_of_a_run_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "acme_tiny-1b_20250315_163713"
    assert kind_of(one_task(run / "arithmetic" / "sums.json")) == "reasoning_gym"
    assert kind_of(several_tasks(tmp_path / "results.json")) == "reasoning_gym"
    (run / "summary.json").write_text('{"total_datasets": 1}')
    assert main(["import", run.name, "--out", "log.jsonl"]) == 0
    assert list(SampleLog.read("log.jsonl").generators) == ["acme_tiny-1b"]
    assert main(["import", run.name, "--generator", "g", "--threshold", "0.9", "--out", "log.jsonl"]) == 0
    assert list(SampleLog.read("log.jsonl").generators) == ["g"]
