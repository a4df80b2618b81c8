"""The OpenAI backend against a real llama.cpp server, whose usage counts one choice only when n > 1."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from backend_contract import request

from difficulty.generator import Generator
from planner.backends.openai import OpenAIBackend

PYTHON = os.environ.get("TTC_TEST_XLLAMACPP_PYTHON", sys.executable)
MODEL = os.environ.get("TTC_TEST_GGUF", "")
PORT = 18_117
SERVE = f"""
import sys, threading, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_parallel, parameters.n_ctx = sys.argv[1], 8, 8 * 512
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.hostnames, parameters.port = ["127.0.0.1"], {PORT}
server = xllamacpp.Server(parameters)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not os.path.isfile(MODEL):
        pytest.skip("set TTC_TEST_GGUF to a GGUF file of a chat model")
    if subprocess.run([PYTHON, "-c", "import xllamacpp"], capture_output=True, check=False).returncode:
        pytest.skip("xllamacpp is not installed; set TTC_TEST_XLLAMACPP_PYTHON to a Python that has it")
    server = subprocess.Popen(
        [PYTHON, "-c", SERVE, MODEL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{PORT}"
        for _ in range(240):
            try:
                urlopen(f"{address}/health", timeout=1).close()
                break
            except (URLError, TimeoutError, ConnectionError):
                time.sleep(0.25)
        yield f"{address}/v1"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
async def test_the_ledger_is_what_the_server_generated(url: str) -> None:
    generator = Generator(name="g", model="any", temperature=0.8, max_output_tokens=12)
    backend = OpenAIBackend(
        base_url=url, continuation="prefill", extra_body={"top_k": 0, "min_p": 0, "top_p": 1}
    )
    [many] = await backend.sample([request("What is 2 + 3?", n=4, generator=generator)])
    assert [c.finish_reason in ("stop", "length") for c in many] == [True] * 4
    # The first request for several choices finds out that the usage counts one of them only.
    assert not backend.traits.native_n and backend.traits.logprobs
    again = await backend.sample([request("What is 2 + 3?", n=4, generator=generator, seed=3)])
    assert [c.text for c in again[0]] == [c.text for c in many]
    for first, second in zip(many, again[0], strict=True):
        # Log-probabilities leave out the end token; the usage of a single request has it.
        assert 0 <= second.output_tokens - first.output_tokens <= (second.finish_reason == "stop")
        assert second.mean_logprob is not None and second.mean_logprob < 0
    assert backend.spent.completed.output_tokens == sum(c.output_tokens for c in (*many, *again[0]))


@pytest.mark.slow
async def test_a_prefix_is_continued(url: str) -> None:
    generator = Generator(name="g", model="any", temperature=0.0, max_output_tokens=8)
    backend = OpenAIBackend(base_url=url, continuation="prefill")
    [[whole]] = await backend.sample([request("Name the capital of France.", generator=generator)])
    begun = whole.text[: len(whole.text) // 2].rstrip()
    [[rest]] = await backend.sample(
        [request("Name the capital of France.", generator=generator, prefix=(begun,), max_output_tokens=4)]
    )
    assert rest.text
    assert whole.text.startswith((begun + rest.text)[: len(begun) + 2])
