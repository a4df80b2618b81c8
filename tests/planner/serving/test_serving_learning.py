"""Shadow mode, the log of requests, and bundles that change while requests are in flight."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import chat, serving

from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from planner.serving.loading import Loading
from planner.serving.settings import ServeSettings

TEXTS = ["it is 41", "it is 42", "it is 42"]


def behave(asked: Asked, place: int) -> Said:
    return completion(asked.json, TEXTS[place % 3])


def counters(page: str, name: str) -> dict[str, float]:
    """The values of a counter by its last label."""
    found = {}
    for line in page.splitlines():
        if line.startswith(f"{name}_total{{"):
            labels, _, value = line.rpartition(" ")
            found[labels.split('"')[-2]] = float(value)
    return found


async def test_shadow_mode_changes_no_byte_and_says_what_planning_would_have_done() -> None:
    async with ScriptedUpstream(behave) as up:
        async with serving(up, mode="off", price=None) as bed:
            bare = await bed.ask(chat(x=1))
        up.asked.clear()
        async with serving(up, mode="shadow") as bed:
            got = await bed.ask(chat(x=1))
            streamed = await bed.ask(chat(stream=True, stream_options={"include_usage": True}))
            page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert got.body == bare.body
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    assert len(up.asked) == 2
    assert not any(name.startswith("x-planner") for name in got.headers)
    sums = counters(page, "planner_shadow")
    assert sums["sent_cost"] == 16.0
    assert sums["sent_cost_count"] == sums["expected_cost_count"] == 2.0
    assert sums["expected_cost"] > 512.0
    assert 0 < sums["expected_accuracy"] < 2
    assert 'mode="shadow"' in page


async def test_shadow_mode_draws_where_it_may_and_counts_agreement() -> None:
    async with ScriptedUpstream(behave) as up, serving(up, mode="shadow", shadow_draw_share=1.0) as bed:
        for _ in range(4):
            await bed.ask(chat())
        shadow = bed.service.routes["*"].shadow
        assert shadow is not None
        await asyncio.gather(*shadow._tasks)
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    sums = counters(page, "planner_shadow")
    assert sums["drawn_cost_count"] == sums["agreements_count"] == 4.0
    assert sums["drawn_cost"] == 8.0 * (len(up.asked) - 4)
    assert 0 < sums["agreements"] < 4


async def test_a_share_of_nothing_plans_nothing() -> None:
    async with ScriptedUpstream(behave) as up, serving(up, mode="shadow", shadow_share=0.0) as bed:
        await bed.ask(chat())
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert not counters(page, "planner_shadow")


async def test_planned_requests_are_kept_as_a_log_that_reads(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    settings: dict[str, Any] = {"log": str(path), "log_labels": "agreement", "log_removes": [r"card \d+"]}
    async with ScriptedUpstream(behave) as up, serving(up, **settings) as bed:
        for _ in range(3):
            await bed.ask(chat("6 x 7? card 4111"))
        n = len(up.asked)
        await bed.ask(chat(n=2))
    written = path.read_text()
    assert "4111" not in written
    assert "card" not in written
    assert "it is" not in written
    log = SampleLog.read(path)
    assert log.n_samples == n
    assert len(log.prompts) == 3
    assert len({prompt.group for prompt in log.prompts}) == 1
    assert log.prompts[0].text == "6 x 7? [removed]"
    counts = log.counts()
    assert 0 < counts.n_correct.sum() < counts.n.sum() == n


async def test_nothing_is_kept_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        await bed.ask(chat())
    assert not list(tmp_path.iterdir())


async def test_a_full_log_is_moved_aside_and_a_torn_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    settings: dict[str, Any] = {"log": str(path), "log_max_bytes": 900, "log_texts": True}
    async with ScriptedUpstream(behave) as up:
        async with serving(up, **settings) as bed:
            await bed.ask(chat())
        with path.open("ab") as file:
            file.write(b'{"prompt_id": "torn')
        async with serving(up, **settings) as bed:
            for _ in range(5):
                await bed.ask(chat())
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    logs = [SampleLog.read(file) for file in files]
    assert sum(log.n_samples for log in logs) == len(up.asked)
    assert all(file.stat().st_size < 2000 for file in files)


async def test_a_bundle_is_exchanged_without_dropping_a_request(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    Planner.untrained(output_tokens_per_sample=100.0).bundle.save(folder)
    held = asyncio.Event()

    async def slow(asked: Asked, place: int) -> Said:
        if place == 0:
            await held.wait()
        return behave(asked, place)

    async with ScriptedUpstream(slow) as up, serving(up, bundle=str(folder)) as bed:
        before = (await bed.ask(chat(), path="/v1/plan")).json["expected_cost"]
        work = asyncio.ensure_future(bed.ask(chat()))
        while not up.asked:
            await asyncio.sleep(0)
        loading = next(one for one in bed.service.opened if isinstance(one, Loading))
        assert await loading.reload() == []
        (folder / "manifest.json").write_text("{}")
        os.utime(folder / "manifest.json", (1e9, 1e9))
        assert await loading.reload() == []
        assert (await bed.ask(chat(), path="/v1/plan")).json["expected_cost"] == before
        other = tmp_path / "other"
        Planner.untrained(output_tokens_per_sample=1000.0).bundle.save(other)
        for file in folder.iterdir():
            file.unlink()
        for file in other.iterdir():
            file.rename(folder / file.name)
        assert await loading.reload() == ["*"]
        after = (await bed.ask(chat(), path="/v1/plan")).json["expected_cost"]
        held.set()
        got = await work
    assert after != before
    assert got.status == 200
    assert got.json["planner"]["expected_cost"] == before


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"upstream": "nowhere", "mode": "off"}, "names the upstream"),
        ({"upstream": "up"}, "either a price, or a limit"),
        ({"upstream": "up", "price": -1.0}, "price"),
        ({"upstream": "up", "price": 1.0, "log_removes": ["("]}, "no regular expression"),
        ({"upstream": "up", "price": 1.0, "shadow_share": 2.0}, "shadow_share"),
        ({"upstream": "up", "price": 1.0, "speed": 2.0}, "speed"),
        ({"upstream": "up", "limit": 1.0, "mode": "off"}, "both limit and window"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(route: dict[str, Any], words: str) -> None:
    plain = {"upstreams": {"up": {"base_urls": ["http://127.0.0.1:1/v1"]}}, "routes": {"tiny": route}}
    with pytest.raises(ValueError, match=words):
        ServeSettings.from_plain(plain)


def test_settings_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(
        '[upstreams.up]\nbase_urls = ["https://models.example/v1"]\nkey_variable = "K"\n'
        '[routes."*"]\nupstream = "up"\nprice = 1e-5\n[limits]\nmax_samples = 8\n'
    )
    settings = ServeSettings.read(path)
    assert settings.limits.max_samples == 8
    assert settings.routes["*"].price == 1e-5
    path.write_text("[upstreams")
    with pytest.raises(ValueError, match="not TOML"):
        ServeSettings.read(path)
