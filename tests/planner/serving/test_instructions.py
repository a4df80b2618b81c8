"""A question after instructions is read as the bundle knows it: alone, or with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Trained
from scripted_upstream import ScriptedUpstream
from serving_bed import chat, serving

from difficulty.log.sample_log import SampleLog
from training.simulated.log import simulated_log
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")

SYSTEM = {"role": "system", "content": "You are careful."}


async def familiarity(bundle: Path, *messages: dict[str, Any]) -> float:
    """How familiar a request is, as the metrics count it."""
    async with ScriptedUpstream() as up, serving(up, bundle=str(bundle), price=1e-4) as bed:
        got = await bed.ask(chat() | {"messages": list(messages)})
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
        sent = up.asked[0].json["messages"]
    assert got.status == 200
    assert sent == list(messages)
    (value,) = [
        line.split()[-1] for line in page.splitlines() if 'drift_total{route="*",what="familiarity"}' in line
    ]
    return float(value)


async def test_a_bundle_of_questions_alone_knows_them_after_instructions(trained: Trained) -> None:
    question = {"role": "user", "content": str(trained.test_log.prompts[0].content)}
    assert await familiarity(trained.folder, SYSTEM, question) > 0.9


async def test_a_bundle_of_chats_knows_its_instructions(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    simulated_log(80, n_samples=4, n_generators=1, seed=2).write(path)
    header, *lines = path.read_bytes().splitlines()
    chats = []
    for line in map(msgspec.json.decode, lines):
        line["messages"] = [SYSTEM, {"role": "user", "content": line.pop("prompt")}]
        chats.append(msgspec.json.encode(line))
    path.write_bytes(b"\n".join([header, *chats]) + b"\n")
    log = SampleLog.read(path)
    train(log, tmp_path / "policy", n_trials=1, seed=0)
    assert await familiarity(tmp_path / "policy", *log.prompts[0].messages) > 0.9
    alone = await familiarity(tmp_path / "policy", log.prompts[0].messages[1])
    assert alone < 0.1
