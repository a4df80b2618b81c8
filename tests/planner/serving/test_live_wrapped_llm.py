"""A wrapped ``vllm.LLM`` for real, on the lab model: types, tokens and seeds are those of the engine.

vLLM needs an environment of its own, with the dependencies of this project: see `test_live_vllm.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from training.lab import LANGUAGE_MODEL

pytestmark = [pytest.mark.slow]

_ROOT = Path(__file__).parents[3]
_SCRIPT = """
import json, sys
from vllm import LLM, RequestOutput, SamplingParams
from planner import wrap
llm = LLM(
    model=sys.argv[1], max_model_len=512, enforce_eager=True, dtype="float32", max_num_seqs=16,
    enable_prefix_caching=True,
)
client = wrap(llm, price=1e-5, extractor="last_number", max_samples=6)
prompts = ["Mia has 3 cups. She finds 4. How many now? Step by step."] * 3
parameters = SamplingParams(temperature=1.0, max_tokens=40, seed=3)
outputs = client.generate(prompts, parameters)
again = client.generate(prompts, parameters)
bare = llm.generate(prompts, parameters, use_tqdm=False)
greedy = client.generate(prompts, SamplingParams(temperature=0.0, max_tokens=40))
print("FOUND" + json.dumps({
    "same_type": type(client) is type(llm),
    "types": [type(one).__name__ for one in outputs],
    "told": [one.planner for one in outputs],
    "texts": [one.outputs[0].text for one in outputs],
    "again": [one.outputs[0].text for one in again],
    "tokens": [len(one.outputs[0].token_ids) for one in outputs],
    "n": [len(one.outputs) for one in outputs],
    "bare": [hasattr(one, "planner") for one in bare],
    "greedy": [hasattr(one, "planner") for one in greedy],
}))
"""


def test_a_real_engine_is_wrapped() -> None:
    python = os.environ.get("TTC_TEST_VLLM_PYTHON")
    if python is None:
        pytest.skip("TTC_TEST_VLLM_PYTHON names no Python with vllm")
    own = Path(python).parent.parent
    preload = own / "lib" / "libiomp5.so"
    environment = os.environ | {
        "PYTHONPATH": str(_ROOT),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        **({"LD_PRELOAD": str(preload)} if preload.exists() else {}),
    }
    done = subprocess.run(
        [python, "-c", _SCRIPT, str(LANGUAGE_MODEL)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    lines = [line[5:] for line in done.stdout.splitlines() if line.startswith("FOUND")]
    assert lines, done.stderr[-3000:]
    found = json.loads(lines[0])
    assert found["same_type"]
    assert found["types"] == ["RequestOutput"] * 3
    assert found["n"] == [1, 1, 1]
    assert all(one["samples"] >= 1 for one in found["told"])
    assert sum(one["samples"] for one in found["told"]) > 3
    assert all(
        tokens <= one["output_tokens"] for tokens, one in zip(found["tokens"], found["told"], strict=True)
    )
    assert found["texts"] == found["again"]
    assert found["bare"] == found["greedy"] == [False] * 3
