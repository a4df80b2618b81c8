"""The socket in front of an application: uvicorn with the bounds that a server on a network needs.

Headers are bounded in size, connections that say nothing are closed, and the end waits for what is in flight.
It assumes the extra ``serve``; what is answered is the application's affair.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from difficulty.errors import require
from planner.serving.asgi import Application

__all__ = ["collect_seldom", "server_of"]

_MOST_HEADER_BYTES: Final = 2**16
# Other servers close connections that are kept after a minute: clients that expect so find this one open.
_KEPT_SECONDS: Final = 75
_END_SECONDS: Final = 30
# Python's (700, 10, 10) looks through all that is in flight so often that, with a thousand planned requests
# there, it takes two thirds of the CPU: 6.2 ms a request, and 2.3 ms with these (benchmarks/serving.py).
_COLLECTS: Final = (20_000, 50, 100)


def server_of(application: Application, *, host: str = "127.0.0.1", port: int = 0) -> Any:
    """Return a server that is not running yet; `run` runs it until a signal, `serve` in an event loop.

    Parameters
    ----------
    application : Application
        Answers.
    host : str
        Address to listen on.
    port : int
        Port to listen on, 0 for a free one.

    Raises
    ------
    MissingDependencyError
        When the extra ``serve`` is not installed.
    """
    uvicorn: Any = require("uvicorn", extra="serve")
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host=host,
            port=port,
            http="h11",  # it bounds the size of headers, which the faster one does not
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            access_log=False,
            log_level="warning",
            lifespan="on",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_END_SECONDS,
            timeout_keep_alive=_KEPT_SECONDS,
        )
    )


def collect_seldom() -> None:
    """Let this process look for garbage in circles more seldom; for a process that does nothing but serve."""
    gc.set_threshold(*_COLLECTS)
