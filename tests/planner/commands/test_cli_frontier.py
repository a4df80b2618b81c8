"""``planner frontier`` tells what each price buys, as plans at that price then have it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.cli import main
from planner.planner import Planner

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


def test_prices_are_those_that_plans_keep_to(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "p.txt"
    prompts.write_text("".join(f"{one.text}\n" for one in trained.test_log.prompts[:30]))
    assert main(["frontier", str(trained.folder), str(prompts), "--points", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unit"] == trained.bundle.unit and 2 <= len(found["points"]) <= 4
    point = found["points"][1]
    plans = Planner.load(trained.folder).plan(prompts.read_text().splitlines(), price=point["price"])
    assert np.mean([plan.expected_cost for plan in plans]) == pytest.approx(point["expected_cost"], rel=1e-6)
    assert main(["frontier", str(trained.folder), str(prompts)]) == 0
    told = capsys.readouterr().out
    assert "price per output token" in told and "expected accuracy" in told
    said = re.search(r"bring: at (\S+), (\S+) more are spent for .01 of", " ".join(told.split()))
    assert said and float(said[1]) * float(said[2].replace(",", "")) == pytest.approx(0.01, rel=0.06)
    low, high = found["points"][0]["interval"]
    assert f"[{low:.2f}, {high:.2f}]" in told
    assert f"planner serve --bundle {trained.folder} --price PRICE" in told


def test_where_every_price_buys_the_same_no_price_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = {"answer": "4", "correct": True, "output_tokens": 3}
    records = [
        {"prompt_id": f"q{i}", "prompt": f"What is {i * i}?", "generator": "g", "samples": [sample] * 2}
        for i in range(24)
    ]
    log, policy = str(tmp_path / "log.jsonl"), str(tmp_path / "policy")
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(log)
    assert main(["train", log, "--out", policy, "--trials", "1", "--test-fraction", "0"]) == 0
    capsys.readouterr()
    assert main(["frontier", policy, log]) == 0
    told = capsys.readouterr().out
    assert " any " in told and "every price buys the same." in told
    assert f"planner plan {policy} {log} --price 0" in told and "PRICE" not in told
