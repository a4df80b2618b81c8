"""Completions as search-and-learn leaves them: lists in a row, scores of steps, no verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difficulty import SampleLog, read_table
from planner.cli import main

ROWS: list[dict[str, Any]] = [
    {
        "problem": "What is $2 + 2$?",
        "solution": r"It is \boxed{4}.",
        "answer": "4",
        "subject": "Prealgebra",
        "level": 1,
        "unique_id": "test/prealgebra/1.json",
        "completions": [r"So it is \boxed{4}.", r"So it is \boxed{5}.", "I do not know."],
        "scores": [[0.9, 0.8], [0.7, 0.2], [0.1]],
        "pred": r"So it is \boxed{4}.",
        "completion_tokens": [9, 10, 5],
        "agg_scores": [0.8, 0.2, 0.1],
        "pred_weighted@1": r"\boxed{4}",
        "pred_maj@1": r"\boxed{4}",
    },
    {
        "problem": r"What is $\frac{1}{2} + \frac{1}{4}$?",
        "solution": r"It is \boxed{\frac{3}{4}}.",
        "answer": r"\frac{3}{4}",
        "subject": "Prealgebra",
        "level": 1,
        "unique_id": "test/prealgebra/2.json",
        "completions": [r"\boxed{0.75}", r"\boxed{\dfrac{3}{4}}", r"\boxed{1}"],
        "scores": [[0.9], [0.8], [0.3]],
        "pred": r"\boxed{0.75}",
        "completion_tokens": [4, 8, 4],
        "agg_scores": [0.9, 0.8, 0.3],
        "pred_weighted@1": r"\boxed{0.75}",
        "pred_maj@1": r"\boxed{0.75}",
    },
]


@pytest.fixture
def completions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "best_of_n_completions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_answers_are_found_in_the_completions_and_judged_by_the_right_one(
    completions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["import", completions.name, "--extract", "boxed", "--grade", "boxed", "--generator", "llama-1b"]
    assert main([*asked, "--out", "log.jsonl.gz"]) == 0
    told = capsys.readouterr().err
    assert "gold           <- answer" in told and "text           <- completions" in told
    assert "answer         <- pred" not in told
    assert "not used: solution, subject, level, pred, agg_scores" in told
    log = SampleLog.read("log.jsonl.gz")
    pool = log.pool("llama-1b")
    assert pool.correct.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert pool.output_tokens.tolist() == [[9, 10, 5], [4, 8, 4]]
    first, _, third = log.samples("test/prealgebra/1.json", "llama-1b")
    assert (first.answer, first.score, first.step_scores) == ("4", 0.8, (0.9, 0.8))
    assert third.answer is None and third.text == "I do not know."


def test_without_ways_to_find_and_judge_nothing_is_made_up(completions: Path) -> None:
    log = read_table(completions)
    assert not log.counts().n.any() and not log.has_answers
    found = read_table(completions, extract=lambda text: text[-3:-1], grade=lambda answer, gold: gold == "4")
    assert found.counts().n_correct.tolist() == [[3], [0]]


def test_tokens_of_searches_that_nobody_counted_are_not_known(completions: Path) -> None:
    completions.write_text(json.dumps(ROWS[0] | {"completion_tokens": -1}) + "\n")
    assert not read_table(completions).has_tokens
