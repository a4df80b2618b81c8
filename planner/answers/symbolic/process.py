"""Ask the process that does symbolic mathematics, within a limit of wall-clock time.

The process is killed when it overruns, since ``9^{9^{9^9}}`` must not stop a server and an alarm signal works
in a main thread only; the next one starts meanwhile. It gets none of this process's environment but the
paths.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from functools import lru_cache
from typing import Final

from difficulty.errors import VerifierError, require

_START_SECONDS: Final = 60.0  # importing sympy on a busy machine
_LONGEST: Final = 4000  # characters of a request


class _Process:
    """One worker and the lock around it; started on first use, again after a kill or a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._owner = 0

    def call(self, request: tuple[str, ...], seconds: float) -> object:
        """Return the worker's reply, or None when it did not come in time or the worker broke down."""
        with self._lock:
            if self._worker is None or self._owner != os.getpid() or self._worker.poll() is not None:
                self._stop()
                self._start()
            worker = self._worker
            assert worker is not None
            if not self._ready and _line(worker, _START_SECONDS) is None:
                self._stop()
                raise VerifierError(
                    "the process for mathematics does not start; see "
                    "python -m planner.answers.symbolic.worker"
                )
            self._ready = True
            reply = _exchange(worker, json.dumps([seconds, *request]), seconds)
            if reply is None:
                self._stop()
                self._start()  # it loads while nobody waits for it
                return None
            value: object = json.loads(reply)
            return value

    def close(self) -> None:
        """Kill the worker if this process started one."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        require("sympy", extra="math")
        paths = os.pathsep.join(os.path.abspath(path or ".") for path in sys.path)
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "planner.answers.symbolic.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": paths, "PATH": os.environ.get("PATH", os.defpath)},
        )
        self._ready, self._owner = False, os.getpid()

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            if self._owner == os.getpid():
                worker.kill()
                worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _exchange(worker: subprocess.Popen[bytes], request: str, seconds: float) -> bytes | None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(request.encode() + b"\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return None
    return _line(worker, seconds)


def _line(worker: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return the next line of the worker, or None when it does not come in time."""
    assert worker.stdout is not None
    end, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not select.select([worker.stdout], [], [], left)[0]:
            return None
        piece = os.read(worker.stdout.fileno(), 65_536)
        if not piece:
            return None
        line += piece
    return line


_process: Final = _Process()
atexit.register(_process.close)


@lru_cache(maxsize=65_536)
def ask(request: tuple[str, ...], seconds: float) -> object:
    """Return the worker's answer to ``(operation, *texts)``; each question is asked once.

    Parameters
    ----------
    request : tuple of str
        As `planner.answers.symbolic.worker` reads it.
    seconds : float
        Limit for the answer, above 0; the start of a new worker comes on top.

    Returns
    -------
    object
        None when there is no answer in time, or the texts are too long to ask about.

    Raises
    ------
    MissingDependencyError
        When sympy is not installed.
    VerifierError
        When the worker does not start.
    """
    if sum(map(len, request)) > _LONGEST:
        return None
    return _process.call(request, seconds)
