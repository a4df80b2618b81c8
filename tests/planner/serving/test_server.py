"""The socket: what is bounded, however slow, large or odd a client is."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import enable_created_metrics
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import Bed, chat, serving

from planner.serving.server import prepare_process, server_of
from planner.serving.watch import Seen, Watch

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

BODY = json.dumps(chat(planner={"price": 1})).encode()


@asynccontextmanager
async def listening(bed: Bed, **more: Any) -> AsyncIterator[int]:
    """Serve on a free port, and give it."""
    server = server_of(bed.service.application, **more)
    server.config.lifespan = "off"
    work = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await work


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def head(*lines: str, length: int = len(BODY)) -> bytes:
    first = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    return (first + "".join(f"{line}\r\n" for line in lines) + f"content-length: {length}\r\n\r\n").encode()


async def ask(port: int, data: bytes) -> bytes:
    """Send bytes, and return all that comes until the connection ends, or a whole answer."""
    async with connection(port) as (reader, writer):
        writer.write(data)
        try:
            said = await reader.readuntil(b"\r\n\r\n")
            length = said.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return said + (await reader.readexactly(int(length)) if length else b"")
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            return error.partial if isinstance(error, asyncio.IncompleteReadError) else b""


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (head(*(f"x-{n}: 1" for n in range(300))) + BODY, 431),
        (head("x: " + "y" * 100_000) + BODY, 431),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n", 400),
        (head("transfer-encoding: chunked") + b"0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (head("transfer-encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), 400),
        (head("transfer-encoding: gzip, chunked") + BODY, 501),
        (head(length=-1), 400),
        (b"GET http://elsewhere.example/v1/models HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n", 404),
        (b"CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n", 404),
        (head(length=10**15), 413),
        (head("content-length: 1") + BODY, 400),
        (head("upgrade: websocket", "connection: upgrade") + BODY, 200),
        (head() + BODY, 200),
    ],
)
async def test_odd_requests_are_refused_and_the_server_goes_on(data: bytes, code: int) -> None:
    async with ScriptedUpstream() as up, serving(up) as bed, listening(bed) as port:
        answer = await ask(port, data)
        assert status(answer) in ({code, 400} if code == 501 else {code}), answer
        assert b"Traceback" not in answer
        assert status(await ask(port, head() + BODY)) == 200


async def test_a_client_that_sends_too_slowly_is_left() -> None:
    async with (
        ScriptedUpstream() as up,
        serving(up, limits={"client_seconds": 0.1}) as bed,
        listening(bed, client_seconds=0.1) as port,
    ):
        assert await ask(port, b"") == b""
        assert await ask(port, head()[:-2]) == b""
        async with connection(port) as (reader, writer):  # a further request on a connection that is kept
            for data in (head() + BODY, head()[:20]):
                writer.write(data)
                said = await reader.read(100)
                assert said.startswith(b"HTTP/1.1 200") == (len(data) > 20)
                while said and b"plan_id" not in said:
                    said = await reader.read(10_000)
        assert status(await ask(port, head() + BODY[:-1])) == 408
        assert status(await ask(port, head() + BODY)) == 200


async def test_a_client_that_does_not_take_its_answer_is_left() -> None:
    def much(asked: Asked, _: int) -> Said:
        return Said(
            pieces=[b"data: " + b"x" * 2**16 + b"\n\n"] * 400, headers={"content-type": "text/event-stream"}
        )

    async with (
        ScriptedUpstream(much) as up,
        serving(up, limits={"client_seconds": 0.1}) as bed,
        listening(bed) as port,
        connection(port) as (_, writer),
    ):
        body = json.dumps(chat(stream=True, planner={"mode": "off"})).encode()
        writer.write(head(length=len(body)) + body)
        async with asyncio.timeout(20):
            while not up.asked or bed.service.handler.in_flight:
                await asyncio.sleep(0.001)
        assert bed.service.handler.in_flight == 0


async def test_bodies_of_strangers_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_KEY", "app-secret")
    async with (
        ScriptedUpstream() as up,
        serving(up, keys={"app": {"key_variable": "APP_KEY"}}) as bed,
        listening(bed) as port,
    ):
        assert status(await ask(port, head(length=1000))) == 401
        assert status(await ask(port, head("authorization: Bearer app-secret") + BODY)) == 200


async def test_all_bodies_together_are_bounded() -> None:
    limits = {"max_held_bytes": 3000}
    async with (
        ScriptedUpstream() as up,
        serving(up, limits=limits) as bed,
        listening(bed) as port,
        connection(port) as (_, writer),
    ):
        writer.write(head(length=2001) + b"x" * 2000)
        while not bed.service.application._held_bytes:
            await asyncio.sleep(0.001)
        assert status(await ask(port, head(length=2000) + b"x" * 2000)) == 503
        assert status(await ask(port, head() + BODY)) == 200
        writer.close()
        while bed.service.application._held_bytes:
            await asyncio.sleep(0.001)


async def test_connections_are_bounded() -> None:
    async with (
        ScriptedUpstream() as up,
        serving(up) as bed,
        listening(bed, max_connections=1) as port,
        connection(port) as (_, writer),
    ):
        writer.write(head()[:20])
        assert await ask(port, head() + BODY) == b""
        writer.close()
        while status(await ask(port, head() + BODY) or b"HTTP/1.1 0 X") != 200:
            await asyncio.sleep(0.001)


async def test_headers_of_one_hop_stay_there() -> None:
    lines = ("connection: close, x-mine", "x-mine: 1", "te: trailers", "proxy-authorization: Basic eA==",
             "keep-alive: 9", "x-theirs: 2", "cookie: a=b")  # fmt: skip
    async with (
        ScriptedUpstream(lambda asked, _: completion(asked.json, "it is 42")) as up,
        serving(up) as bed,
        listening(bed) as port,
    ):
        host = up.url.split("/")[2]
        for mode in ("plan", "off"):
            assert status(await ask(port, head(*lines, f"x-planner-mode: {mode}") + BODY)) == 200
    assert len(up.asked) == 2
    for asked in up.asked:
        assert asked.headers["x-theirs"] == "2"
        assert not {"x-mine", "te", "proxy-authorization", "keep-alive", "cookie"} & set(asked.headers)
        assert asked.headers["host"] == host


def test_a_process_that_only_serves_is_prepared() -> None:
    before, files = gc.get_threshold(), resource.getrlimit(resource.RLIMIT_NOFILE)
    logger = logging.getLogger("uvicorn.error")
    try:
        prepare_process()
        assert gc.get_threshold()[0] >= 10 * before[0]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (files[1], files[1])
        (quiet,) = logger.filters
        broken = logging.makeLogRecord({"msg": "ASGI callable returned without completing response."})
        assert not logger.filter(broken)
        assert logger.filter(logging.makeLogRecord({"msg": "another"}))
        watch = Watch()
        watch.call(Seen(route="tiny", status=200, seconds=0.1))
        page = watch.page(in_flight=0).body
        assert b"planner_requests_total" in page and b"_created" not in page
    finally:
        enable_created_metrics()
        gc.set_threshold(*before)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        logger.removeFilter(quiet)


@pytest.mark.parametrize("more", [{}, {"planner": {"price": 1}}, {"tools": [{}]}])
async def test_whoever_still_waits_when_the_server_ends_is_told(
    more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def never(asked: Asked, place: int) -> Said:
        await asyncio.Event().wait()
        raise AssertionError

    async with ScriptedUpstream(never) as up, serving(up) as bed:
        server = server_of(bed.service.application)
        server.config.lifespan, server.config.timeout_graceful_shutdown = "off", 0.01
        work = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.001)
        body = json.dumps(chat(**more)).encode()
        port = server.servers[0].sockets[0].getsockname()[1]
        answer = asyncio.create_task(ask(port, head(length=len(body)) + body))
        while not up.asked:
            await asyncio.sleep(0.001)
        server.should_exit = True
        said = await answer
        await work
        assert bed.service.handler.in_flight == 0
    assert status(said) == 503
    assert b"retry-after: 1" in said and b"server_stopping" in said
    assert not any(record.exc_info for record in caplog.records if record.name.startswith("uvicorn"))
