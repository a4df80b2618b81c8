"""Thousands of damaged files: what reads them returns something, or says what is wrong in a typed error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.importers.inspect_ai import read_inspect
from difficulty.importers.lm_eval import read_lm_eval
from difficulty.log.sample_log import SampleLog
from planner.collection.tasks import read_tasks
from planner.files.prompts import read_prompts
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan
from policies.plan.wire import plan_to_json, read_plans
from training.simulated.log import simulated_log

TINY = Generator(name="t")


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def read_log(path: Path) -> None:
    log = SampleLog.read(path)
    log.counts()
    for name in log.generators:
        log.pool(name)
    log.runs()


def a_log(folder: Path) -> bytes:
    simulated_log(5, n_samples=3, seed=0).write(folder / "good.jsonl")
    chain = {"chain": 0, "step": 0, "answer": "1", "text": "so 1", "prompt_tokens": 7, "score": 0.5}
    chain_line = {"prompt_id": "c", "generator": "model-0", "samples": [chain], "params": {"a": 1}}
    chain_line |= {"strategy": "sequential_revision", "meta": {"x": 1}}
    counts = {
        "prompt_id": "d",
        "messages": [{"role": "user", "content": "1?"}],
        "generator": "model-0",
        "n": 3,
    }
    run = {
        "prompt_id": "c",
        "generator": "model-0",
        "strategy": "dvts",
        "samples": [{"step_scores": [1, 0.5]}],
    }
    return (folder / "good.jsonl").read_bytes() + lines(chain_line, counts | {"n_correct": 1}, run)


def plans(folder: Path) -> bytes:
    plan = AllocationPlan(
        prompt_id="a",
        allocation=Allocation(generator="g", strategy="dvts", width=4, depth=2, params={"beam_width": 2}),
        expected_accuracy=0.5,
        accuracy_interval=(0.4, 0.6),
        expected_cost=8.0,
        unit="samples",
        price=0.1,
    )
    return (plan_to_json(plan) + b"\n") * 3


def prompts(folder: Path) -> bytes:
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "gold": 3, "group": 4}
    return lines({"id": "a", "prompt": "1 + 1?", "gold": "2", "prompt_tokens": 4}, chat, {"text": "y"})


def tasks(folder: Path) -> bytes:
    return lines(
        {"id": 1, "question": "1 + 1?", "answer": "1 + 1 = 2\n#### 2"},
        {"problem": "x?", "solution": "so \\boxed{3}", "group": "a"},
        {"question": "y?", "answer": ["4"]},
    )


def harness(folder: Path) -> bytes:
    row = {"doc_id": 0, "target": "4", "arguments": {"gen_args_0": {"arg_0": "2+2"}}, "filter": "none"}
    row |= {"resps": [["4", "5"]], "filtered_resps": [["4", "5"]], "metrics": ["acc"], "acc": [1, 0]}
    return lines(row, row | {"doc_id": 1, "doc_hash": "x"})


def inspect(folder: Path) -> bytes:
    output = {"completion": "4", "usage": {"output_tokens": 1, "total_tokens": 6}}
    output["choices"] = [{"message": {"content": "4"}, "stop_reason": "stop"}]  # type: ignore[assignment]
    sample = {"id": 1, "epoch": 1, "input": "2 + 2?", "target": ["4"], "output": output}
    sample["scores"] = {"match": {"value": "C", "answer": "4"}}
    evaluation = {"task": "s", "model": "m", "model_generate_config": {"temperature": 0.5}}
    return json.dumps({"version": 2, "eval": evaluation, "samples": [sample]}).encode()


KINDS: list[tuple[Callable[[Path], bytes], Callable[[Path], Any]]] = [
    (a_log, read_log),
    (plans, read_plans),
    (prompts, read_prompts),
    (tasks, lambda path: read_tasks(str(path))),
    (harness, lambda path: read_lm_eval(path, generator=TINY)),
    (inspect, read_inspect),
]


@pytest.mark.parametrize(("make", "read"), KINDS)
def test_a_damaged_file_is_read_or_refused(
    make: Callable[[Path], bytes], read: Callable[[Path], Any], tmp_path: Path
) -> None:
    good, rng = make(tmp_path), np.random.default_rng(11)
    path = tmp_path / "file.jsonl"
    path.write_bytes(good)
    read(path)
    n_refused = 0
    for _ in range(400):
        path.write_bytes(damaged(good, rng))
        try:
            read(path)
        except InvalidInputError as error:
            n_refused += 1
            assert "file.jsonl" in str(error) or "records" in str(error), str(error)
    assert n_refused > 130
