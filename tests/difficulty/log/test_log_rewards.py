"""Rewards, the graded truth of samples: kept in every file form, apart from scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from planner.cli import main

GENERATORS = {"g": Generator(name="g")}


def line(prompt_id: str, *samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "generator": "g", "samples": list(samples), **more}


def make(*lines: dict[str, Any]) -> SampleLog:
    return SampleLog.from_records(lines, GENERATORS)


def rewards(log: SampleLog, prompt_id: str) -> list[float | None]:
    return [sample.reward for sample in log.samples(prompt_id, "g")]


GRADED = make(line("a", {"reward": -2.5, "score": 0.9}, {"score": 0.1}), line("b", {"correct": True}))
RUBRIC = make(
    line("a", {"correct": False}, {"correct": True}, meta={"rubric": [0.5, 1.0]}),
    line("b", {"correct": True}, {}, meta={"task": "sums"}),
)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_form_keeps_rewards(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"log{suffix}"
    GRADED.write(path)
    again = SampleLog.read(path)
    assert again == GRADED and rewards(again, "a") == [-2.5, None] and rewards(again, "b") == [None]
    assert [sample.score for sample in again.samples("a", "g")] == [0.9, 0.1]
    merged = SampleLog.merge([GRADED.select(["b"]), GRADED.select(["a"])])
    assert rewards(merged, "a") == [-2.5, None]


def test_frames_keep_rewards_apart_from_scores() -> None:
    frame = GRADED.to_frame()
    assert frame["reward"].tolist()[0] == -2.5 and frame["score"].tolist()[:2] == [0.9, 0.1]
    assert rewards(SampleLog.from_frame(frame), "a") == [-2.5, None]


def test_a_log_without_rewards_has_the_digest_that_it_had() -> None:
    plain = make(line("a", {"answer": "1"}))
    assert plain.digest == "dbc62587cfdc59fa9418825b71dcb67a37495011b67c056fc30813af9533e2e4"
    assert not plain.has_rewards and GRADED.digest != plain.digest


def test_a_list_in_meta_becomes_rewards_and_a_threshold_verdicts() -> None:
    log = RUBRIC.with_rewards("meta.rubric", threshold=0.5)
    assert rewards(log, "a") == [0.5, 1.0]
    assert rewards(log, "b") == [1.0, None]  # no list: its verdict, and nothing where there is none
    assert_array_equal(log.pool("g").correct, [[1, 1], [1, -1]])
    assert log.about["rewards_from"] == "meta.rubric" and log.about["correct_from_reward"] == 0.5
    assert_array_equal(RUBRIC.with_rewards("meta.rubric").pool("g").correct, [[0, 1], [1, -1]])
    assert "rewards" not in repr(log) and "rewards" in repr(log.select(["a"]))


def test_scores_and_verdicts_become_rewards_only_when_asked() -> None:
    assert rewards(GRADED.with_rewards("score"), "a") == [0.9, 0.1]
    assert rewards(RUBRIC.with_rewards("correct"), "a") == [0.0, 1.0]
    assert rewards(GRADED.with_rewards("reward"), "a") == [-2.5, None]
    assert rewards(RUBRIC, "a") == [None, None]


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({"rubric": [1.0]}, "list of 2 numbers, one for each sample, got list of 1"),
        ({"rubric": 0.5}, "got float"),
        ({"rubric": [True, 0.5]}, "must hold numbers, got True"),
        ({"rubric": ["1", 0.5]}, "must hold numbers, got '1'"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(meta: dict[str, Any], problem: str) -> None:
    log = make(line("a", {}, {}, meta=meta))
    with pytest.raises(InvalidLogError, match=rf"meta.rubric of prompt 'a'.*{problem}"):
        log.with_rewards("meta.rubric")


def test_null_in_a_list_is_an_unknown_reward() -> None:
    log = make(line("a", {}, {}, meta={"rubric": [None, 7]})).with_rewards("meta.rubric")
    assert rewards(log, "a") == [None, 7.0]


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"meta.KEY.*got 'rubric'"):
        RUBRIC.with_rewards("rubric")
    with pytest.raises(InvalidInputError, match="no line of this log has a list 'credit'"):
        RUBRIC.with_rewards("meta.credit")
    with pytest.raises(InvalidInputError, match="no sample of this log has a reward in score"):
        RUBRIC.with_rewards("score")
    with pytest.raises(InvalidInputError, match="threshold must be a finite number"):
        GRADED.with_rewards("score", threshold=float("nan"))


def test_verdicts_do_not_fill_a_scale_that_is_not_theirs() -> None:
    log = make(line("a", {}, {}, meta={"marks": [3, 10]}), line("b", {"correct": True}))
    with pytest.raises(InvalidInputError, match="from 3 to 10: 1 and 0 are no rewards on that scale"):
        log.with_rewards("meta.marks")


def test_import_grades_a_log_and_reads_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "graded.jsonl"
    RUBRIC.write(log)
    assert (
        main(["import", str(log), "--reward-from", "meta.rubric", "--threshold", "1", "--out", str(out)]) == 0
    )
    assert rewards(SampleLog.read(out), "a") == [0.5, 1.0]
    table = tmp_path / "table.csv"
    table.write_text("id,question,reward,score\n1,2 + 2?,0.75,3\n1,2 + 2?,0.25,4\n")
    capsys.readouterr()
    assert main(["import", str(table), "--threshold", "0.5", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["about"]["columns"]["reward"] == "reward"
    pool = SampleLog.read(out).pool("model")
    assert pool.correct.tolist() == [[1, 0]] and np.nansum(pool.score) == 7
    assert main(["import", str(log), "--out", str(out)]) == 0


def test_samples_that_nobody_graded_are_left_out_beside_graded_ones() -> None:
    log = make(
        line("a", {"reward": 1.0, "answer": "x"}, {"answer": "y"}, {"reward": 0.5, "answer": "x"}),
        line("b", {"answer": "x"}, {"answer": "y"}),
        line("c", {"reward": 0.0}, {"reward": 0.25}),
    )
    pool = log.valued_by("reward").pool("g")
    assert pool.n.tolist() == [2, 2, 2] and pool.n_valued.tolist() == [2, 0, 2]
    assert pool.answer[0].tolist() == [0, 0] and pool.value[0].tolist() == [1.0, 0.5]
    assert log.pool("g").n.tolist() == [3, 2, 2]
    whole = make(line("a", {"reward": 1.0}))
    assert whole.valued_by("reward") == whole


def test_steps_of_chains_are_kept_whole() -> None:
    steps = [
        {"chain": 0, "step": 0, "correct": True},
        {"chain": 0, "step": 1},
        {"chain": 1, "step": 0, "correct": False},
    ]
    log = make(line("a", *steps, strategy="sequential_revision", params={"depth": 2}))
    chains = log.valued_by("correct").chains("g")
    assert chains is not None and chains.n.tolist() == [2] and chains.n_steps == 2


def test_infinite_rewards_are_refused_in_tables_too() -> None:
    frame = {"prompt_id": ["a"] * 2, "generator": ["g"] * 2, "reward": [0.5, float("inf")]}
    with pytest.raises(InvalidLogError, match="reward must be finite, got inf"):
        SampleLog.from_frame(frame)
    assert rewards(SampleLog.from_frame({**frame, "reward": [0.5, float("nan")]}), "a") == [0.5, None]
