"""Requests that may be cancelled: their replies come in pieces, and what was seen of them is in the books."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from backend_contract import request
from both_drivers import run_concurrently
from fake_openai_server import FakeOpenAIServer, Response, completion, in_pieces, refusal
from strategy_contract import task

from difficulty.errors import InvalidResponseError
from planner.answers.rules import LastNumber
from planner.backends.openai import OpenAIBackend
from planner.backends.openai.asking import Asking
from planner.backends.openai.failure import Failed
from planner.backends.openai.stream import Pieces
from planner.drivers import Limits
from planner.ports.ports import Metered, SampleRequest

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")


@pytest.fixture
def server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer() as running:
        yield running


def backend(server: FakeOpenAIServer, **options: Any) -> OpenAIBackend:
    return OpenAIBackend(base_url=server.url, **({"max_retries": 0, "timeout_seconds": 20.0} | options))


def revocable(**more: Any) -> SampleRequest:
    return replace(request(**more), revocable=True)


def hanging(after: int) -> Any:
    """Answer in pieces, and hang after so many tokens of all choices together."""

    def behave(body: dict[str, Any], _index: int) -> Response:
        whole = completion({**body, "stream": False})
        return in_pieces(json.loads(whole.body), hang_after=after)

    return behave


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_pieces_make_the_completion_that_the_whole_reply_makes(
    server: FakeOpenAIServer, api: Any
) -> None:
    one = backend(server, api=api)
    assert await one.sample([revocable(n=3, seed=4)]) == await one.sample([request(n=3, seed=4)])
    streamed, plain = server.requests
    assert streamed["stream"] is True and streamed["stream_options"]["include_usage"] is True
    assert "stream" not in plain


async def test_a_cancelled_call_says_how_many_tokens_it_has_seen() -> None:
    with FakeOpenAIServer(hanging(6)) as server:
        one = backend(server)
        call = asyncio.create_task(one.sample([revocable()]))
        await asyncio.to_thread(server.halfway.wait, 20)
        while not one_has_seen(call, one, 6):
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
    metered = Metered.of(caught.value)
    assert metered is not None and not metered.exact
    assert metered.usage.output_tokens == one.spent.cancelled.output_tokens == 6


def one_has_seen(call: asyncio.Task[Any], one: OpenAIBackend, tokens: int) -> bool:
    """Say whether a call in flight has taken so many tokens off the line."""
    asking = []
    for one_task in asyncio.all_tasks():
        awaited: Any = one_task.get_coro()
        while hasattr(awaited, "cr_frame"):
            asking.append(awaited.cr_frame and awaited.cr_frame.f_locals.get("self"))
            awaited = awaited.cr_await
    held = [one._in_flight for one in asking if isinstance(one, Asking)]
    return any(pieces.usage().output_tokens >= tokens for pieces in held if isinstance(pieces, Pieces))


async def test_a_call_that_is_cancelled_unsent_has_used_nothing_exactly(server: FakeOpenAIServer) -> None:
    one = backend(server, max_concurrency=1)
    server.behave = lambda body, _: Response(hang=True)
    first = asyncio.create_task(one.sample([request()]))
    await asyncio.to_thread(server.arrived.wait, 20)
    second = asyncio.create_task(one.sample([revocable()]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await second
    metered = Metered.of(caught.value)
    assert metered is not None and metered.exact and metered.usage.requests == 0
    first.cancel()
    with pytest.raises(asyncio.CancelledError) as unknown:
        await first
    assert Metered.of(unknown.value) is None


async def test_a_timeout_is_still_a_timeout() -> None:
    with FakeOpenAIServer(hanging(2)) as server, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await backend(server).sample([revocable()])


async def test_a_run_out_of_time_has_what_was_seen_in_its_ledger() -> None:
    with FakeOpenAIServer(hanging(5)) as server:
        one = backend(server, model="m")
        work = replace(task("majority_vote", width=1), extractor=LastNumber())
        (outcome,) = await run_concurrently([work], backend=one, limits=Limits(max_seconds=1.0))
    assert [error.kind for error in outcome.errors] == ["CancelledLowerBound"]
    assert outcome.stop_reason == "time" and outcome.answer is None
    assert outcome.usage.output_tokens == outcome.usage.wasted_tokens == 5


@pytest.mark.parametrize(("seconds", "streamed"), [(60.0, 1), (1000.0, 0), (None, 0)])
async def test_only_what_time_may_run_out_on_is_streamed(
    server: FakeOpenAIServer, seconds: float | None, streamed: int
) -> None:
    one = backend(server, model="m")
    tasks = [replace(task("majority_vote", id=f"p{i}", width=1), extractor=LastNumber()) for i in range(4)]
    # The first request shows how long one takes, and that there is time for the others.
    await run_concurrently(tasks, backend=one, limits=Limits(max_seconds=seconds, max_concurrency=1))
    assert [sent.get("stream", False) for sent in server.requests].count(True) == streamed


@pytest.mark.parametrize("said", ["stream is not supported", "unknown field continuous_usage_stats"])
async def test_refusals_of_streams_are_learnt(said: str) -> None:
    def picky(body: dict[str, Any], _index: int) -> Response:
        running = body.get("stream_options", {}).get("continuous_usage_stats")
        if body.get("stream") and ("continuous" not in said or running):
            return refusal(said)
        return completion(body)

    with FakeOpenAIServer(picky) as server:
        one = backend(server)
        [[sample]] = await one.sample([revocable(seed=4)])
    assert sample.text == "answer 4"
    assert one.traits.streams == ("continuous" in said) and len(one.traits.notes) == 1


async def test_a_stream_that_breaks_off_is_asked_for_again_whole() -> None:
    def breaks(body: dict[str, Any], _index: int) -> Response:
        response = completion(body)
        return replace(response, cut_after=len(response.body) // 2) if body.get("stream") else response

    with FakeOpenAIServer(breaks) as server:
        one = backend(server)
        [[sample]] = await one.sample([revocable(seed=4)])
    assert (sample.text, sample.failed_requests) == ("answer 4", 1)
    # What the first try generated is not lost from the books.
    assert one.spent.failed.output_tokens > 0
    assert "stream" not in server.requests[1]


async def test_an_error_in_the_stream_is_typed() -> None:
    broken = Response(body=b'data: {"error": {"message": "out of memory"}}\n\n')
    with (
        FakeOpenAIServer(lambda body, _: broken if body.get("stream") else refusal("no")) as server,
        pytest.raises(InvalidResponseError, match="out of memory"),
    ):
        await backend(server).sample([revocable()])


def test_running_counts_of_the_server_are_believed() -> None:
    pieces = Pieces(n=1)
    pieces.feed(
        b'data: {"choices": [{"text": "a b c"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
    )
    assert (pieces.usage().prompt_tokens, pieces.usage().output_tokens) == (7, 3)
    llama = Pieces(n=1)
    llama.feed(
        b'data: {"choices": [{"text": "a"}], "timings": {"cache_n": 4, "prompt_n": 2, "predicted_n": 5}}\n\n'
    )
    used = llama.usage()
    assert (used.prompt_tokens, used.cached_prompt_tokens, used.output_tokens) == (6, 4, 5)


def test_two_choices_are_counted_apart_and_together() -> None:
    pieces = Pieces(n=2)
    for index, count in ((0, 1), (1, 1), (0, 2)):
        usage = {"prompt_tokens": 3, "completion_tokens": count}
        event = json.dumps({"choices": [{"index": index, "text": "x"}], "usage": usage})
        pieces.feed(f"data: {event}\n\n".encode())
    assert pieces.usage().output_tokens == 3
    with pytest.raises(Failed, match="before its last piece"):
        pieces.reply()
