"""planner collect: files of questions become graded logs; what is refused before anything is sent."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sums_server
from fake_openai_server import FakeOpenAIServer, Response, refusal
from sums_server import answer, drawing

from difficulty.log.sample_log import SampleLog
from planner.cli import main

server = sums_server.server
tasks = sums_server.tasks

KEY = "sk-secret-0123456789"


def test_a_benchmark_file_becomes_a_graded_log(
    server: FakeOpenAIServer, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "log.jsonl.gz"
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(out), "--samples", "4", *drawing(server)]
    assert main(arguments) == 0
    log = SampleLog.read(out)
    assert [prompt.id for prompt in log.prompts][:2] == ["sums-0", "sums-1"]
    assert log.prompts[7].gold == "9" and log.counts().n.tolist() == [[4]] * 24
    rate = log.counts().n_correct.sum() / log.n_samples
    assert 0.5 < rate < 0.8
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["n_missing"] == 0 and document["usage"]["samples"] == 96
    assert "note: accuracy will be known to ±0.2 at worst (95 %); 97 prompts give ±0.1" in captured.err
    assert "to spend: 80 samples to draw" in captured.err and "measured on 4 pieces" in captured.err


def test_keys_come_from_the_environment_and_stay_out_of_files(
    server: FakeOpenAIServer,
    tasks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-company")
    server.behave = lambda body, index: answer(body, index) if index < 60 else refusal("no", status=403)
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(tmp_path / "log.jsonl"), "--samples", "4"]
    assert main([*arguments, *drawing(server)]) == 1
    assert {headers["authorization"] for headers in server.headers} == {"Bearer none"}
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("PLANNER_API_KEY", "sk-default")
    server.headers.clear()
    assert main([*arguments, *drawing(server, "--key-variable", "MY_KEY")]) == 1
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    captured = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for secret in (KEY, "sk-default", "sk-another-company"):
        assert secret.encode() not in written and secret not in captured.out + captured.err


def test_missing_pieces_give_exit_code_1_and_come_at_the_next_start(
    server: FakeOpenAIServer, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def behave(body: dict[str, Any], index: int) -> Response:
        refused = "What is 7 + 2" in body["messages"][0]["content"]
        return refusal("too long") if refused else answer(body, index)

    server.behave = behave
    out = tmp_path / "log.jsonl"
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(out), "--samples", "2", *drawing(server)]
    assert main(arguments) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["n_missing"] == 1 and document["missing"] == {"BackendError": 2} and not out.exists()
    server.behave = answer
    assert main(arguments) == 0
    assert len(SampleLog.read(out)) == 24
    assert Counter(body["messages"][0]["content"] for body in server.requests).most_common(1)[0][1] == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--backend", "openai"], "needs --base-url"),
        (["--backend", "openai", "--base-url", "ftp://x", "--model", "m"], "base_url must look like"),
        (["--backend", "openai", "--base-url", "http://x/v1"], "generators without a model"),
        (["--backend", "openai", "--base-url", "http://k:p@x/v1", "--model", "m"], "no credentials"),
        (["--backend", "transformers"], "needs --model"),
        (["--backend", "replay"], "needs --log"),
        (["--backend", "replay", "--log", "x", "--base-url", "http://x/v1"], "does not go with"),
        (["--backend", "openai", "--base-url", "http://x/v1", "--extra-body", "[1]"], "extra_body"),
        (["--backend", "openai", "--base-url", "http://x/v1", "--key-variable", "NOT_SET"], "NOT_SET"),
        (["--backend", "openai", "--base-url", "http://x/v1", "--concurrency", "0"], "concurrency"),
    ],
)
def test_a_backend_that_cannot_be_meant_is_bad_input(
    more: list[str], said: str, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", os.fspath(tasks), "--out", os.fspath(tmp_path / "log.jsonl"), *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--out", "log.txt"], "must end in .jsonl"),
        (["--extract", "nonsense"], "answers must be one of"),
        (["--verifier", "nonsense"], "the verifier must be"),
        (["--strategy", "beam_search"], "needs the verifier"),
        (["--strategy", "beam_search", "--widths", "four"], "whole numbers"),
        (["--strategy", "sequential_revision", "--widths", "2,4"], "chains are resampled"),
        (["--strategy", "dvts", "--param", "beam_width"], "NAME=VALUE"),
        (["--depth", "3"], "goes with --strategy"),
        (["--generators", "{tasks}"], "neither JSON nor"),
        (["--task-options", "{}"], "go with reasoning-gym"),
        (["--samples", "0"], "something to record"),
    ],
)
def test_options_that_mean_nothing_are_bad_input_before_anything_is_sent(
    more: list[str],
    said: str,
    server: FakeOpenAIServer,
    tasks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = [argument.replace("{tasks}", os.fspath(tasks)) for argument in more]
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(tmp_path / "log.jsonl"), *drawing(server)]
    assert main([*arguments, *more]) == 2
    assert said in capsys.readouterr().err
    assert not server.requests


def test_strategies_and_generators_from_a_file(server: FakeOpenAIServer, tasks: Path, tmp_path: Path) -> None:
    generators = tmp_path / "generators.toml"
    generators.write_text(
        '["tiny/cot"]\nmodel = "tiny"\nprompt_template = "Think. {prompt}"\n["tiny/short"]\nmodel = "tiny"\n'
    )
    out = tmp_path / "log.parquet"
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(out), "--samples", "2", "--size", "5"]
    arguments += ["--generators", os.fspath(generators), "--strategy", "sequential_revision", "--widths", "2"]
    arguments += ["--depth", "3", "--param", "instruction=Check it.", "--texts", "--verifier", "mean_logprob"]
    assert main([*arguments, *drawing(server)]) == 0
    log = SampleLog.read(out)
    assert list(log.generators) == ["tiny/cot", "tiny/short"] and len(log) == 5
    chains = log.chains("tiny/cot")
    assert chains is not None and chains.correct.shape == (5, 2, 3)
    assert log.has_scores and log.samples("sums-0", "tiny/cot")[0].text
    assert any("Check it." in json.dumps(body["messages"]) for body in server.requests)


def test_one_collection_records_several_strategies(
    server: FakeOpenAIServer, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recordings = tmp_path / "log.jsonl", tmp_path / "recordings.toml"
    recordings.write_text(
        "[[recordings]]\nstrategy = 'sequential_revision'\nwidths = [2]\ndepth = 2\n"
        "params = {instruction = 'Check it.'}\n"
        "[[recordings]]\nstrategy = 'dvts'\nwidths = [2, 4]\nparams = {verifier = 'mean_logprob'}\n"
    )
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(out), "--samples", "2", "--size", "3"]
    assert main([*arguments, "--recordings", os.fspath(tasks), *drawing(server)]) == 2
    assert "neither JSON nor" in capsys.readouterr().err and not server.requests
    assert main([*arguments, "--recordings", os.fspath(recordings), *drawing(server)]) == 0
    log = SampleLog.read(out)
    assert log.has_chains and [dict(run.params)["n"] for run in log.runs()] == [2, 4]


def test_the_estimate_stops_a_collection_that_is_refused(
    server: FakeOpenAIServer, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self, size: int = -1) -> str:
            del size
            return "n\n"

    out = tmp_path / "log.jsonl"
    arguments = ["collect", os.fspath(tasks), "--out", os.fspath(out), "--tokens-per-sample", "9"]
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main([*arguments, *drawing(server)]) == 0
    assert not server.requests and not out.exists()
    assert main([*arguments, *drawing(server, "--yes", "--samples", "1")]) == 2  # another collection
    assert main([*arguments, *drawing(server, "--yes")]) == 0
    assert out.exists()
