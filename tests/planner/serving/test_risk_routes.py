"""Routes with a target of risk: answers that are not sure enough are withheld, and it is said."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Got, chat, serving

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from planner.serving.settings import ServeSettings
from training import train
from training.simulated.log import simulated_log

# The prompt that is planned once before the first request is no simulated one.
pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")

TARGET = 0.2


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleLog]:
    left, right = simulated_log(500, n_samples=6, n_generators=1, seed=3).split(test_fraction=0.4, seed=0)
    folder = tmp_path_factory.mktemp("risk") / "policy"
    train(left, out=folder, n_trials=1, unit="samples")
    return folder, right


def recorded(log: SampleLog) -> Any:
    """Answer each prompt with its recorded samples, in turn."""
    prompts = {prompt.text: prompt.id for prompt in log.prompts}
    turns: Counter[tuple[str, str]] = Counter()

    def behave(asked: Asked, place: int) -> Said:
        text, name = asked.json["messages"][-1]["content"], asked.json["model"]
        samples = log.samples(prompts[text], name)
        turns[text, name] += 1
        sample = samples[turns[text, name] % len(samples)]
        said = completion(asked.json, f"is {sample.answer}")
        whole = json.loads(said.body)
        # How long samples are is evidence, too.
        whole["usage"]["completion_tokens"] = sample.output_tokens
        return replace(said, body=json.dumps(whole).encode())

    return behave


def route_of(folder: Path, log: SampleLog | None = None, **more: Any) -> dict[str, Any]:
    generators = {} if log is None else {name: {"model": name} for name in log.generators}
    return {
        "price": None, "target_risk": TARGET, "bundle": str(folder), "extract": "regex:is (.*)",
        "generators": generators, **more,
    }  # fmt: skip


async def test_answers_that_are_not_sure_enough_are_withheld(bed: tuple[Path, SampleLog]) -> None:
    folder, log = bed
    prompts = log.prompts
    async with ScriptedUpstream(recorded(log)) as up, serving(up, **route_of(folder, log)) as service:
        got: list[Got] = []
        for start in range(0, len(prompts), 30):
            part = prompts[start : start + 30]
            got += await asyncio.gather(*(service.ask(chat(prompt.text or "")) for prompt in part))
    assert {one.status for one in got} == {200}
    planner, replay = Planner.load(folder), ReplayBackend(log)
    # One at a time, as they are served: a batch has a threshold of its own.
    offline = [
        outcome
        for prompt in prompts
        for outcome in await planner.arun([prompt], target_risk=TARGET, backend=replay)
    ]
    shares = [
        np.mean([verdict == "answered" for verdict in verdicts])
        for verdicts in (
            [one.json["planner"]["verdict"] for one in got],
            [outcome.verdict for outcome in offline],
        )
    ]
    assert 0.3 < shares[0] < 0.95
    assert abs(shares[0] - shares[1]) <= 0.1
    wrong = []
    for prompt, answered in zip(prompts, got, strict=True):
        message, told = answered.json["choices"][0]["message"], answered.json["planner"]
        assert 0 <= told["confidence"] <= 1
        if told["verdict"] != "answered":
            assert message["content"] is None
            assert "sure enough" in message["refusal"]
            continue
        assert message["refusal"] is None
        answer = message["content"].removeprefix("is ")
        samples = [one for name in log.generators for one in log.samples(prompt.id, name)]
        wrong.append(not any(one.correct for one in samples if one.answer == answer))
    slack = 2.6 * np.sqrt(TARGET * (1 - TARGET) / len(wrong))
    assert np.mean(wrong) <= TARGET + slack


async def test_a_stream_of_a_withheld_answer_holds_nothing_of_it(bed: tuple[Path, SampleLog]) -> None:
    folder, log = bed
    async with ScriptedUpstream(recorded(log)) as up, serving(up, **route_of(folder, log)) as service:
        got = [await service.ask(chat(prompt.text or "", stream=True)) for prompt in log.prompts[:40]]
    withheld = [one for one in got if one.events[-1]["planner"]["verdict"] != "answered"]
    assert 0 < len(withheld) < len(got)
    for one in withheld:
        deltas = [choice["delta"] for event in one.events for choice in event["choices"]]
        assert "".join(delta.get("content") or "" for delta in deltas) == ""
        assert any("sure enough" in (delta.get("refusal") or "") for delta in deltas)


@pytest.mark.parametrize(
    "own", [{"price": 1e-3}, {"budget": 4}, {"max_samples": 2}, {"target_accuracy": 0.9}]
)
async def test_a_client_cannot_change_what_the_risk_was_judged_for(
    bed: tuple[Path, SampleLog], own: dict[str, Any]
) -> None:
    folder, log = bed
    async with ScriptedUpstream(recorded(log)) as up, serving(up, **route_of(folder, log)) as service:
        got = await service.ask(chat(log.prompts[0].text or "", planner=own))
    assert got.status == 400
    assert not up.asked


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"price": 1.0}, "or a target_risk"),
        ({"target_risk": 1.5}, "risk"),
        ({"bundle": None}, "needs a bundle"),
        ({"extract": None}, "needs a bundle, and extract"),
        ({"select": "logprob"}, "select = 'plan'"),
        ({"max_per_request": 5.0}, "no max_per_request"),
        ({"mode": "shadow"}, "mode = 'plan'"),
    ],
)
def test_settings_that_contradict_a_risk_are_refused(more: dict[str, Any], words: str) -> None:
    route = {"upstream": "up", **route_of(Path("bundle"), **more)}
    route = {name: value for name, value in route.items() if value is not None}
    upstreams = {"up": {"base_urls": ["http://127.0.0.1:1/v1"]}}
    with pytest.raises(InvalidInputError, match=words):
        ServeSettings.from_plain({"upstreams": upstreams, "routes": {"*": route}})
