"""The run log: nothing is paid twice, nothing is lost, torn and broken lines are told apart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from both_drivers import run_concurrently, run_lockstep
from kills import KILLS, killed_ten_times, start
from strategy_contract import ALL, backend, task

from difficulty.errors import InvalidInputError
from planner.drivers import Limits, RunLog
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedVerifier
from planner.strategies import Task
from policies.cost.usage import Usage

DRIVERS = (run_lockstep, run_concurrently)
VERIFIERS = {"score": SimulatedVerifier(noise=0.5)}
both = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)


class Paid:
    """Counts the samples that are paid for, and can die in the middle of a call."""

    def __init__(self, inner: SimulatedBackend, *, die_at: int | None = None) -> None:
        self.inner = inner
        self.die_at = die_at
        self.samples = 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        await asyncio.sleep(0)
        self.samples += sum(request.n for request in requests)
        if self.die_at is not None and self.samples >= self.die_at:
            raise KeyboardInterrupt
        return await self.inner.sample(requests)


LIMITS = Limits(max_concurrency=2)


def tasks_of(strategy: str) -> list[Task]:
    return [task(strategy, id=f"p{i}", width=4, wave_size=2) for i in range(6)]


def run(driver: type, strategy: str, path: Path, source: Paid) -> list:
    with RunLog.open(path, resume=True) as log:
        work = tasks_of(strategy)
        return asyncio.run(driver(work, backend=source, verifiers=VERIFIERS, run_log=log, limits=LIMITS))


@both
@pytest.mark.parametrize("strategy", ALL)
def test_a_finished_run_resumes_for_free(driver: type, strategy: str, tmp_path: Path) -> None:
    first, again = Paid(backend()), Paid(backend())
    outcomes = run(driver, strategy, tmp_path / "run.jsonl", first)
    assert run(driver, strategy, tmp_path / "run.jsonl", again) == outcomes
    assert again.samples == 0


@both
@pytest.mark.parametrize("strategy", ["majority_vote", "beam_search", "sequential_revision", "best_of_n"])
def test_an_interrupted_run_resumes_with_the_same_outcomes_and_books(
    driver: type, strategy: str, tmp_path: Path
) -> None:
    whole = Paid(backend())
    outcomes = run(driver, strategy, tmp_path / "whole.jsonl", whole)
    broken = Paid(backend(), die_at=whole.samples // 2 + 1)
    with pytest.raises(KeyboardInterrupt):
        run(driver, strategy, tmp_path / "broken.jsonl", broken)
    rest = Paid(backend())
    resumed = run(driver, strategy, tmp_path / "broken.jsonl", rest)
    recorded = map(json.loads, (tmp_path / "broken.jsonl").read_text().splitlines())
    assert sum(len(line.get("seeds", ())) for line in recorded) == whole.samples
    for one, other in zip(resumed, outcomes, strict=True):
        assert (one.answer, one.candidates) == (other.answer, other.candidates)
        assert one.usage.verifier_tokens == other.usage.verifier_tokens
        assert one.usage.output_tokens == other.usage.output_tokens
    # Paid twice is at most what was in flight: two requests, or one call of the lock-step driver.
    in_flight = broken.samples + rest.samples - whole.samples
    assert rest.samples < whole.samples
    assert 0 < in_flight <= (2 * 4 if driver is run_concurrently else 6 * 4)


@both
def test_a_larger_budget_pays_only_for_what_is_missing(driver: type, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first, second = Paid(backend()), Paid(backend())
    with RunLog.open(path) as log:
        poor = asyncio.run(
            driver(tasks_of("majority_vote"), backend=first, run_log=log, limits=Limits(max_samples=10))
        )
    assert first.samples == 10
    assert {outcome.stop_reason for outcome in poor} >= {"limit"}
    rich = run(driver, "majority_vote", path, second)
    assert second.samples == 24 - 10
    assert {outcome.stop_reason for outcome in rich} == {"complete"}
    assert sum(outcome.usage.samples for outcome in rich) == 24


@both
def test_failed_samples_are_tried_again_and_stay_in_the_books(driver: type, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    class FailsOnce:
        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            failed = Completion(
                text="", prompt_tokens=5, output_tokens=7, finish_reason="error", error="BackendError: cut"
            )
            return [[failed] * request.n for request in requests]

    (lost,) = _run_one(driver, path, FailsOnce())
    assert lost.stop_reason == "failed"
    (outcome,) = _run_one(driver, path, backend(default_success=1.0))
    assert outcome.answer == "right"
    assert outcome.usage.wasted_tokens == 2 * 7
    assert outcome.usage.samples == 4


def _run_one(driver: type, path: Path, source: object) -> list:
    with RunLog.open(path, resume=True) as log:
        return asyncio.run(driver([task("majority_vote", width=2)], backend=source, run_log=log))


def test_a_wider_vote_reuses_the_samples_of_a_narrower_one(tmp_path: Path) -> None:
    first, second = Paid(backend()), Paid(backend())
    with RunLog.open(tmp_path / "run.jsonl") as log:
        asyncio.run(run_lockstep([task("majority_vote", width=3)], backend=first, run_log=log))
    with RunLog.open(tmp_path / "run.jsonl", resume=True) as log:
        asyncio.run(run_lockstep([task("majority_vote", width=8)], backend=second, run_log=log))
    assert (first.samples, second.samples) == (3, 5)


def test_another_seed_shares_nothing(tmp_path: Path) -> None:
    source = Paid(backend())
    with RunLog.open(tmp_path / "run.jsonl") as log:
        for seed in (0, 1):
            work = [task("majority_vote", width=3, seed=seed)]
            asyncio.run(run_lockstep(work, backend=source, run_log=log))
    assert source.samples == 6


def test_a_torn_last_line_is_cut_off_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "run.jsonl"
    run(run_lockstep, "majority_vote", path, Paid(backend()))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    source = Paid(backend())
    with RunLog.open(path, resume=True) as log:
        torn = len(whole) - 30 - len(path.read_bytes())
        assert torn > 0 and f"cut off {torn} bytes" in caplog.text
        asyncio.run(run_lockstep(tasks_of("majority_vote"), backend=source, run_log=log))
    # The samples of the torn outcome are recorded on lines of their own.
    assert source.samples == 0
    assert path.read_bytes() == whole


def test_a_broken_line_before_the_end_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    run(run_lockstep, "majority_vote", path, Paid(backend()))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"samples": "x", "se\n', *lines[2:]]))
    with pytest.raises(InvalidInputError, match="line 3: a broken record"):
        RunLog.open(path, resume=True)


@pytest.mark.parametrize("content", ['{"sample_log": 1}\n', '{"run_log": 2}\n', '{"samples": "x"}\n'])
def test_a_file_that_is_no_run_log_is_refused_and_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match="not a run log of version 1"):
        RunLog.open(path, resume=True)
    assert path.read_text() == content


def test_an_existing_log_is_not_continued_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    RunLog.open(path).close()
    with pytest.raises(InvalidInputError, match="resume=True"):
        RunLog.open(path)


def test_two_runs_cannot_share_a_log(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog.open(path), pytest.raises(InvalidInputError, match="in use by another run"):
        RunLog.open(path, resume=True)


_CHILD = """
import asyncio, os, signal, sys
sys.path[:0] = sys.argv[3:]
from both_drivers import run_concurrently
from planner.drivers import Limits, RunLog
from planner.simulated import SimulatedBackend, SimulatedVerifier
from strategy_contract import task

class Killed:
    def __init__(self):
        self.inner, self.calls = SimulatedBackend(n_steps=3), 0
    async def sample(self, requests):
        self.calls += 1
        if self.calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return await self.inner.sample(requests)

tasks = [task(name, id=f"p{i}", width=4) for i, name in enumerate(["majority_vote", "beam_search"] * 4)]
with RunLog.open(sys.argv[1], resume=True) as log:
    verifiers = {"score": SimulatedVerifier()}
    limits = Limits(max_concurrency=2)
    asyncio.run(run_concurrently(tasks, backend=Killed(), verifiers=verifiers, run_log=log, limits=limits))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_9_loses_nothing_and_pays_nothing_twice_beyond_what_was_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    folders = [os.fspath(Path(__file__).parents[3]), os.fspath(Path(__file__).parents[2] / "support")]
    recorded: set[tuple[str, int]] = set()
    for die_at in (4, 5, 3):
        command = [sys.executable, "-c", _CHILD, os.fspath(path), str(die_at), *folders]
        assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
        seen = _samples(path)
        assert len(seen) == len(set(seen)), "a sample was paid twice"
        assert recorded < set(seen), "a paid sample was lost"
        recorded = set(seen)
    names = ["majority_vote", "beam_search"] * 4
    tasks = [task(name, id=f"p{i}", width=4) for i, name in enumerate(names)]
    source = SimulatedBackend(n_steps=3)
    verifiers = {"score": SimulatedVerifier()}
    with RunLog.open(path, resume=True) as log:
        resumed = asyncio.run(run_concurrently(tasks, backend=source, verifiers=verifiers, run_log=log))
    fresh = asyncio.run(run_lockstep(tasks, backend=source, verifiers=verifiers))
    assert [one.answer for one in resumed] == [one.answer for one in fresh]
    assert [one.usage.output_tokens for one in resumed] == [one.usage.output_tokens for one in fresh]
    seen = _samples(path)
    assert len(seen) == len(set(seen)) == sum(one.usage.samples for one in fresh)


def _samples(path: Path) -> list[tuple[str, int]]:
    """Return the key and seed of every recorded sample, a torn last line left out."""
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    records = [json.loads(line) for line in lines]
    return [
        (record["samples"], seed) for record in records if "samples" in record for seed in record["seeds"]
    ]


def test_a_recorded_usage_is_whole(tmp_path: Path) -> None:
    outcomes = run(run_lockstep, "majority_vote", tmp_path / "run.jsonl", Paid(backend()))
    with RunLog.open(tmp_path / "run.jsonl", resume=True) as log:
        recorded = [log.outcome(one) for one in tasks_of("majority_vote")]
    assert recorded == outcomes
    assert sum((one.usage for one in outcomes), Usage()).requests == 12


_SLOW_CHILD = """
import asyncio, sys
from both_drivers import run_concurrently
from kills import Billed
from planner.drivers import Limits, RunLog
from planner.simulated import SimulatedVerifier
from strategy_contract import task

names = ["majority_vote", "beam_search", "sequential_revision"] * 20
tasks = [task(name, id=f"p{i}", width=4) for i, name in enumerate(names)]
limits = Limits(max_concurrency=4)
backend = Billed(sys.argv[4], seconds_per_token=1e-3)
with RunLog.open(sys.argv[3], resume=True) as log:
    print("ready", flush=True)
    asyncio.run(run_concurrently(tasks, backend=backend, verifiers={"score": SimulatedVerifier()},
                                 run_log=log, limits=limits))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    path, bill = tmp_path / "run.jsonl", tmp_path / "bill.txt"
    recorded: set[tuple[str, int]] = set()

    def nothing_is_lost() -> None:
        nonlocal recorded
        seen = _samples(path)
        assert len(seen) == len(set(seen))
        assert recorded <= set(seen)
        recorded = set(seen)

    killed_ten_times(lambda: start(_SLOW_CHILD, path, bill), seconds=(0.02, 0.2), after_each=nothing_is_lost)
    paid = bill.read_text().splitlines()
    # Four requests of at most four samples are in flight at a time.
    assert len(paid) - len(set(paid)) <= KILLS * 4 * 4
    names = ["majority_vote", "beam_search", "sequential_revision"] * 20
    tasks = [task(name, id=f"p{i}", width=4) for i, name in enumerate(names)]
    verifiers = {"score": SimulatedVerifier()}
    fresh = asyncio.run(run_lockstep(tasks, backend=SimulatedBackend(n_steps=3), verifiers=verifiers))
    with RunLog.open(path, resume=True) as log:
        resumed = [log.outcome(one) for one in tasks]
    assert [one and one.answer for one in resumed] == [one.answer for one in fresh]
    assert [one and one.usage.output_tokens for one in resumed] == [one.usage.output_tokens for one in fresh]
