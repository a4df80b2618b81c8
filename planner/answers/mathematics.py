r"""Mathematical answers, equal when their values are: ``\frac{1}{2}``, ``0.5`` and ``2/4``; ``x+1`` and
``1+x``.

`math-verify` parses and compares in a process of its own that is killed when it overruns, since
``9^{9^{9^9}}`` must not stop a server and an alarm signal works in a main thread only. Plain numbers never
leave this process; an answer that does not parse in time is compared as text.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

from difficulty.errors import InvalidInputError, require
from planner.answers.boxes import boxed_contents
from planner.answers.numbers import canonical_number
from planner.answers.rule import AnswerRule
from planner.answers.text import canonical_answer

__all__ = ["MathAnswer"]

_START_SECONDS: Final = 60.0  # importing sympy on a busy machine


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MathAnswer(AnswerRule):
    r"""The last complete box, or else what math-verify takes for the answer; equal when the values are.

    Parameters
    ----------
    seconds : float
        Limit for one answer, above 0.

    Raises
    ------
    MissingDependencyError
        At the first use, when math-verify is not installed.

    Notes
    -----
    `extract` returns a simplified form, so that most equal answers are equal strings; `equal` asks
    math-verify as well and finds the rest. An equality that cannot be shown within the limit counts as a
    difference.

    Examples
    --------
    >>> MathAnswer().extract(r"so $\boxed{\frac{6}{8}}$", "stop")
    '0.75'
    """

    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InvalidInputError(f"seconds must be above 0, got {self.seconds!r}")

    def find(self, text: str) -> str | None:
        """Return the last box, or the answer that math-verify finds."""
        contents = boxed_contents(text)
        if contents:
            return contents[-1]
        found = _compute(("find", text), self.seconds)
        return found if isinstance(found, str) else None

    def canonicalise(self, answer: str) -> str | None:
        """Return one way to write the value of `answer`; its text where the value cannot be had in time."""
        plain = canonical_answer(answer)
        if plain is None or canonical_number(plain) is not None:
            return plain
        value = _compute(("canonical", answer), self.seconds)
        return canonical_answer(value) if isinstance(value, str) else plain

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two answers have the same value; an abstention agrees with nothing."""
        if answer is None or reference is None:
            return False
        first, second = self.canonicalise(answer), self.canonicalise(reference)
        if first is None or second is None:
            return False
        if first == second:
            return True
        if canonical_number(first) is not None and canonical_number(second) is not None:
            return False
        return _compute(("equal", answer, reference), self.seconds) is True


class _Worker:
    """One worker process and the lock around it; started on first use, again after a kill or a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def call(self, request: Sequence[str], seconds: float) -> object:
        """Return the worker's reply, or None when it did not come in time or the worker broke down."""
        with self._lock:
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._start()
            reply = self._exchange(request, seconds)
            if reply is None:
                self._stop()
                return None
            return json.loads(reply)

    def close(self) -> None:
        """Kill the worker if this process started one."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid():
                self._stop()

    def _start(self) -> None:
        require("math_verify", extra="math")
        command = [sys.executable, "-m", "planner.answers.worker"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._owner = os.getpid()
        self._exchange(("canonical", "x"), _START_SECONDS)

    def _exchange(self, request: Sequence[str], seconds: float) -> bytes | None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        if not select.select([process.stdout], [], [], seconds)[0]:
            return None
        return process.stdout.readline() or None

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


_worker: Final = _Worker()
atexit.register(_worker.close)


@lru_cache(maxsize=65_536)
def _compute(request: tuple[str, ...], seconds: float) -> object:
    """Ask the worker once for each question; votes ask the same one many times."""
    return _worker.call(request, seconds)
