"""The server on a socket in a thread of its own, in front of a scripted upstream: for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripted_upstream import Behave, ScriptedUpstream
from serving_bed import serving

from planner.serving.server import server_of


@contextmanager
def live_server(behave: Behave, **more: Any) -> Iterator[tuple[str, ScriptedUpstream]]:
    """Serve, and give the address without a path, and the upstream."""
    told: list[tuple[str, ScriptedUpstream]] = []
    ready, stopped = threading.Event(), threading.Event()

    async def serve() -> None:
        async with ScriptedUpstream(behave) as up, serving(up, **more) as bed:
            server = server_of(bed.service.application)
            server.config.lifespan = "off"
            server.install_signal_handlers = lambda: None
            work = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.001)
            told.append((f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", up))
            ready.set()
            await asyncio.to_thread(stopped.wait)
            server.should_exit = True
            await work

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    try:
        yield told[0]
    finally:
        stopped.set()
        thread.join()
