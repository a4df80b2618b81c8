"""What can hardly work is said once, when the server starts, with a number that would do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import ScriptedUpstream
from serving_bed import serving

from planner.planner import Planner


async def said_at_start(caplog: pytest.LogCaptureFixture, **settings: Any) -> list[str]:
    async with ScriptedUpstream() as up, serving(up, **settings):
        return [record.getMessage() for record in caplog.records if record.name == "planner.serving"]


def bundle(folder: Path, *, cap: int | None = 1000) -> str:
    """A bundle whose samples have 400 tokens."""
    made = Planner.untrained(["tiny"], output_tokens_per_sample=400.0).bundle
    generators = {"tiny": replace(made.generators["tiny"], max_output_tokens=cap)}
    replace(made, generators=generators).save(folder)
    return str(folder)


async def test_a_window_with_money_for_few_requests_is_named(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    window: dict[str, Any] = {"price": None, "window": 60.0, "bundle": bundle(tmp_path / "b")}
    (said,) = await said_at_start(caplog, limit=20_000.0, **window)
    assert said.startswith("route *: 20,000 output tokens a window pay 50 requests at the least")
    assert "at least 40,000 would do" in said
    caplog.clear()
    assert not await said_at_start(caplog, limit=40_000.0, **window)
    (said,) = await said_at_start(caplog, limit=40_000.0, **{**window, "window": 200, "clock": "prompts"})
    assert "at least 80,000 would do, which pays 200" in said


async def test_a_window_that_few_samples_fit_into_is_named(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    window: dict[str, Any] = {"price": None, "window": 60.0, "bundle": bundle(tmp_path / "b", cap=None)}
    (said,) = await said_at_start(caplog, limit=50_000.0, **window)
    assert "hold 3 samples of tiny at the most that each may cost (16,384)" in said
    assert "at least 132,000 would do" in said
    caplog.clear()
    assert not await said_at_start(caplog, limit=132_000.0, **window)


async def test_a_key_that_cannot_pay_one_sample_is_named(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_KEY", "app-secret")
    own = bundle(tmp_path / "b")
    for limit, n_said in ((900.0, 1), (1000.0, 0)):
        caplog.clear()
        keys = {"app": {"key_variable": "APP_KEY", "limit": limit}}
        assert len(await said_at_start(caplog, keys=keys, bundle=own)) == n_said


async def test_a_deadline_that_no_sample_can_meet_is_named(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    own = bundle(tmp_path / "b")
    (said,) = await said_at_start(caplog, limits={"deadline_seconds": 1.0}, bundle=own)
    assert "400 output tokens on average" in said
    assert "at 50 a second deadline_seconds = 8 would do" in said
    caplog.clear()
    assert not await said_at_start(caplog, limits={"deadline_seconds": 8.0}, bundle=own)
    # Nobody has told how long samples are.
    assert not await said_at_start(caplog, limits={"deadline_seconds": 1.0})
