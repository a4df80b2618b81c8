"""How the memory of the proxy grows over minutes of mixed traffic.

A mock of a server, the proxy and the client each have a process of their own. The traffic has what usually
leaks: a prompt of its own in every request, large bodies, streams, clients that go away half-way, connections
that come and go, a window's budget, and a request log. ``python -m benchmarks.soak`` prints a line per
quarter of a minute and the growth after the first fifth; ``--trace`` also says which lines of code hold more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._processes import started
from benchmarks.serving import _listening, _serve_mock

_EVERY = 15.0
# Bodies of this many bytes, once in so many requests.
_LARGE = (200_000, 50)
# A connection is closed after so many requests, and a client goes away half-way once in so many.
_KEPT, _LEAVES = 20, 25


def _serve_proxy(pipe: Connection, upstream: int, folder: str, trace: bool) -> None:
    from planner.serving.build import build
    from planner.serving.server import prepare_process, server_of
    from planner.serving.settings import ServeSettings

    prepare_process()
    planned = {"upstream": "up", "extract": "last_number"}
    window = {"limit": 12_000.0, "window": 60.0, "clock": "seconds"}
    settings = ServeSettings.from_plain(
        {
            "upstreams": {"up": {"base_urls": [f"http://127.0.0.1:{upstream}/v1"]}},
            "routes": {
                "planned": planned | {"price": 1e-5, "log": f"{folder}/requests.jsonl", "log_texts": True},
                "window": planned | window,
                "one": planned | {"price": 1.0},
                "off": {"upstream": "up", "mode": "off"},
            },
        }
    )

    async def serve() -> None:
        if trace:
            watching = asyncio.create_task(_trace())
        await _listening(server_of(build(settings).application), pipe)
        if trace:
            watching.cancel()

    asyncio.run(serve())


async def _trace() -> None:
    """Print which lines hold more than two minutes ago."""
    import gc
    import tracemalloc

    await asyncio.sleep(120)
    tracemalloc.start(12)
    await asyncio.sleep(5)
    before = tracemalloc.take_snapshot()
    while True:
        await asyncio.sleep(120)
        gc.collect()
        now = tracemalloc.take_snapshot()
        print(f"traced {tracemalloc.get_traced_memory()[0] / 2**20:.2f} MiB; objects {len(gc.get_objects())}")
        for one in now.compare_to(before, "lineno")[:12]:
            print("   ", one, flush=True)


def _memory(process: BaseProcess) -> tuple[float, float]:
    """Return the resident and the private memory of a process, MiB."""
    fields = {}
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0]) / 1024
    return fields["Rss"], fields["Private_Dirty"] + fields["Private_Clean"]


class _Client:
    """Sends requests, each with its own prompt, over connections that last for a while."""

    def __init__(self, port: int) -> None:
        self._port, self.n, self.failed = port, 0, 0
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, int]] = []

    async def call(self) -> None:
        turn = self.n = self.n + 1
        text = f"What is {turn} times {turn + 1}?" + (_LARGE[0] * "x" if turn % _LARGE[1] == 0 else "")
        content: dict[str, Any] = {
            "model": ("planned", "planned", "window", "one", "off")[turn % 5],
            "messages": [{"role": "user", "content": text}],
            "stream": turn % 3 == 0,
        }
        body = json.dumps(content).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: soak-{turn}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        try:
            if self._free:
                reader, writer, used = self._free.pop()
            else:
                (reader, writer), used = await asyncio.open_connection("127.0.0.1", self._port), 0
            writer.write(head.encode() + body)
            if turn % _LEAVES == 0:
                writer.close()
                return
            status = await self._read(reader)
        except (OSError, asyncio.IncompleteReadError):
            self.failed += 1
            return
        self.failed += status != b"200"
        if used + 1 < _KEPT:
            self._free.append((reader, writer, used + 1))
        else:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"chunked" in head:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        return head.split(b" ", 2)[1]


async def _soak(
    process: BaseProcess, port: int, rate: float, seconds: float
) -> list[tuple[float, float, float]]:
    """Send requests at a rate, and return minutes, resident and private memory."""
    client, found, tasks = _Client(port), [], set[asyncio.Task[None]]()
    start = time.perf_counter()
    told = 0.0
    for turn in range(int(rate * seconds)):
        await asyncio.sleep(max(start + turn / rate - time.perf_counter(), 0))
        task = asyncio.create_task(client.call())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        passed = time.perf_counter() - start
        if passed >= told:
            told += _EVERY
            resident, private = _memory(process)
            found.append((passed / 60, resident, private))
            print(
                f"| {passed / 60:.2f} | {client.n} | {client.failed} | {len(tasks)} | {resident:.1f} "
                f"| {private:.1f} |",
                flush=True,
            )
    await asyncio.gather(*tasks)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--trace", action="store_true", help="say which lines of code hold more memory")
    given = parser.parse_args(argv)
    mock, _, upstream = started(_serve_mock)
    with tempfile.TemporaryDirectory() as folder:
        proxy, _, port = started(_serve_proxy, upstream, folder, given.trace)
        print("| minutes | requests | failed | in flight | resident MiB | private MiB |")
        print("|---|---|---|---|---|---|")
        found = asyncio.run(_soak(proxy, port, given.rate, 60 * given.minutes))
        proxy.terminate()
        proxy.join()
    mock.terminate()
    minutes, resident, private = np.array([one for one in found if one[0] >= given.minutes / 5]).T
    for name, values in (("resident", resident), ("private", private)):
        print(f"{name}: {np.polyfit(minutes, values, 1)[0]:+.3f} MiB per minute")


if __name__ == "__main__":
    main()
