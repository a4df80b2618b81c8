"""Logs as inspect_ai 0.3.285 writes them: packing, answers, limits, marks, solvers."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from difficulty import SampleLog
from difficulty.errors import InvalidLogError
from difficulty.importers.inspect_ai import read_inspect
from planner.cli import main

MODEL = "mockllm/model"


def sample(number: int, text: str, value: object, **fields: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}
    return {
        "id": 1,
        "epoch": number,
        "input": "What is 1+3?",
        "target": "4",
        "output": {"model": MODEL, "choices": [choice], "completion": text},
        "scores": {"match": {"value": value, "answer": text}},
        "model_usage": {MODEL: {"output_tokens": 9, "total_tokens": 14, "reasoning_tokens": 3}},
    } | fields  # fmt: skip


def document(*samples: dict[str, Any], solvers: tuple[str, ...] = ("generate",)) -> dict[str, Any]:
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "sums", "model": MODEL},
        "plan": {"steps": [{"solver": solver, "params": {}, "params_passed": {}} for solver in solvers]},
        "samples": list(samples),
    }


def written(path: Path, *samples: dict[str, Any], solvers: tuple[str, ...] = ("generate",)) -> Path:
    path.write_text(json.dumps(document(*samples, solvers=solvers)))
    return path


def zstandard(path: Path, members: dict[str, bytes], *, damage: bool = False) -> Path:
    """Write a zip archive whose members are packed with method 93, which zipfile does not write."""
    body, directory = b"", b""
    for name, content in members.items():
        packed = pyarrow.compress(content, codec="zstd", asbytes=True)
        checksum = zlib.crc32(content) ^ damage
        fields = struct.pack("<HHHHIIIHH", 0, 93, 0, 33, checksum, len(packed), len(content), len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<HH", 63, 63) + fields
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\x03\x04" + struct.pack("<H", 63) + fields + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


def archive(path: Path, *samples: dict[str, Any], damage: bool = False) -> Path:
    members = {f"samples/1_epoch_{each['epoch']}.json": json.dumps(each).encode() for each in samples}
    header = {name: value for name, value in document().items() if name != "samples"}
    return zstandard(path, members | {"header.json": json.dumps(header).encode()}, damage=damage)


def test_archives_of_zstandard_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "log.eval", sample(1, "ANSWER: 4", "C"), sample(2, "ANSWER: 5", "I"))
    assert zipfile.is_zipfile(path)
    log = read_inspect(path)
    assert log.pool(MODEL).correct.tolist() == [[1, 0]]
    assert log.pool(MODEL).output_tokens.tolist() == [[9, 9]]
    broken = archive(tmp_path / "broken.eval", sample(1, "ANSWER: 4", "C"), damage=True)
    with pytest.raises(InvalidLogError, match=r"broken\.eval: .*wrong checksum.*inspect log convert"):
        read_inspect(broken)


def test_answers_that_are_whole_completions_are_found_at_their_end(tmp_path: Path) -> None:
    texts = ["Two and two.\nANSWER: 4", "so it is 4 of 5", "I get \\boxed{6}", "seven"]
    log = read_inspect(written(tmp_path / "a.json", *(sample(n, text, "I") for n, text in enumerate(texts))))
    assert [each.answer for each in log.samples("sums/1", MODEL)] == ["4", "5", "6", "seven"]
    assert [each.text for each in log.samples("sums/1", MODEL)] == texts
    own = read_inspect(tmp_path / "a.json", extract=lambda text: text[:2])
    assert [each.answer for each in own.samples("sums/1", MODEL)] == ["Tw", "so", "I ", "se"]


def test_whole_texts_that_stay_are_warned_of(tmp_path: Path) -> None:
    essays = [sample(n, f"It is a very large fish number {n}", "C", target="whale") for n in range(3)]
    path = written(tmp_path / "a.json", *essays)
    with pytest.warns(UserWarning, match="3 of 3 answers are whole texts, which never agree in votes"):
        read_inspect(path)


def test_samples_that_a_limit_stopped_are_truncated(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.json",
        sample(1, "", "I", limit={"type": "token", "limit": 1}),
        sample(2, "", "I", limit={"type": "time", "limit": 1}),
        sample(3, "ANSWER: 4", "C"),
    )
    pool = read_inspect(path).pool(MODEL)
    assert pool.correct.tolist() == [[0, -1, 1]]
    assert pool.truncated.tolist() == [[True, True, False]]
    assert pool.answer.tolist() == [[-1, -1, 0]]


def test_graded_scores_take_a_threshold_and_objects_their_parts(tmp_path: Path) -> None:
    scores = {"judge": {"value": "P"}, "mark": {"value": 0.7}, "both": {"value": {"form": 1, "sense": 0}}}
    path = written(tmp_path / "a.json", sample(1, "ANSWER: 4", "C", scores=scores))
    for scorer, threshold, right in (("judge", 0.5, 1), ("judge", 1, 0), ("mark", 0.7, 1), ("mark", 0.8, 0)):
        assert read_inspect(path, scorer=scorer, threshold=threshold).pool(MODEL).correct.tolist() == [
            [right]
        ]
    assert read_inspect(path, scorer="both.form").pool(MODEL).correct.tolist() == [[1]]
    assert read_inspect(path, scorer="both.sense").pool(MODEL).correct.tolist() == [[0]]
    with pytest.raises(InvalidLogError, match=r"'judge', 'mark', 'both\.form', 'both\.sense'"):
        read_inspect(path)
    with pytest.raises(InvalidLogError, match=r"got 'P'.*threshold=\.\.\."):
        read_inspect(path, scorer="judge")


def test_choices_are_part_of_the_prompt(tmp_path: Path) -> None:
    asked = {"choices": ["4", "5"], "target": "A"}
    messages = [{"role": "user", "content": "Which?"}]
    path = written(
        tmp_path / "a.json",
        sample(1, "ANSWER: A", "C", **asked),
        sample(1, "ANSWER: B", "I", **asked, id=2, input=messages),
    )
    first, second = read_inspect(path).prompts
    assert first.text == "What is 1+3?\nA) 4\nB) 5"
    assert second.content == "Which?\nA) 4\nB) 5"


def test_two_solvers_of_one_model_are_two_generators(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.json", sample(1, "ANSWER: 4", "C"))
    thought = written(
        tmp_path / "b.json", sample(1, "ANSWER: 5", "I"), solvers=("chain_of_thought", "generate")
    )
    log = read_inspect(plain, thought)
    assert list(log.generators) == [MODEL, f"{MODEL}/chain_of_thought"]
    assert log.counts().n_correct.tolist() == [[1, 0]]
    assert log.generators[f"{MODEL}/chain_of_thought"].model == MODEL
    assert list(read_inspect(thought).generators) == [MODEL]


def test_the_command_imports_logs_of_inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    archive(tmp_path / "logs" / "a.eval", sample(1, "ANSWER: 4", "P"), sample(2, "ANSWER: 4", "C"))
    assert main(["import", "logs"]) == 2
    assert main(["import", "logs", "--threshold", "1", "--scorer", "match"]) == 0
    assert SampleLog.read("samples.jsonl.gz").pool(MODEL).correct.tolist() == [[0, 1]]
    written(tmp_path / "b.json", sample(1, "ANSWER: 4", "C"))
    assert main(["import", "b.json"]) == 0


def test_the_command_leaves_out_what_failed_and_finds_answers_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = [sample(1, "so 4 it is, of 7 in all", "C"), sample(2, "", "I", error={"message": "boom"})]
    written(tmp_path / "log.json", *samples)
    assert main(["import", "log.json", "--out", "a.jsonl"]) == 2
    assert "(--failed-samples leave_out)" in capsys.readouterr().err
    asked = ["import", "log.json", "--failed-samples", "leave_out", "--out", "a.jsonl"]
    assert main([*asked, "--extract", r"regex:so (\d+)"]) == 0
    assert "left out: 1 samples that failed" in capsys.readouterr().err
    log = SampleLog.read("a.jsonl")
    assert [one.answer for one in log.samples(log.prompts[0].id, MODEL)] == ["4"]
    written(tmp_path / "log.json", samples[1])
    assert main(asked) == 2
    assert "all 1 samples ended in an error" in capsys.readouterr().err
