"""What the proxy adds: latency at a fixed rate, time to the first token, and requests per second of one core.

A mock of a server, the proxy and the client each have a process of their own. Every other request goes to the
mock directly, so that both are measured in the same seconds. ``python -m benchmarks.serving`` prints a table,
and the load of the machine (1.0 is one core at work).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from benchmarks._processes import started

_ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "it is 42"}}
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
    }
).encode()
_PIECE = b'data: {"choices": [{"index": 0, "delta": {"content": "42"}, "finish_reason": null}]}\n\n'


async def _mock(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b'"stream":true' in body.replace(b" ", b""):
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                    b"transfer-encoding: chunked\r\n\r\n"
                )
                for piece in (_PIECE, _PIECE, b"data: [DONE]\n\n"):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(_ANSWER), _ANSWER)
                )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _serve_mock(pipe: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(_mock, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _serve_proxy(pipe: Connection, upstream: int, mode: str) -> None:
    from planner.serving.build import build
    from planner.serving.server import prepare_process, server_of
    from planner.serving.settings import ServeSettings

    prepare_process()
    route: dict[str, Any] = {"upstream": "up", "mode": "off"}
    if mode != "off":
        route = {"upstream": "up", "price": float(mode), "extract": "last_number"}
    service = build(
        ServeSettings.from_plain(
            {
                "upstreams": {"up": {"base_urls": [f"http://127.0.0.1:{upstream}/v1"]}},
                "routes": {"*": route},
            }
        )
    )
    asyncio.run(_listening(server_of(service.application), pipe))


async def _listening(server: Any, pipe: Connection) -> None:
    work = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    pipe.send(server.servers[0].sockets[0].getsockname()[1])
    await work


class _Caller:
    """Sends requests over kept connections; returns seconds to the first byte and to the last."""

    def __init__(self, port: int, body: bytes) -> None:
        self._port, self._free = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        self._request = head + b"content-length: %d\r\n\r\n%b" % (len(body), body)

    async def call(self) -> tuple[float, float]:
        started = time.perf_counter()
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        if b"chunked" in head:
            first = 0.0
            while (size := int(await reader.readline(), 16)) or not first:
                await reader.readexactly(size + 2)
                first = first or time.perf_counter() - started
            await reader.readline()
        else:
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            first = time.perf_counter() - started
        self._free.append((reader, writer))
        return first, time.perf_counter() - started


async def _at_rate(callers: list[_Caller], rate: float, seconds: float) -> tuple[list[Any], int]:
    """Send to one caller after the other, `rate` a second each; return their times and the failures."""
    found: list[list[tuple[float, float]]] = [[] for _ in callers]
    failed = 0

    async def one(place: int) -> None:
        nonlocal failed
        try:
            found[place].append(await callers[place].call())
        except (RuntimeError, OSError, asyncio.IncompleteReadError):
            failed += 1

    tasks = []
    start = time.perf_counter()
    for turn in range(int(rate * seconds * len(callers))):
        await asyncio.sleep(max(start + turn / (rate * len(callers)) - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(turn % len(callers))))
    await asyncio.gather(*tasks)
    return [np.array(times) for times in found], failed


async def _flood(caller: _Caller, seconds: float, width: int = 32) -> float:
    """Return requests per second with `width` in flight."""
    n, until = 0, time.perf_counter() + seconds

    async def work() -> None:
        nonlocal n
        while time.perf_counter() < until:
            await caller.call()
            n += 1

    await asyncio.gather(*(work() for _ in range(width)))
    return n / seconds


def _cpu(process: BaseProcess) -> float:
    """Return the CPU seconds that a process has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    ticks: float = (int(fields[11]) + int(fields[12])) / 100
    return ticks


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--quick", action="store_true", help="two seconds per row")
    given = parser.parse_args(argv)
    if given.quick:
        given.seconds = 2.0
    print(f"load before: {_load()}")
    mock, _, upstream = started(_serve_mock)
    messages = {"model": "tiny", "messages": [{"role": "user", "content": "6 x 7?"}]}
    whole, streamed = (json.dumps(messages | {"stream": on}).encode() for on in (False, True))
    print(
        "| what | bare p50 ms | bare p99 ms | added p50 ms | added p99 ms | failed | RPS | CPU ms/request |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, mode, body in (
        ("passed through", "off", whole),
        ("passed through, stream", "off", streamed),
        ("planned, one sample", "1", whole),
        ("planned, one sample, stream", "1", streamed),
        ("planned, 3 samples", "1e-5", whole),
    ):
        proxy, _, port = started(_serve_proxy, upstream, mode)

        async def measure(port: int = port, body: bytes = body) -> tuple[list[Any], int]:
            callers = [_Caller(upstream, body), _Caller(port, body)]
            await _at_rate(callers, given.rate, 1.0)
            return await _at_rate(callers, given.rate, given.seconds)

        async def flood(port: int = port, body: bytes = body) -> float:
            return await _flood(_Caller(port, body), given.seconds / 2)

        (bare, proxied), failed = asyncio.run(measure())
        before = _cpu(proxy)
        rate = asyncio.run(flood())
        used = (_cpu(proxy) - before) / (rate * given.seconds / 2)
        column = 0 if "stream" in name else 1
        direct, through = (1000 * np.percentile(times[:, column], [50, 99]) for times in (bare, proxied))
        added = through - direct
        print(
            f"| {name} | {direct[0]:.2f} | {direct[1]:.2f} | {added[0]:.2f} | {added[1]:.2f} | {failed} "
            f"| {rate:.0f} | {1000 * used:.2f} |"
        )
        proxy.terminate()
        proxy.join()
    mock.terminate()
    print(f"load after: {_load()}")


def _load() -> str:
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


if __name__ == "__main__":
    main()
