"""The socket in front of an application: uvicorn with the bounds that a server on a network needs.

Headers are bounded in size, connections in number, and clients in the time that they take to say what they
want and to hear the answer; the end waits for what is in flight. It assumes the extra ``serve``; what is
answered is the application's affair.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
from typing import Any, Final

from difficulty.errors import require
from planner.serving.asgi import MOST_HEADER_BYTES, Application

# Other servers close connections that are kept after a minute: clients that expect so find this one open.
_KEPT_SECONDS: Final = 75
# Who starts servers waits 30 seconds for their end, and kills them then.
_END_SECONDS: Final = 25
# Python's (700, 10, 10) looks through all that is in flight so often that, with a thousand planned requests
# there, it takes two thirds of the CPU: 6.2 ms a request, and 2.3 ms with these (benchmarks/serving.py).
_COLLECTS: Final = (20_000, 50, 100)
# Of the files that a process may open, clients get this share: each of their requests opens several upstream.
_CLIENTS_SHARE: Final = 0.25


def server_of(
    application: Application,
    *,
    client_seconds: float = 60.0,
    max_connections: int | None = None,
) -> Any:
    """Return a server that does not run yet: `run` and `serve` take sockets, or a free port of the loopback.

    Parameters
    ----------
    application : Application
        Answers.
    client_seconds : float
        Longest time from the beginning of a connection, or from the first byte of a further request, until
        all headers are there.
    max_connections : int, optional
        Connections of clients; by default a quarter of the files that the process may open.

    Raises
    ------
    MissingDependencyError
        When the extra ``serve`` is not installed.
    """
    uvicorn: Any = require("uvicorn", extra="serve")
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host="127.0.0.1",
            port=0,
            http=_protocol(client_seconds, most=max_connections or _most_clients()),
            ws="none",
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            access_log=False,
            log_level="warning",
            lifespan="on",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_END_SECONDS,
            timeout_keep_alive=_KEPT_SECONDS,
        )
    )


def prepare_process() -> None:
    """Fit this process to nothing but serving: open files, garbage, what uvicorn has to say, and metrics
    without the time when each was made.
    """
    gc.set_threshold(*_COLLECTS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logging.getLogger("uvicorn.error").addFilter(_is_no_break)
    require("prometheus_client", extra="serve").disable_created_metrics()


def _is_no_break(record: logging.LogRecord) -> bool:
    """Return whether a record tells something else than that an upstream broke off, which calls log."""
    return "returned without completing response" not in record.getMessage()


def _most_clients() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(int(_CLIENTS_SHARE * soft), 64)


def _protocol(client_seconds: float, *, most: int) -> Any:
    """Return the protocol of a connection, that of uvicorn with more bounds.

    h11 bounds the size of headers, which the faster parser does not.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.abort()
            else:
                self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._drop()
            super().connection_lost(exc)

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._end()  # closing would wait for a client that does not take its last answer

        def _watch(self) -> None:
            """Let a client that has begun to say something not take forever."""
            waits = self.timeout_keep_alive_task is None and (
                self.cycle is None or self.cycle.response_complete
            )
            if not waits:
                self._drop()
            elif self.late is None:
                self.late = self.loop.call_later(client_seconds, self._end)

        def _drop(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

        def _end(self) -> None:
            self.transport.abort()

    return Bounded
