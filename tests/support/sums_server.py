"""A server that answers sums, right two times in three, how it is drawn from, and a policy for it.

Tests take the fixtures as ``server = sums_server.server``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer, Response, completion

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.cli import main


def answer(body: dict[str, Any], index: int) -> Response:
    """Answer sums right two times in three, by the seed."""
    del index
    text = body["messages"][0]["content"]
    total = sum(int(word) for word in text.split() if word.isdigit())
    return completion(
        body, message=None if body.get("stop") else {"content": f"It is {total + (body['seed'] % 3 == 0)}"}
    )


def drawing(server: FakeOpenAIServer, *more: str) -> list[str]:
    # One request per sample: the seeds alone decide what the server says.
    options = ["--backend", "openai", "--base-url", server.url, "--model", "tiny", "--single", "--json"]
    return [*options, "--concurrency", "4", *more]


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
