"""planner run: plans carried out on a server or a log, down servers, kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sums_server
from fake_openai_server import FakeOpenAIServer, Response, refusal
from sums_server import answer, drawing

from difficulty.log.sample_log import SampleLog
from planner.cli import main
from planner.ports.outcome_wire import outcome_from_json
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.stop import Agreement
from policies.plan.plan import AllocationPlan
from policies.plan.wire import write_plans

server = sums_server.server
tasks = sums_server.tasks
collected = sums_server.collected
bundle = sums_server.bundle


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
    assert "accuracy" in (shown := capsys.readouterr().out) and "spent" in shown


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


def test_a_replay_is_judged_by_the_verdicts_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without reference answers it said nothing of accuracy, and a checker's plans were never answered."""
    log, out = tmp_path / "log.jsonl", tmp_path / "bundle"
    rng = random.Random(0)
    rows = [
        f"q{i},What is {i} plus {i}?,{answer},{int(answer == 2 * i)},5,0.6"  # scores that accept everything
        for i in range(60)
        for answer in (rng.choice((2 * i, 2 * i, 7 * i + 1)) for _ in range(4))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,question,pred,correct,tokens,rm_score", *rows]))
    assert main(["import", str(tmp_path / "t.csv"), "--out", str(log)]) == 0
    for objective, least in (("accuracy", 0.5), ("coverage", 0.85)):
        train = ["train", str(log), "--objective", objective, "--trials", "1", "--out", str(out)]
        assert main(train) == 0
        capsys.readouterr()
        run = ["run", str(out), str(log), "--budget", "15", "--out", str(tmp_path / objective), "--json"]
        assert main([*run, "--backend", "replay", "--log", str(log)]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["n_graded"] == 60 and not summary["failures"]
        assert summary["accuracy"] >= least and abs(summary["accuracy"] - summary["expected_accuracy"]) < 0.1
        shutil.rmtree(out)


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
    assert f"{file.name} has no plan for 1 of 24 prompts" in " ".join(capsys.readouterr().err.split())
    for anew in (["--price", "1"], ["--one-shot"], ["--target-risk", ".1"], ["--no-answer-costs", "1"]):
        assert main([*run, os.fspath(tmp_path / "none.jsonl"), *replay, *anew]) == 2
        assert "plan anew" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("unread", [True, False])
def test_a_wrong_way_to_extract_answers_is_said_while_the_run_goes_on(
    bundle: Path, collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], unread: bool
) -> None:
    """It spent all of the budget, and said no more than that nothing was answered."""
    run = [
        "run",
        os.fspath(bundle),
        os.fspath(collected),
        "--budget",
        "100",
        "--out",
        os.fspath(tmp_path / "o"),
    ]
    replay = ["--backend", "replay", "--log", os.fspath(collected)]
    assert main([*run, *replay, *(["--extract", "boxed"] if unread else [])]) == unread
    said = capsys.readouterr()
    assert ("no answer was found in any sample of the first 5 prompts; one ends" in said.err) is unread
    assert ("none was found in" in said.out and "see --extract" in said.out) is unread


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
