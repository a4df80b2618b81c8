"""Start parts of a benchmark in processes of their own.

A target gets one end of a pipe first, and sends the port that it listens on when it is ready.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection


def started(
    target: Callable[..., None], *more: object
) -> tuple[multiprocessing.process.BaseProcess, Connection, int]:
    """Start a process, and return it, our end of the pipe, and the port that it has sent."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(theirs, *more), daemon=True)
    process.start()
    port: int = ours.recv()
    return process, ours, port
