"""Real servers behind the proxy: llama.cpp and vLLM, asked by the official client.

They need environments of their own: ``TTC_TEST_VLLM_PYTHON`` names a Python with vllm,
``TTC_TEST_XLLAMACPP_PYTHON`` one with xllamacpp, and ``TTC_TEST_GGUF`` a small chat model for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serving_bed import serving
from test_openai_client import client, listening

from training.lab import LANGUAGE_MODEL

pytestmark = pytest.mark.slow
openai = pytest.importorskip("openai", reason="the official client is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

QUESTION = "Mia has 3 cups. She finds 4 more. How many cups has she now?"
_LLAMA = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_parallel, p.n_ctx, p.model_alias = sys.argv[1], 8, 8 * 512, {"tiny"}
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.hostnames, p.port = ["127.0.0.1"], int(sys.argv[2])
server = xllamacpp.Server(p)
time.sleep(600)
"""


def command(kind: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return how a server is started."""
    python = os.environ.get("TTC_TEST_XLLAMACPP_PYTHON" if kind == "llama.cpp" else "TTC_TEST_VLLM_PYTHON")
    if kind == "llama.cpp":
        model = os.environ.get("TTC_TEST_GGUF")
        if python is None or model is None:
            pytest.skip(
                "TTC_TEST_XLLAMACPP_PYTHON and TTC_TEST_GGUF name no Python with xllamacpp, and no model"
            )
        return [python, "-c", _LLAMA, model, str(port)], {}
    if python is None:
        pytest.skip("TTC_TEST_VLLM_PYTHON names no Python with vllm")
    preload = Path(python).parent.parent / "lib" / "libiomp5.so"
    more = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    options = "--served-model-name tiny --dtype float32 --max-model-len 512 --enforce-eager"
    start = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", os.fspath(LANGUAGE_MODEL)]
    own = [*start, "--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", "16", *options.split()]
    return own, more | ({"LD_PRELOAD": str(preload)} if preload.exists() else {})


@pytest.fixture(scope="module", params=["llama.cpp", "vllm"])
def upstream(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The kind of a server, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words, more = command(request.param, port)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, env=os.environ | more, stdout=said, stderr=said)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            asyncio.run(answers(url, process))
            yield request.param, url
        finally:
            process.terminate()
            process.wait(60)


async def answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    async with client(url, timeout=5.0) as bare:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            try:
                await bare.completions.create(model="tiny", prompt="x", max_tokens=1)
                return
            except (openai.APIConnectionError, openai.InternalServerError):
                await asyncio.sleep(0.5)
    pytest.fail("the server did not answer within five minutes")


async def ask(one: Any, kind: str, **more: Any) -> Any:
    """Ask for a chat completion; the lab model of vLLM has no chat template, and completes."""
    settings = {"model": "tiny", "max_tokens": 30, **more}
    if kind == "vllm":
        return await one.completions.create(prompt=QUESTION, **settings)
    return await one.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], **settings)


def said(answer: Any) -> str:
    choice = answer.choices[0]
    text = choice.text if hasattr(choice, "text") else choice.message.content
    return str(text)


async def test_a_real_server_is_planned_and_passed_through(upstream: tuple[str, str]) -> None:
    kind, url = upstream
    behind: Any = SimpleNamespace(url=url)
    async with (
        serving(behind) as bed,
        listening(bed) as front,
        client(url) as bare,
        client(front) as proxied,
    ):
        planned = await ask(proxied, kind, temperature=1.0, seed=3)
        told = planned.planner
        assert told["samples"] >= 3
        assert planned.usage.completion_tokens == told["cost"] > 0
        assert planned.usage.completion_tokens <= 30 * told["samples"]
        # At temperature 0 all samples are alike: one call, and what the server says.
        alike = [await ask(one, kind, temperature=0.0) for one in (bare, proxied)]
        assert said(alike[0]) == said(alike[1])
        assert alike[0].usage.completion_tokens == alike[1].usage.completion_tokens
        one = await ask(proxied, kind, temperature=1.0, extra_body={"planner": {"price": 1}})
        assert one.planner["samples"] == 1
        pieces = await ask(
            proxied, kind, temperature=1.0, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in pieces]
        assert chunks[-1].usage.completion_tokens > 0
        with pytest.raises(openai.BadRequestError):
            await ask(proxied, kind, temperature=-1.0)
        several = await ask(proxied, kind, temperature=1.0, n=2)
        assert len(several.choices) == 2
