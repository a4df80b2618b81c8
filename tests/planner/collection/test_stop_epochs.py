"""Epochs of inspect_ai end when a stop rule has enough."""

from __future__ import annotations

import pytest

from planner.collection.epochs import StopEpochs
from policies.course.stop import Agreement, StopRule, Success, Unanimous

scorer = pytest.importorskip("inspect_ai.scorer", reason="inspect_ai is not installed")


async def epochs_until_stopped(rule: StopRule, answers: list[str | None], right: str = "42") -> int:
    manager = StopEpochs(rule)
    assert await manager.start_task(None, [], len(answers)) == f"ttc-planner: {rule}"
    for epoch, answer in enumerate(answers, start=1):
        stop = await manager.schedule_sample("a", epoch)
        assert await manager.schedule_sample("b", epoch) is None
        if stop is not None:
            assert (stop.id, stop.epoch, stop.reason) == ("a", epoch, str(rule))
            assert (await manager.complete_task())["epochs_saved"] == 1
            return epoch - 1
        value = "C" if answer == right else "I"
        score = scorer.SampleScore(score=scorer.Score(value=value, answer=answer))
        await manager.complete_sample("a", epoch, {"match": score})
    assert (await manager.complete_task())["epochs_saved"] == 0
    return len(answers)


@pytest.mark.parametrize(
    ("rule", "n"),
    [(Agreement(count=2), 4), (Unanimous(window=3), 6), (Success(), 2), (Agreement(count=9), 7)],
)
async def test_a_rule_is_asked_between_epochs(rule: StopRule, n: int) -> None:
    assert await epochs_until_stopped(rule, ["41", "42", None, "42", "42", "42", "43"]) == n


async def test_another_task_begins_anew() -> None:
    manager = StopEpochs(Success(), scorer="mine")
    await manager.start_task(None, [], 2)
    score = scorer.SampleScore(score=scorer.Score(value=1, answer="42"))
    await manager.complete_sample("a", 1, {"other": score})
    assert await manager.schedule_sample("a", 2) is None
    await manager.complete_sample("a", 1, {"mine": score})
    assert await manager.schedule_sample("a", 2) is not None
    await manager.start_task(None, [], 2)
    assert await manager.schedule_sample("a", 2) is None
