"""Planned requests: fanned out, stopped early, selected, and answered as one completion with true usage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import chat, serving


def saying(texts: Sequence[str], **more: Any) -> Any:
    """Answer with one text after the other, over and over."""
    return lambda asked, place: completion(asked.json, texts[place % len(texts)], **more)


async def test_samples_vote_and_everything_is_charged() -> None:
    async with (
        ScriptedUpstream(saying(["it is 41", "it is 42", "it is 42"], reasoning=3)) as up,
        serving(up) as bed,
    ):
        got = await bed.ask(chat(top_k=7, max_tokens=50))
    n = len(up.asked)
    assert 3 <= n < 6
    assert got.text == "it is 42"
    assert got.json["choices"][0]["finish_reason"] == "stop"
    usage = got.json["usage"]
    assert usage["prompt_tokens"] == 11 * n
    assert usage["completion_tokens"] == 11 * n
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4 * n}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 3 * n}
    assert got.json["planner"]["samples"] == n == int(got.headers["x-planner-samples"])
    assert got.json["planner"]["selected_by"] == "majority_vote"
    assert float(got.headers["x-planner-cost"]) == 11 * n
    assert got.headers["x-planner-unit"] == "output_tokens"
    assert got.headers["x-planner-stop-reason"] == "satisfied"
    for asked in up.asked:
        assert asked.json["top_k"] == 7
        assert asked.json["max_tokens"] == 50
        assert "planner" not in asked.json
    assert len({asked.json["seed"] for asked in up.asked}) == n


async def test_a_stream_waits_with_signs_of_life_and_then_brings_the_answer() -> None:
    held = asyncio.Event()

    async def behave(asked: Asked, place: int) -> Said:
        if place == 0:
            await held.wait()
        return completion(asked.json, "it is 42")

    async with ScriptedUpstream(behave) as up, serving(up, limits={"keep_alive_seconds": 0.01}) as bed:
        asyncio.get_running_loop().call_later(0.1, held.set)
        got = await bed.ask(chat(stream=True, stream_options={"include_usage": True}))
    assert got.body.startswith(b": ")
    assert got.body.endswith(b"data: [DONE]\n\n")
    assert got.text == "it is 42"
    *_, end, last = got.events
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["planner"]["samples"] == len(up.asked)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 8 * len(up.asked)


async def test_a_plan_of_one_sample_streams_through() -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        got = await bed.ask(chat(stream=True), headers={"x-planner-price": "1"})
        with_usage = await bed.ask(
            chat(stream=True, stream_options={"include_usage": True}, planner={"price": 1})
        )
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert got.text == with_usage.text == "answer: 42"
    assert len(got.events) == 11
    assert not any(event.get("usage") for event in got.events)
    assert with_usage.events[-1]["usage"]["completion_tokens"] == 10
    assert all(asked.json["stream_options"] == {"include_usage": True} for asked in up.asked)
    assert 'planner_tokens_total{kind="output",route="*"} 20.0' in page
    assert 'planner_price{route="*"} 1e-05' in page


async def test_where_nothing_can_select_the_plan_is_one_sample_and_says_so() -> None:
    async with ScriptedUpstream() as up, serving(up, extract=None) as bed:
        got = await bed.ask(chat(planner={"explain": True}))
    assert len(up.asked) == 1
    assert got.json["planner"]["samples"] == 1
    assert "nothing can select" in got.json["planner"]["reason"]


async def test_the_likeliest_sample_needs_no_answers() -> None:
    def behave(asked: Asked, place: int) -> Said:
        assert asked.json["logprobs"] is True
        said = completion(asked.json, f"text {place}")
        value = -0.1 if place == 1 else -0.9
        tokens = [{"token": "x", "logprob": value, "bytes": None, "top_logprobs": []}] * 6
        logprobs = (
            b'"logprobs": ' + str({"content": tokens}).replace("'", '"').replace("None", "null").encode()
        )
        return Said(body=said.body.replace(b'"logprobs": null', logprobs))

    async with ScriptedUpstream(behave) as up, serving(up, extract=None, select="logprob") as bed:
        got = await bed.ask(chat())
    assert len(up.asked) > 1
    assert got.text == "text 1"
    assert got.json["planner"]["selected_by"] == "best_of_n"


async def test_options_bound_a_request() -> None:
    async with (
        ScriptedUpstream(saying(["1", "2", "3", "4", "5", "6", "7"])) as up,
        serving(up, limits={"max_samples": 3}) as bed,
    ):
        await bed.ask(chat())
        assert len(up.asked) == 3
        await bed.ask(chat(planner={"max_samples": 2, "price": 1e-6}))
        assert len(up.asked) == 5
        poor = await bed.ask(chat(planner={"budget": 3}))
        assert poor.status == 402
        rich = await bed.ask(chat(planner={"budget": 3, "unit": "samples"}))
        assert rich.json["planner"]["samples"] <= 3
        assert rich.json["planner"]["unit"] == "samples"
        assert rich.json["planner"]["cost"] <= 3


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"planner": {"budget": 1, "price": 1}}, "planner.price"),
        ({"planner": {"unit": "bananas", "budget": 1}}, "planner.unit"),
        ({"planner": {"max_samples": 0}}, "planner.max_samples"),
        ({"planner": {"deadline_seconds": "soon"}}, "planner.deadline_seconds"),
        ({"planner": []}, "planner"),
        ({"messages": []}, "messages"),
        ({"messages": [1]}, "messages"),
        ({"n": 0}, "n"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        got = await bed.ask(chat() | more)
    assert got.status == 400
    assert got.json["error"]["param"] == param
    assert not up.asked


async def test_thinking_that_ate_the_answer_abstains_and_is_charged() -> None:
    async with ScriptedUpstream(saying([""], finish="length", reasoning=49)) as up, serving(up) as bed:
        got = await bed.ask(chat(max_tokens=50))
    assert got.json["planner"]["stop_reason"] == "thinking_exhausted"
    assert got.json["choices"][0]["finish_reason"] == "length"
    assert got.text == ""
    assert got.json["usage"]["completion_tokens"] == 50 * len(up.asked)


@pytest.mark.parametrize("reasoning", [0, 49])
async def test_thinking_that_ate_the_only_sample_has_the_same_name(reasoning: int) -> None:
    # Many servers do not state reasoning tokens: an empty answer that was cut tells as much.
    body = chat(max_tokens=50, planner={"price": 1})
    async with (
        ScriptedUpstream(saying([""], finish="length", reasoning=reasoning)) as up,
        serving(up) as bed,
    ):
        got = await bed.ask(body)
        stream = await bed.ask(body | {"stream": True})
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert got.json["planner"]["stop_reason"] == "thinking_exhausted" == got.headers["x-planner-stop-reason"]
    assert got.json["planner"]["cost"] == 1 + reasoning
    assert got.json["choices"][0]["finish_reason"] == "length"
    assert stream.text == ""
    n = 1 + bool(reasoning)
    assert f'planner_stops_total{{reason="thinking_exhausted",route="*"}} {n}.0' in page


async def test_an_answer_that_was_cut_is_not_exhausted() -> None:
    async with (
        ScriptedUpstream(saying(["it is"], finish="length", reasoning=9)) as up,
        serving(up) as bed,
    ):
        got = await bed.ask(chat(planner={"price": 1}))
    assert got.json["planner"]["stop_reason"] == "complete"


async def test_a_deadline_brings_the_best_answer_so_far() -> None:
    never = asyncio.Event()

    async def behave(asked: Asked, place: int) -> Said:
        if place >= 2:
            await never.wait()
        return completion(asked.json, "it is 42" if place else "it is 41")

    async with ScriptedUpstream(behave) as up, serving(up) as bed:
        got = await bed.ask(chat(planner={"deadline_seconds": 0.3}))
        while not up.dropped:
            await asyncio.sleep(0)
    assert got.text in ("it is 41", "it is 42")
    assert got.json["planner"]["stop_reason"] == "time"


async def test_the_operators_deadline_holds_as_well() -> None:
    never = asyncio.Event()

    async def behave(asked: Asked, place: int) -> Said:
        if place:
            await never.wait()
        return completion(asked.json, "it is 41")

    async with ScriptedUpstream(behave) as up, serving(up, limits={"deadline_seconds": 0.3}) as bed:
        got = await bed.ask(chat())
        never.set()
    assert got.text == "it is 41"
    assert got.json["planner"]["stop_reason"] == "time"


async def test_samples_that_fail_do_not_lose_the_others() -> None:
    def behave(asked: Asked, place: int) -> Said:
        if place % 2:
            return Said(status=500, body=b"no")
        return completion(asked.json, "it is 42")

    async with ScriptedUpstream(behave) as up, serving(up, upstream={"max_retries": 0}) as bed:
        got = await bed.ask(chat())
    assert got.text == "it is 42"
    assert got.json["planner"]["failures"] == len(up.asked) // 2


async def test_garbage_from_upstream_is_a_502() -> None:
    async with (
        ScriptedUpstream(lambda *_: Said(body=b"<html>")) as up,
        serving(up, upstream={"max_retries": 0}) as bed,
    ):
        got = await bed.ask(chat())
    assert got.status == 502
    assert "Traceback" not in got.body.decode()


async def test_the_plan_alone_spends_nothing() -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        got = await bed.ask(chat(), path="/v1/plan")
        passed = await bed.ask(chat(n=2), path="/v1/plan")
    assert got.json["mode"] == "plan"
    assert got.json["max_samples"] == 32
    assert passed.json == {"mode": "pass", "because": "n"}
    assert not up.asked


async def test_plain_completions_are_planned_too() -> None:
    async with ScriptedUpstream(saying(["it is 42"])) as up, serving(up) as bed:
        got = await bed.ask({"model": "tiny", "prompt": "6 x 7 ="}, path="/v1/completions")
    assert got.json["object"] == "text_completion"
    assert got.json["choices"][0]["text"] == "it is 42"
    assert {asked.path for asked in up.asked} == {"/v1/completions"}
    assert {asked.json["prompt"] for asked in up.asked} == {"6 x 7 ="}


async def test_effort_auto_is_the_planners() -> None:
    async with ScriptedUpstream() as up, serving(up) as bed:
        for more in ({}, {"n": 2}, {"planner": {"price": 1}}):
            assert (await bed.ask(chat(reasoning_effort="auto", **more))).status == 200
        await bed.ask(chat(reasoning_effort="low", planner={"price": 1}))
    *auto, low = up.asked
    assert all("reasoning_effort" not in asked.json for asked in auto)
    assert low.json["reasoning_effort"] == "low"


async def test_json_is_voted_on_where_the_route_says_how() -> None:
    texts = ['{"answer": 41}', '{"answer": 42}', '{"answer": 42, "why": "x"}']
    async with ScriptedUpstream(saying(texts)) as up, serving(up, extract="json:answer") as bed:
        got = await bed.ask(chat(response_format={"type": "json_object"}))
    assert len(up.asked) > 2
    assert '"answer": 42' in got.text
    assert all(asked.json["response_format"] == {"type": "json_object"} for asked in up.asked)
