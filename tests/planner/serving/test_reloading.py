"""Bundles that go wrong on disk while a server runs: the old one goes on, and it is said what is wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Bed, chat, serving

from planner.planner import Planner
from planner.serving.loading import Loading


def behave(asked: Asked, place: int) -> Said:
    return completion(asked.json, "it is 42")


def bundle(folder: Path, *, tokens: float, unit: str | None = None, generator: str = "tiny") -> Path:
    made = Planner.untrained([generator], output_tokens_per_sample=tokens).bundle
    replace(made, unit=unit or made.unit).save(folder)
    return folder


async def reload(bed: Bed) -> list[str]:
    return await next(one for one in bed.service.opened if isinstance(one, Loading)).reload()


async def expected_cost(bed: Bed) -> float:
    got = await bed.ask(chat(), path="/v1/plan")
    assert got.status == 200
    return float(got.json["expected_cost"])


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if "not taken" in record.getMessage()]
    caplog.clear()
    return found


async def test_a_bundle_that_is_gone_is_named_once_and_the_old_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle(tmp_path / "b", tokens=100.0)
    async with ScriptedUpstream(behave) as up, serving(up, bundle=str(folder)) as bed:
        before = await expected_cost(bed)
        folder.rename(tmp_path / "away")
        assert await reload(bed) == []
        (said,) = warned(caplog)
        assert "manifest.json is missing" in said
        assert await reload(bed) == []
        assert not warned(caplog)
        assert await expected_cost(bed) == before
        (tmp_path / "away").rename(folder)
        assert await reload(bed) == ["*"]


async def test_a_bundle_that_was_met_while_it_was_copied_is_taken_when_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, other = bundle(tmp_path / "b", tokens=100.0), bundle(tmp_path / "c", tokens=1000.0)
    async with ScriptedUpstream(behave) as up, serving(up, bundle=str(folder)) as bed:
        before = await expected_cost(bed)
        shutil.copy2(other / "manifest.json", folder)  # a copy keeps times, and comes file by file
        assert await reload(bed) == []
        assert warned(caplog)
        for file in other.iterdir():
            shutil.copy2(file, folder)
        assert await reload(bed) == ["*"]
        assert await expected_cost(bed) > 2 * before


@pytest.mark.parametrize("change", [{"unit": "samples"}, {"generator": "other"}])
async def test_a_bundle_of_another_kind_is_not_taken_while_requests_are_in_flight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    folder = bundle(tmp_path / "b", tokens=100.0)
    held = asyncio.Event()

    async def slow(asked: Asked, place: int) -> Said:
        await held.wait()
        return behave(asked, place)

    route = {"bundle": str(folder), "model": "m", "generators": {"tiny": {"model": "m"}}}
    async with ScriptedUpstream(slow) as up, serving(up, **route) as bed:
        work = [asyncio.ensure_future(bed.ask(chat(stream=at % 2 == 0))) for at in range(6)]
        while len(up.asked) < 6:
            await asyncio.sleep(0)
        shutil.rmtree(folder)
        bundle(folder, tokens=1000.0, **change)
        assert await reload(bed) == []
        assert len(warned(caplog)) == 1
        held.set()
        assert {got.text for got in await asyncio.gather(*work)} == {"it is 42"}
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert 'planner_tokens_total{kind="output",route="*"} ' + f"{8.0 * len(up.asked)}" in page


async def test_a_route_that_is_off_stops_no_reload_of_the_others(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", tokens=100.0)
    planned = {"upstream": "up", "price": 1e-5, "extract": "last_number", "bundle": str(folder)}
    off = {"upstream": "up", "mode": "off", "bundle": str(folder)}
    async with ScriptedUpstream(behave) as up, serving(up, routes={"off": off, "tiny": planned}) as bed:
        assert await reload(bed) == []
        bundle(folder, tokens=1000.0)
        assert await reload(bed) == ["tiny"]
        assert bed.service.routes["off"].planning is None


# Root reads everything, so that this right is given up first.
_RIGHTS = "-dac_override,-dac_read_search"
_SCRIPT = """
import asyncio, logging, sys
from pathlib import Path
from planner.planner import Planner
from planner.serving.build import build
from planner.serving.settings import ServeSettings

folder = Path("bundle")
Planner.untrained(output_tokens_per_sample=100.0).bundle.save(folder)
up = {"up": {"base_urls": ["http://127.0.0.1:1/v1"]}}
route = {"upstream": "up", "price": 1e-5, "bundle": str(folder)}
service = build(ServeSettings.from_plain({"upstreams": up, "routes": {"*": route}}))
logging.basicConfig(stream=sys.stdout, format="%(message)s")

async def main():
    loading = service.opened[0]
    await loading.start()
    Planner.untrained(output_tokens_per_sample=1000.0).bundle.save(folder)
    (folder / "policy.npz").chmod(0)
    print(await loading.reload())
    (folder / "policy.npz").unlink()
    Planner.untrained(output_tokens_per_sample=1000.0).bundle.save(folder)
    print(await loading.reload())
    await loading.close()

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="root reads everything, and cannot give it up",
)
def test_a_bundle_that_may_not_be_read_stops_no_later_reload(tmp_path: Path) -> None:
    given_up = ["setpriv", "--bounding-set", _RIGHTS, "--inh-caps", _RIGHTS] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*given_up, sys.executable, "-c", _SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, nothing, taken = done.stdout.splitlines()
    assert "not taken" in said and "Permission denied" in said and "policy.npz" in said
    assert (nothing, taken) == ("[]", "['*']")
