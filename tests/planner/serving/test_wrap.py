"""A wrapped client: the same type and calls, plans behind them, and its own transport below."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion

from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner import wrap

openai = pytest.importorskip("openai", reason="the official client is not installed")

ASK: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "6 x 7? 🦊"}]}
TEXTS = ["it is 41", "it is 42", "it is 42"]


def behave(asked: Asked, place: int) -> Said:
    if "embeddings" in asked.path:
        return Said(body=b'{"data": [{"embedding": [0.5], "index": 0, "object": "embedding"}], "model": "t"}')
    return completion(asked.json, TEXTS[place % 3])


@asynccontextmanager
async def made(kind: str, url: str, **more: Any) -> AsyncIterator[Any]:
    """A client of one kind, closed in the end."""
    client = client_of(kind, url, **more)
    try:
        yield client
    finally:
        if kind.startswith("async"):
            await client.close()
        else:
            client.close()


def client_of(kind: str, url: str, **more: Any) -> Any:
    settings: dict[str, Any] = {"api_key": "its-key", "max_retries": 0, **more}
    if kind.endswith("azure"):
        name = "AzureOpenAI" if kind == "azure" else "AsyncAzureOpenAI"
        root = url.removesuffix("/v1")
        return getattr(openai, name)(azure_endpoint=root, api_version="2024-10-21", **settings)
    return {"sync": openai.OpenAI, "async": openai.AsyncOpenAI}[kind](base_url=url, **settings)


KINDS = ["sync", "async", "azure", "async-azure"]


async def called(kind: str, call: Callable[[], Any]) -> Any:
    """Make a call of a synchronous client in a thread, and of an asynchronous one here."""
    if kind.startswith("async"):
        result: Awaitable[Any] = call()
        return await result
    return await asyncio.to_thread(call)


@pytest.mark.parametrize("kind", KINDS)
async def test_requests_are_planned_and_the_type_stays(kind: str) -> None:
    async with (
        ScriptedUpstream(behave) as up,
        made(kind, up.url, default_headers={"x-team": "blue"}) as client,
    ):
        wrapped = wrap(client, price=1e-5, extractor="last_number")
        got = await called(kind, lambda: wrapped.chat.completions.create(**ASK))
        n = len(up.asked)
        raw = await called(kind, lambda: wrapped.chat.completions.with_raw_response.create(**ASK))
        other = wrapped.with_options(timeout=20.0)
        again = await called(kind, lambda: other.chat.completions.create(**ASK))
    assert type(wrapped) is type(client)
    assert isinstance(got, openai.types.chat.ChatCompletion)
    assert got.choices[0].message.content == again.choices[0].message.content == "it is 42"
    assert got.planner["samples"] == n > 2
    assert got.usage.completion_tokens == 8 * n
    assert raw.headers["x-planner-stop-reason"] == "satisfied"
    assert int(raw.headers["x-planner-samples"]) > 1
    header = ("api-key", "its-key") if kind.endswith("azure") else ("authorization", "Bearer its-key")
    for asked in up.asked:
        assert asked.headers[header[0]] == header[1]
        assert asked.headers["x-team"] == "blue"
        assert not kind.endswith("azure") or "/deployments/tiny/chat/completions?api-version=" in asked.path


@pytest.mark.parametrize("kind", KINDS)
async def test_streams_come_in_pieces(kind: str) -> None:
    async with ScriptedUpstream(behave) as up, made(kind, up.url) as client:
        for price, n_chunks in ((1e-5, 3), (1.0, 9)):
            wrapped = wrap(client, price=price, extractor="last_number")
            stream = await called(
                kind, lambda client=wrapped: client.chat.completions.create(**ASK, stream=True)
            )
            if kind.startswith("async"):
                chunks = [chunk async for chunk in stream]
            else:
                chunks = await asyncio.to_thread(list, stream)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            assert text.startswith("it is 4")
            assert len(chunks) == n_chunks


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_everything_else_goes_through_with_one_call(kind: str) -> None:
    packed = gzip.compress(completion({"messages": [], "model": "t"}, "packed é").body)

    def pack(asked: Asked, place: int) -> Said:
        if asked.path.endswith("/chat/completions"):
            headers = {"content-encoding": "gzip", "content-type": "application/json"}
            return Said(body=packed, headers=headers)
        return behave(asked, place)

    async with ScriptedUpstream(pack) as up, made(kind, up.url) as client:
        wrapped = wrap(client, price=1e-5, extractor="last_number")
        got = await called(kind, lambda: wrapped.chat.completions.create(**ASK, n=2))
        vectors = await called(
            kind, lambda: wrapped.embeddings.create(model="t", input="x", encoding_format="float")
        )
    assert got.choices[0].message.content == "packed é"
    assert vectors.data[0].embedding == [0.5]
    assert [asked.json.get("n") for asked in up.asked] == [2, None]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_errors_are_those_of_the_bare_client(kind: str) -> None:
    body = b'{"error": {"message": "no such key"}}'
    async with ScriptedUpstream(lambda *_: Said(status=401, body=body)) as up, made(kind, up.url) as client:
        wrapped = wrap(client, price=1e-5, extractor="last_number")
        for more in ({}, {"n": 2}):
            with pytest.raises(openai.AuthenticationError, match="no such key"):
                await called(kind, lambda extra=more: wrapped.chat.completions.create(**ASK, **extra))
        gone = up.url
    async with made(kind, gone) as client:
        wrapped = wrap(client, price=1e-5, extractor="last_number")
        with pytest.raises(openai.APIConnectionError):
            await called(kind, lambda: wrapped.chat.completions.create(**ASK, n=2))
        with pytest.raises(openai.APIError):
            await called(kind, lambda: wrapped.chat.completions.create(**ASK))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_timeout_of_the_client_ends_its_samples(kind: str) -> None:
    never = asyncio.Event()

    async def slow(asked: Asked, _: int) -> Said:
        await never.wait()
        return completion(asked.json, "late")

    async with ScriptedUpstream(slow) as up, made(kind, up.url, timeout=0.2) as client:
        wrapped = wrap(client, price=1e-5, extractor="last_number")
        with pytest.raises(openai.APITimeoutError):
            await called(kind, lambda: wrapped.chat.completions.create(**ASK))
        if kind == "async":
            while not up.dropped:
                await asyncio.sleep(0)


async def test_the_clients_own_transport_is_used_and_the_client_is_left_as_it_was() -> None:
    async with made("async", "http://nowhere.test/v1") as bare:
        name = "httpx2" if "httpx2" in str(type(bare._client).__mro__) else "httpx"
    library = pytest.importorskip(name, reason="the client's library")
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(str(request.url))
        return library.Response(200, content=completion({"messages": []}, "it is 42").body)

    own = library.AsyncClient(transport=library.MockTransport(answer))
    client = openai.AsyncOpenAI(api_key="k", base_url="http://nowhere.test/v1", http_client=own)
    wrapped = wrap(client, price=1e-5, extractor="last_number")
    got = await wrapped.chat.completions.create(**ASK)
    assert got.planner["samples"] == len(seen) > 1
    seen.clear()
    await client.chat.completions.create(**ASK)
    assert len(seen) == 1
    await wrapped.close()
    assert not own.is_closed
    await own.aclose()


def test_what_cannot_be_wrapped_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"openai\.OpenAI"):
        wrap(object(), price=1.0)
    with openai.OpenAI(api_key="k") as client:
        with pytest.raises(InvalidBudgetError):
            wrap(client, price=-1.0)
        with pytest.raises(InvalidInputError, match="generators other"):
            wrap(client, price=1.0, models={"other": "m"})
        with pytest.raises(InvalidInputError, match="answers must be"):
            wrap(client, price=1.0, extractor="nothing")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_judge_is_asked_over_the_same_client(kind: str) -> None:
    def says(asked: Asked, place: int) -> Said:
        if asked.json["model"] == "big":
            return completion(asked.json, "Score: 9" if "song" in asked.body.decode() else "Score: 2")
        return completion(asked.json, ["a poem", "a song"][place % 2])

    async with ScriptedUpstream(says) as up, made(kind, up.url) as plain:
        client = wrap(plain, price=1e-5, select="judge", judge="big", max_samples=2)
        got = await called(kind, lambda: client.chat.completions.create(**ASK))
    assert got.choices[0].message.content == "a song"
    assert got.planner["judge"]["requests"] == 2
    judged = [asked for asked in up.asked if asked.json["model"] == "big"]
    assert len(judged) == 2
    if kind.endswith("azure"):
        assert all("/deployments/big/" in asked.path for asked in judged)


async def test_a_judge_and_its_selection_go_together() -> None:
    async with made("sync", "http://127.0.0.1:9/v1") as plain:
        for wrong in ({"select": "judge"}, {"judge": "big"}, {"select": "verifier"}):
            with pytest.raises(InvalidInputError, match="go together"):
                wrap(plain, price=1e-5, **wrong)
