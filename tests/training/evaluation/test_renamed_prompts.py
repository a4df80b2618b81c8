"""Test prompts that were trained on under other ids, and intervals over near-duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.cli import main
from training.evaluate import evaluate
from training.report.names import OURS


def renamed(
    log: SampleLog, ids: set[str], path: Path, more: Callable[[str], str] = lambda text: f"{text} "
) -> SampleLog:
    """Return a log whose prompts of these ids have others, and by default a space more in their texts."""
    log.write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    for line in lines:
        if line["prompt_id"] in ids:
            line |= {"prompt_id": f"new {line['prompt_id']}", "prompt": more(line["prompt"]), "group": None}
    path.write_text("\n".join(map(json.dumps, [header, *lines])))
    return SampleLog.read(path)


def test_they_are_left_out_and_counted(trained: Any, tmp_path: Path) -> None:
    known = trained.train_log.select([prompt.id for prompt in trained.train_log.prompts[:7]])
    test_log = trained.test_log.select([prompt.id for prompt in trained.test_log.prompts[:60]])
    both = SampleLog.merge([test_log, renamed(known, {p.id for p in known.prompts}, tmp_path / "log.jsonl")])
    report = evaluate(trained.bundle, both, n_bootstrap=100)
    plain = evaluate(trained.bundle, test_log, n_bootstrap=100)
    assert (report.data["n_renamed"], plain.data["n_renamed"]) == (7, 0)
    assert report.data["n_prompts"] == plain.data["n_prompts"]
    assert report.comparison["at_equal_cost"][OURS] == plain.comparison["at_equal_cost"][OURS]
    assert "7 prompts whose text was trained on under another id" in report.to_markdown()


def test_other_words_around_them_do_not_hide_them(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [prompt.id for prompt in trained.train_log.prompts if prompt.text.count("+") >= 5]
    known = trained.train_log.select(long)
    test_log = trained.test_log.select([prompt.id for prompt in trained.test_log.prompts[:46]])
    copies = renamed(
        known,
        {prompt.id for prompt in known.prompts},
        tmp_path / "copies.jsonl",
        lambda text: f"Please, tell me now: {text.upper()} Thanks!",
    )
    assert len(long) > 50
    both = SampleLog.merge([test_log, copies])
    report = evaluate(trained.bundle, both, n_bootstrap=100)
    assert (report.data["n_renamed"], report.data["n_reworded"]) == (0, len(long))
    assert f"{len(long)} prompts that are nearly the same as one that was trained on" in report.to_markdown()
    both.write(tmp_path / "log.jsonl")
    arguments = [str(trained.folder), str(tmp_path / "log.jsonl"), "--bootstrap", "100"]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "report")]) == 0
    assert f"{len(long)} of them under other ids; they are left out" in capsys.readouterr().err


def test_nothing_else_is_refused(trained: Any, tmp_path: Path) -> None:
    known = trained.train_log.select([prompt.id for prompt in trained.train_log.prompts[:7]])
    log = renamed(known, {p.id for p in known.prompts}, tmp_path / "log.jsonl")
    with pytest.raises(InvalidInputError, match="all 7 test prompts were trained on under other ids"):
        evaluate(trained.bundle, log, n_bootstrap=100)


def test_intervals_draw_groups(trained: Any, tmp_path: Path) -> None:
    ids = [prompt.id for prompt in trained.test_log.prompts[:40]]
    test_log = trained.test_log.select(ids)
    copies = renamed(test_log, set(ids), tmp_path / "log.jsonl")
    report = evaluate(trained.bundle, SampleLog.merge([test_log, copies]), n_bootstrap=100)
    assert (report.data["n_near_duplicates"], report.data["n_groups"]) == (80, 40)
    assert "80 of the prompts are nearly the same question" in report.to_markdown()


def test_the_commands_count_them(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [prompt.id for prompt in trained.test_log.prompts[:40]]
    test_log = trained.test_log.select(ids)
    copies = renamed(test_log, set(ids[:5]), tmp_path / "copies.jsonl").select(
        [f"new {name}" for name in ids[:5]]
    )
    SampleLog.merge([test_log, copies]).write(tmp_path / "log.jsonl")
    sides = ["--train", str(tmp_path / "train.jsonl"), "--test", str(tmp_path / "test.jsonl")]
    assert main(["split", str(tmp_path / "log.jsonl"), *sides]) == 0
    assert "10 of 45 prompts are near-duplicates of another one (5 groups" in capsys.readouterr().err
    assert main(["split", str(tmp_path / "log.jsonl"), *sides, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["near_duplicates"] == {"n_prompts": 10, "n_groups": 5}
    one = renamed(test_log, set(ids[:1]), tmp_path / "one.jsonl").select([f"new {ids[0]}"])
    SampleLog.merge([test_log, one]).write(tmp_path / "log.jsonl")
    assert main(["split", str(tmp_path / "log.jsonl"), *sides]) == 0
    assert "(1 group, which stay together)" in capsys.readouterr().err
