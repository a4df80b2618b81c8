"""``planner collect`` and ``planner run`` from outside: files, exit codes, kills, secrets."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.cli import main
from planner.ports.outcome_wire import outcome_from_json
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.stop import Agreement
from policies.plan.plan import AllocationPlan
from policies.plan.wire import write_plans

KEY = "sk-secret-0123456789"


def answer(body: dict[str, Any], index: int) -> Response:
    """Answer sums right two times in three, by the seed."""
    del index
    text = body["messages"][0]["content"]
    total = sum(int(word) for word in text.split() if word.isdigit())
    return completion(
        body, message=None if body.get("stop") else {"content": f"It is {total + (body['seed'] % 3 == 0)}"}
    )


@pytest.fixture
def server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer(answer) as running:
        yield running


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    lines = [{"question": f"What is {i} + {i % 5} ?", "answer": f"so #### {i + i % 5}"} for i in range(24)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def drawing(server: FakeOpenAIServer, *more: str) -> list[str]:
    # One request per sample: the seeds alone decide what the server says.
    options = ["--backend", "openai", "--base-url", server.url, "--model", "tiny", "--single", "--json"]
    return [*options, "--concurrency", "4", *more]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as collecting the tasks gives it."""
    out = tmp_path_factory.mktemp("log") / "log.jsonl.gz"
    records = [
        {
            "prompt_id": f"sums-{i}",
            "prompt": f"What is {i} + {i % 5} ?",
            "gold": str(i + i % 5),
            "generator": "tiny",
            "samples": [
                {
                    "answer": str(i + i % 5 + wrong),
                    "correct": not wrong,
                    "output_tokens": 10,
                    "finish": "stop",
                }
                for wrong in (0, 0, 0, 1 if i % 3 else 0)
            ],
        }
        for i in range(24)
    ]
    SampleLog.from_records(records, {"tiny": Generator(name="tiny", model="tiny")}).write(out)
    return out


@pytest.fixture(scope="module")
def bundle(collected: Path) -> Path:
    path = collected.parent / "policy"
    command = ["train", os.fspath(collected), "--out", os.fspath(path), "--trials", "2"]
    assert main([*command, "--test-fraction", "0"]) == 0
    return path


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


def test_a_run_writes_outcomes_and_sums_them_up(
    bundle: Path, server: FakeOpenAIServer, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "outcomes.jsonl"
    capsys.readouterr()
    server.requests.clear()
    arguments = ["run", os.fspath(bundle), os.fspath(tasks), "--out", os.fspath(out), "--budget", "40"]
    assert main([*arguments, *drawing(server)]) == 0
    summary = json.loads(capsys.readouterr().out)
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    assert [outcome.prompt_id for outcome in outcomes] == [f"sums-{i}" for i in range(24)]
    right = [outcome.answer == str(i + i % 5) for i, outcome in enumerate(outcomes)]
    assert summary["n_correct"] == sum(right) and summary["accuracy"] == sum(right) / 24
    assert summary["cost"] == sum(outcome.usage.output_tokens for outcome in outcomes) <= 40 * 24
    assert summary["usage"]["samples"] == sum(outcome.usage.samples for outcome in outcomes)
    assert len(server.requests) == summary["usage"]["samples"]
    assert not list(tmp_path.glob("*.requests"))
    plain = [argument for argument in drawing(server) if argument != "--json"]
    out.unlink()
    assert main([*arguments, *plain]) == 0
    assert "accuracy" in (shown := capsys.readouterr().out) and "ledger" in shown


def test_a_log_replays_without_a_server(bundle: Path, collected: Path, tmp_path: Path) -> None:
    out = tmp_path / "outcomes.jsonl"
    replay = ["--backend", "replay", "--log", os.fspath(collected), "--budget", "30"]
    assert main(["run", os.fspath(bundle), os.fspath(collected), "--out", os.fspath(out), *replay]) == 0
    answers = {prompt.id: prompt.gold for prompt in SampleLog.read(collected).prompts}
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    assert sum(outcome.answer == answers[outcome.prompt_id] for outcome in outcomes) >= 12
    again = tmp_path / "again.jsonl"
    arguments = ["collect", os.fspath(collected), "--out", os.fspath(again), "--samples", "3"]
    assert main([*arguments, *replay[:4], "--yes"]) == 0
    assert SampleLog.read(again).counts().n.tolist() == [[3]] * 24


def test_plans_of_a_file_are_carried_out_as_they_are(
    bundle: Path, collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Course(steps=waves("tiny", (2, 2)), stop=Agreement(count=2))
    plans = [
        AllocationPlan(
            prompt_id=prompt.id,
            allocation=summary_of(course),
            course=course,
            expected_accuracy=0.5,
            accuracy_interval=(0.0, 1.0),
            expected_cost=30.0,
            unit="output_tokens",
        )
        for prompt in SampleLog.read(collected).prompts
    ]
    file, out = tmp_path / "plans.jsonl", tmp_path / "outcomes.jsonl"
    write_plans(file, plans[::-1])
    run = ["run", os.fspath(bundle), os.fspath(collected), "--plans", os.fspath(file), "--out"]
    replay = ["--backend", "replay", "--log", os.fspath(collected)]
    assert main([*run, os.fspath(out), *replay]) == 0
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    assert [outcome.prompt_id for outcome in outcomes] == [plan.prompt_id for plan in plans][:24]
    assert {outcome.usage.samples for outcome in outcomes} <= {2, 4}
    assert "satisfied" in {outcome.stop_reason for outcome in outcomes}
    capped = tmp_path / "capped.jsonl"
    assert main([*run, os.fspath(capped), *replay, "--budget", "200", "--scope", "batch"]) == 0
    spent = [outcome_from_json(line).usage.output_tokens for line in capped.read_bytes().splitlines()]
    assert 150 < sum(spent) <= 200
    write_plans(file, plans[1:])
    assert main([*run, os.fspath(tmp_path / "none.jsonl"), *replay]) == 2
    assert "has no plan for 1 of 24 prompts" in capsys.readouterr().err
    for anew in (["--price", "1"], ["--one-shot"], ["--target-risk", ".1"], ["--no-answer-costs", "1"]):
        assert main([*run, os.fspath(tmp_path / "none.jsonl"), *replay, *anew]) == 2
        assert "plan anew" in " ".join(capsys.readouterr().err.split())


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
        (["--backend", "openai"], "needs base_url"),
        (["--backend", "openai", "--base-url", "ftp://x", "--model", "m"], "base_url must look like"),
        (["--backend", "openai", "--base-url", "http://x/v1"], "generators without a model"),
        (["--backend", "openai", "--base-url", "http://k:p@x/v1", "--model", "m"], "no credentials"),
        (["--backend", "transformers"], "needs model"),
        (["--backend", "replay"], "needs log"),
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


def test_a_dead_server_is_said_at_once_with_its_address_and_the_reason(
    bundle: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, url = tmp_path / "outcomes.jsonl", "http://127.0.0.1:9/v1"
    arguments = ["run", os.fspath(bundle), os.fspath(tasks), "--price", "1e-4", "--out", os.fspath(out)]
    started = time.monotonic()
    assert main([*arguments, "--backend", "openai", "--base-url", url, "--model", "tiny"]) == 1
    assert time.monotonic() - started < 20
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("nothing has come yet") == 1
    assert f"no connection to {url}" in said and "refused" in said.lower()


def test_a_reacting_run_on_a_server_that_is_down_goes_on_when_it_is_back(
    bundle: Path, server: FakeOpenAIServer, tasks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "outcomes.jsonl"
    arguments = ["run", os.fspath(bundle), os.fspath(tasks), "--price", "1e-4"]
    arguments += ["--out", os.fspath(out), *drawing(server)]
    server.behave = lambda _body, _index: refusal("down", status=503, headers={"retry-after-ms": "1"})
    assert main(arguments) == 1
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    assert {outcome.stop_reason for outcome in outcomes} == {"failed"}
    assert all("refused with HTTP 503: down" in outcome.errors[0].reason for outcome in outcomes)
    journal = tmp_path / "outcomes.jsonl.requests"
    assert journal.exists()
    server.behave = answer
    assert main(arguments) == 0
    outcomes = [outcome_from_json(line) for line in out.read_bytes().splitlines()]
    assert {outcome.stop_reason for outcome in outcomes} <= {"complete", "satisfied"}
    assert all(outcome.answer is not None for outcome in outcomes) and not journal.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_kills_and_outages_of_a_reacting_run_change_nothing(
    bundle: Path, server: FakeOpenAIServer, tasks: Path, tmp_path: Path
) -> None:
    down = threading.Event()

    def slow(body: dict[str, Any], index: int) -> Response:
        if down.is_set():
            refused.append(index)
            return refusal("down", status=503, headers={"retry-after-ms": "1"})
        time.sleep(0.05)  # the server's own latency: without it a run is over before it can be killed
        return answer(body, index)

    refused: list[int] = []
    out, whole = tmp_path / "outcomes.jsonl", tmp_path / "whole.jsonl"
    arguments = ["run", os.fspath(bundle), os.fspath(tasks), "--price", "1e-4"]
    assert main([*arguments, "--out", os.fspath(whole), *drawing(server)]) == 0
    asked = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    server.requests.clear()
    server.behave = slow
    command = [sys.executable, "-c", "import sys; from planner.cli import main; sys.exit(main(sys.argv[1:]))"]
    command += [*arguments, "--out", os.fspath(out), *drawing(server)]
    rng = random.Random(1)
    n_kills, n_sessions = 0, 0
    while True:
        n_sessions += 1
        if n_sessions % 4 == 2 and n_kills < 10:
            down.set()
        else:
            down.clear()
        n_before = len(server.requests)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            while n_kills < 10 and child.poll() is None and len(server.requests) == n_before:
                time.sleep(0.005)
            try:
                code = child.wait(timeout=rng.uniform(0.0, 0.12) if n_kills < 10 else 60)
                if not down.is_set():
                    assert code == 0
                    break
            except subprocess.TimeoutExpired:
                child.kill()
                n_kills += 1
    assert n_kills == 10 and refused, "the run was over before the tenth kill, or met no outage"
    times = [index for index in range(len(server.requests)) if index not in set(refused)]
    paid = Counter(json.dumps(server.requests[index], sort_keys=True) for index in times)
    assert set(paid) == set(asked)
    assert sum(paid.values()) - sum(asked.values()) <= 10 * 4
    ours, theirs = (
        [outcome_from_json(line) for line in path.read_bytes().splitlines()] for path in (out, whole)
    )
    assert [one.answer for one in ours] == [one.answer for one in theirs]
    assert [one.stop_reason for one in ours] == [one.stop_reason for one in theirs]
    assert [one.usage.output_tokens for one in ours] == [one.usage.output_tokens for one in theirs]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_kills_of_a_run_pay_for_nothing_twice_beyond_what_was_in_flight(
    bundle: Path, server: FakeOpenAIServer, tasks: Path, tmp_path: Path
) -> None:
    def slow(body: dict[str, Any], index: int) -> Response:
        time.sleep(0.05)  # the server's own latency: without it a run is over before it can be killed
        return answer(body, index)

    out, whole = tmp_path / "outcomes.jsonl", tmp_path / "whole.jsonl"
    # A price: where a limit binds, arrival decides whose last samples it cuts, with and without kills.
    arguments = ["run", os.fspath(bundle), os.fspath(tasks), "--price", "1e-4", "--one-shot"]
    assert main([*arguments, "--out", os.fspath(whole), *drawing(server)]) == 0
    assert {outcome_from_json(line).stop_reason for line in whole.read_bytes().splitlines()} == {"complete"}
    asked = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    server.requests.clear()
    server.behave = slow
    command = [sys.executable, "-c", "import sys; from planner.cli import main; sys.exit(main(sys.argv[1:]))"]
    command += [*arguments, "--out", os.fspath(out), *drawing(server)]
    rng = random.Random(0)
    n_kills = 0
    while True:
        n_before = len(server.requests)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            while n_kills < 10 and child.poll() is None and len(server.requests) == n_before:
                time.sleep(0.005)
            try:
                assert child.wait(timeout=rng.uniform(0.0, 0.12) if n_kills < 10 else 60) == 0
                break
            except subprocess.TimeoutExpired:
                child.kill()
                n_kills += 1
    assert n_kills == 10, "the run was over before the tenth kill"
    paid = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    assert set(paid) == set(asked)
    # Four requests were in flight at each kill.
    assert sum(paid.values()) - sum(asked.values()) <= 10 * 4
    ours, theirs = (
        [outcome_from_json(line) for line in path.read_bytes().splitlines()] for path in (out, whole)
    )
    assert [one.answer for one in ours] == [one.answer for one in theirs]
    assert [one.usage.output_tokens for one in ours] == [one.usage.output_tokens for one in theirs]
