"""What the server says was spent is what its upstream wrote down, at the prices of whoever answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from conftest import Trained
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Bed, chat, serving

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.planner import Planner
from planner.serving.loading import Loading
from planner.serving.request_log import RequestLog

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")

KEY = {"authorization": "Bearer app-secret"}
# Of 11 tokens that are read and 8 that are written, each.
TOKENS = 19


def behave(asked: Asked, place: int) -> Said:
    return completion(asked.json, f"it is {[41, 42, 42][place % 3]}")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("APP_KEY", "app-secret")
    return {"app": {"key_variable": "APP_KEY", "limit": 1e9}}


@pytest.fixture
def priced(trained: Trained, tmp_path: Path) -> Path:
    """A bundle of two models, the second of which costs ten times as much as the first."""
    bundle = trained.bundle
    generators = {
        name: replace(known, model=name, usd_per_mtok_in=price, usd_per_mtok_out=price)
        for (name, known), price in zip(bundle.generators.items(), (1e6, 1e7), strict=True)
    }
    replace(bundle, unit="usd", generators=generators).save(tmp_path / "priced")
    return tmp_path / "priced"


async def metrics(bed: Bed) -> dict[str, float]:
    page = (await bed.ask(path="/metrics", method="GET", headers=KEY)).body.decode()
    lines = [line.rpartition(" ") for line in page.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def spent_by_key(bed: Bed) -> float:
    purses = bed.service.routes["*"].keys
    assert purses is not None
    ((_, purse),) = purses._purses.values()
    return purse.spent


@pytest.mark.parametrize(("model", "price"), [("model-0", 1.0), ("model-1", 10.0), ("model-7", 10.0)])
async def test_a_call_that_passes_is_charged_at_the_prices_of_its_model(
    priced: Path, keys: dict[str, Any], model: str, price: float
) -> None:
    route = {"bundle": str(priced), "price": 1e-9, "extract": "last_number"}
    async with ScriptedUpstream(behave) as up, serving(up, keys=keys, **route) as bed:
        got = await bed.ask(chat(tools=[{}], max_tokens=9) | {"model": model}, headers=KEY)
        assert got.status == 200
        assert spent_by_key(bed) == pytest.approx(TOKENS * price)
    async with ScriptedUpstream(behave) as up, serving(up, mode="shadow", **route) as bed:
        await bed.ask(chat() | {"model": model})
        counts = await metrics(bed)
    assert counts['planner_shadow_total{route="*",what="sent_cost"}'] == pytest.approx(TOKENS * price)


async def test_one_model_does_not_draw_for_several(priced: Path) -> None:
    async with ScriptedUpstream(behave) as up:
        with pytest.raises(InvalidInputError, match="model-0 and model-1 of its bundle are different"):
            async with serving(up, bundle=str(priced), price=1e-9, model="small-1b"):
                pass
        named = {"model-0": {"model": "small-1b"}}
        async with serving(up, bundle=str(priced), price=1e-9, model="small-1b", generators=named):
            pass


async def test_calls_of_the_upstream_are_counted_with_those_that_failed_or_said_nothing() -> None:
    def often_busy(asked: Asked, place: int) -> Said:
        if place % 3 == 2:
            return Said(status=429, headers={"retry-after": "0"})
        return behave(asked, place)

    async with ScriptedUpstream(often_busy) as up, serving(up) as bed:
        for _ in range(4):
            await bed.ask(chat())
        planned = len(up.asked)
        refused = sum(place % 3 == 2 for place in range(planned))
        up.behave = behave
        await bed.ask(chat(tools=[{}], stream=True))
        counts = await metrics(bed)
    calls = {
        kind: counts[f'planner_upstream_calls_total{{kind="{kind}",route="*"}}']
        for kind in ("sent", "failed", "uncounted")
    }
    assert calls == {"sent": planned, "failed": refused, "uncounted": 1}


async def test_nothing_is_expected_of_requests_that_nobody_pays_for(
    keys: dict[str, Any],
) -> None:
    keys["app"]["limit"] = 30.0
    async with ScriptedUpstream(behave) as up, serving(up, keys=keys) as bed:
        got = [await bed.ask(chat(max_tokens=9), headers=KEY) for _ in range(9)]
        counts = await metrics(bed)
    answered = [one for one in got if one.status == 200]
    assert 0 < len(answered) < len(got)
    told = sum(one.json["planner"]["expected_cost"] for one in answered)
    kind = 'planner_cost_total{kind="expected",route="*",unit="output_tokens"}'
    assert counts[kind] == pytest.approx(told)


async def test_a_stream_that_its_window_cannot_pay_passes_as_if_nobody_planned() -> None:
    window = {"price": None, "limit": 30.0, "window": 1000.0, "clock": "prompts"}
    async with ScriptedUpstream(behave) as up, serving(up, **window) as bed:
        got = [await bed.ask(chat(max_tokens=9, stream=True)) for _ in range(12)]
    assert all(one.status == 200 and one.text.startswith("it is 4") for one in got)
    assert sum(b'"planner"' in one.body for one in got) < len(got)


async def test_a_window_starts_from_the_mean_of_what_training_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Prompt] = []
    frontier = Planner.frontier
    monkeypatch.setattr(
        Planner,
        "frontier",
        lambda self, prompts, **how: seen.extend(prompts) or frontier(self, prompts, **how),
    )
    window = {"price": None, "limit": 1e6, "window": 1000.0, "clock": "prompts"}
    async with ScriptedUpstream(behave) as up, serving(up, **window):
        assert [one.content for one in seen] == [None]


async def test_a_new_bundle_brings_generators_that_keys_pay_and_the_log_names(
    priced: Path, keys: dict[str, Any], tmp_path: Path
) -> None:
    live, log = tmp_path / "live", tmp_path / "requests.jsonl"
    copytree(priced, live)
    bundle = Planner.load(priced).bundle
    named = {f"new-{name}": replace(known, name=f"new-{name}") for name, known in bundle.generators.items()}
    route = {"bundle": str(live), "extract": "last_number", "price": 1e-9, "log": str(log)}
    async with ScriptedUpstream(behave) as up, serving(up, keys=keys, **route) as bed:
        assert (await bed.ask(chat(max_tokens=9), headers=KEY)).status == 200
        first = spent_by_key(bed)
        renamed(bundle, named).save(tmp_path / "newer")
        loading = next(one for one in bed.service.opened if isinstance(one, Loading))
        assert await taken(loading, tmp_path / "newer", live) == ["*"]
        got = await bed.ask(chat(max_tokens=9), headers=KEY)
        assert got.json["planner"]["cost"] == pytest.approx(spent_by_key(bed) - first)
        # In tokens, a price and a limit in dollars would mean something else.
        replace(bundle, unit="output_tokens").save(tmp_path / "other")
        assert await taken(loading, tmp_path / "other", live) == []
    logs = [SampleLog.read(file) for file in tmp_path.glob("requests*.jsonl")]
    assert sum(one.n_samples for one in logs) == len(up.asked)
    assert any(set(named) <= set(one.generators) for one in logs)


def renamed(bundle: Any, named: dict[str, Generator]) -> Any:
    """Return a bundle whose generators have other names."""
    names = dict(zip(bundle.generators, named, strict=True))
    courses = [
        replace(course, steps=tuple(replace(step, generator=names[step.generator]) for step in course.steps))
        for course in bundle.table.courses
    ]
    slots = replace(bundle.table.slots, generator=[names[one] for one in bundle.table.slots.generator])
    return replace(
        bundle,
        generators=named,
        table=replace(bundle.table, courses=courses, slots=slots),
        prompt_token_fit={names[name]: fit for name, fit in bundle.prompt_token_fit.items()},
        verifiers={},
    )


async def taken(loading: Loading, new: Path, live: Path) -> list[str]:
    """Put another bundle in the place of the one that is served, and return the routes that take it."""
    rmtree(live)
    copytree(new, live)
    loading._versions["*"] = 0.0
    return await loading.reload()


def test_a_request_log_of_other_generators_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    for name, prompt in (("a", "p"), ("b", "p"), ("b", "q")):
        log = RequestLog(path, {name: Generator(name=name)})
        line = {"prompt_id": prompt, "generator": name, "samples": [{"answer": "1"}]}
        log._append(json.dumps(line).encode() + b"\n")
        log.close()
    assert len(list(tmp_path.iterdir())) == 2
    kept = SampleLog.read(path)
    assert (list(kept.generators), kept.n_samples) == (["b"], 2)
