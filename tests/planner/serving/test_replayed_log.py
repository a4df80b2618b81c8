"""Through the proxy, recorded samples bring the accuracy and cost that the offline report says."""

from __future__ import annotations

import asyncio
import json
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import Trained
from scripted_upstream import Asked, Said, ScriptedUpstream
from serving_bed import Bed, chat, serving

from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from training.evaluate import evaluate
from training.evaluation.judged import judge
from training.report.names import OURS

# `planner serve` counts them in its metrics instead.
pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


class Online(NamedTuple):
    """What came through the proxy: cost and correctness of each answer, shape (R, P)."""

    cost: np.ndarray
    right: np.ndarray


class Recorded:
    """An upstream that answers with the recorded samples of a log, in an order of its own in each repeat."""

    def __init__(self, log: SampleLog) -> None:
        self._log = log
        self._ids = {prompt.content: prompt.id for prompt in log.prompts}
        self._left: dict[tuple[str, str, str], list[Any]] = {}

    def __call__(self, asked: Asked, _: int) -> Said:
        body = asked.json
        prompt, model = self._ids[body["messages"][-1]["content"]], body["model"]
        key = (body["user"], prompt, model)
        if key not in self._left:
            self._left[key] = list(self._log.samples(prompt, model))
            random.Random(str(key)).shuffle(self._left[key])
        sample = self._left[key].pop()
        n = int(sample.output_tokens)
        choice: dict[str, Any] = {"index": 0, "finish_reason": sample.finish or "stop"}
        choice["message"] = {"role": "assistant", "content": sample.answer or ""}
        if body.get("logprobs"):
            one = {"token": "x", "logprob": sample.mean_logprob or 0.0, "bytes": None, "top_logprobs": []}
            choice["logprobs"] = {"content": [one] * n}
        usage = {"prompt_tokens": 20, "completion_tokens": n, "total_tokens": 20 + n}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": model}
        content = json.dumps(whole | {"choices": [choice], "usage": usage}).encode()
        return Said(body=content, headers={"content-type": "application/json"})

    def right(self, prompt: str) -> set[str]:
        """Return the answers of a prompt that were marked as correct."""
        return {
            str(one.answer)
            for name in self._log.generators
            for one in self._log.samples(prompt, name)
            if one.correct
        }


async def through_the_proxy(folder: Path, log: SampleLog, price: float, n_repeats: int) -> Online:
    recorded = Recorded(log)
    right = [recorded.right(prompt.id) for prompt in log.prompts]
    names = {name: {"model": name} for name in log.generators}
    route = {"bundle": str(folder), "price": price, "extract": "whole_text", "generators": names}
    cost, correct = np.zeros((2, n_repeats, len(log.prompts)))

    async def one(bed: Bed, repeat: int, row: int) -> None:
        got = await bed.ask(chat(str(log.prompts[row].content), user=str(repeat)))
        assert got.status == 200, got.body
        cost[repeat, row] = got.json["planner"]["cost"]
        correct[repeat, row] = got.text in right[row]

    async with ScriptedUpstream(recorded) as up, serving(up, **route) as bed:
        for repeat in range(n_repeats):
            await asyncio.gather(*(one(bed, repeat, row) for row in range(len(log.prompts))))
    return Online(cost, correct)


def offline(trained: Trained, price: float) -> tuple[float, float]:
    """Return accuracy and cost at a price as evaluation measures them, averaged over orders of samples."""
    planner = Planner(bundle=trained.bundle)
    unit = check_unit(trained.bundle.unit)
    judged = judge(planner, trained.test_log, CostModel(unit=unit, generators=trained.bundle.generators))
    courses = list(judged.bed.subject.courses)
    plans = planner.plan(judged.log.prompts, price=price)
    assert len({plan.course for plan in plans}) > 1, "the texts must tell prompts apart"
    chosen = np.array([courses.index(plan.course) for plan in plans if plan.course is not None])
    played = judged.bed.realise(chosen[:, None])
    return float(played.value.mean()), float(played.cost.mean())


@pytest.mark.parametrize("price", [3e-3, 2e-4])
async def test_accuracy_and_cost_are_those_of_the_report(trained: Trained, price: float) -> None:
    n_repeats = 4
    online = await through_the_proxy(trained.folder, trained.test_log, price, n_repeats)
    report = evaluate(trained.bundle, trained.test_log, n_bootstrap=200)
    points = report.comparison["frontiers"][OURS]
    costs = [point["cost"] for point in points]
    lower, upper = (
        float(np.interp(online.cost.mean(), costs, [point[side] for point in points]))
        for side in ("lower", "upper")
    )
    assert lower <= online.right.mean() <= upper
    # Of the recorded samples themselves it is told exactly; orders of samples are all that is left to chance.
    # Five standard errors: a false alarm once in a million.
    value, cost = offline(trained, price)
    n = online.right.size
    print(f"accuracy {online.right.mean():.4f}, offline {value:.4f} ({lower:.3f} to {upper:.3f})")
    print(f"cost {online.cost.mean():.1f}, offline {cost:.1f}")
    assert abs(online.right.mean() - value) <= 5 * math.sqrt(0.25 / n)
    assert abs(online.cost.mean() - cost) <= 5 * online.cost.std() / math.sqrt(n)
