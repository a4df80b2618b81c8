"""Run an untrusted Python program in a process with few rights, and say whether it came to its end.

What the process loses is in `planner.verifiers.confinement`, how success is told in
`planner.verifiers.program_process`; here it is started, timed, read and killed. It assumes Linux for most
protections (``docs/code.md`` lists what holds where, and what is not protected); for programs that may be
hostile give a `wrapper` as well, or run the whole planner in a virtual machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from difficulty.errors import InvalidInputError, VerifierError

Verdict: TypeAlias = Literal["passed", "failed", "timeout"]

# The whole of what the interpreter is told on its command line. The parts are sent as text, so that a
# container needs Python and nothing of ours.
_LOADER: Final = """
import collections, json, operator
with open(0, "rb", closefd=False) as file:
    work = json.load(file)
parts = {"__name__": "planner_program_process"}
for name, source in work.pop("parts"):
    exec(compile(source, name, "exec", dont_inherit=True), parts)
collections.deque(map(operator.call, parts.pop("steps_of")(work, parts.pop("confine"))), 0)
"""
_START_SECONDS: Final = 60.0  # an interpreter starts in 0.05 s, a container on a busy machine in seconds
_PARTS: Final = ("confinement.py", "program_process.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one run.

    Parameters
    ----------
    seconds : float
        Wall-clock and processor time of the program, above 0 and at most a day.
    memory_bytes, file_bytes : int
        Address space of the process; size of each file it writes (all together 16 times that, where the
        kernel gives it a disk of its own).
    n_processes : int
        0 forbids starting processes (and threads, on machines without a filter of system calls); above 0,
        how many processes and threads its user may have.
    network : {"off_if_possible", "off", "on"}
        ``"off"`` fails where the kernel does not let an unprivileged process leave the network.
    readable : tuple of str
        Folders and files that programs may read beside the interpreter and the system, where Landlock hides
        the rest.

    Raises
    ------
    InvalidInputError
        When a limit is not above 0, or `network` is none of these.

    Examples
    --------
    >>> Limits(seconds=2.0).memory_bytes
    1073741824
    """

    seconds: float = 10.0
    memory_bytes: int = 2**30
    file_bytes: int = 2**20
    n_processes: int = 0
    network: Literal["off_if_possible", "off", "on"] = "off_if_possible"
    readable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86_400 or self.n_processes < 0:
            raise InvalidInputError(
                f"seconds must be above 0 and at most 86,400, n_processes 0 or more; got {self}"
            )
        if not (0 < self.memory_bytes < 2**62 and 0 < self.file_bytes < 2**58):
            raise InvalidInputError(f"limits must be above 0 and below 2**58 bytes, got {self}")
        if self.network not in ("off_if_possible", "off", "on"):
            raise InvalidInputError(f"network must be off_if_possible, off or on; got {self.network!r}")
        readable: object = self.readable
        if not isinstance(readable, tuple) or not all(isinstance(path, str) for path in readable):
            raise InvalidInputError(f"readable must be a tuple of paths, got {self.readable!r}")


def run_python(
    source: str,
    *,
    limits: Limits,
    tests: str = "",
    wrapper: Sequence[str] = (),
    python: str | None = None,
) -> Verdict:
    """Run a program, and then its tests in the same module, to their end.

    Parameters
    ----------
    source : str
        The program; what it prints is thrown away.
    tests : str
        Code that raises where the program is wrong. With tests, a program may exit, find no input and fail
        under ``if __name__ == "__main__":``: the tests judge.
    wrapper : sequence of str
        A command that runs the interpreter isolated, such as ``("bwrap", "--unshare-all", ...)``; it gets
        ``PATH`` and no other variable of this process.
    python : str, optional
        The interpreter where the wrapper leads, 3.11 or later; this one if not given.

    Returns
    -------
    {"passed", "failed", "timeout"}
        ``"passed"`` only when the last line was reached without an error.

    Raises
    ------
    VerifierError
        When the process cannot be started or isolated as asked; this says nothing about the program.

    Examples
    --------
    >>> limits = Limits()
    >>> run_python("assert 6 * 7 == 42", limits=limits), run_python("exit(0)", limits=limits)
    ('passed', 'failed')
    """
    work = {"program": source, "tests": tests, "speaks": False}
    told, in_time = _run(work, limits=limits, wrapper=wrapper, python=python)
    if told == "":
        return "passed"
    return "failed" if in_time else "timeout"


def hear_python(
    source: str, *, probe: str, limits: Limits, wrapper: Sequence[str] = (), python: str | None = None
) -> str | None:
    """Run a program, then a probe in the same module, and return the text that the probe leaves in ``SAID``.

    Parameters
    ----------
    source : str
        The program; it may exit, find no input, and fail under ``if __name__ == "__main__":``.
    probe : str
        Python code that assigns ``SAID``; at most 400 bytes of it are read. A program can make it say
        anything, of itself only.
    limits, wrapper, python
        As in `run_python`.

    Returns
    -------
    str or None
        None where the program or the probe came to no end.

    Raises
    ------
    VerifierError
        When the process cannot be started or isolated as asked.

    Examples
    --------
    >>> hear_python("def f(n): return n + 1", probe="SAID = f(41)", limits=Limits())
    '42'
    """
    work = {"program": source, "tests": probe, "speaks": True}
    told, in_time = _run(work, limits=limits, wrapper=wrapper, python=python)
    return told if in_time else None


def _run(
    work: dict[str, object], *, limits: Limits, wrapper: Sequence[str], python: str | None
) -> tuple[str | None, bool]:
    """Return what stands behind the mark of success, if that came, and whether all came in time."""
    mark = secrets.token_hex(16)
    head = b"R" + mark.encode()
    work = {**work, "mark": mark, "parts": _parts(), "wrapped": bool(wrapper), **asdict(limits)}
    environment = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    if wrapper:
        environment["PATH"] = os.environ.get("PATH", os.defpath)
    with _folder() as folder, tempfile.TemporaryFile() as told:
        told.write(json.dumps(work).encode("ascii"))
        told.seek(0)
        try:
            process = subprocess.Popen(
                [*wrapper, python or sys.executable, "-I", "-B", "-X", "utf8", "-c", _LOADER],
                cwd=folder,
                env=environment,
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise VerifierError(f"the process for the program cannot be started: {error}") from error
        assert process.stdout is not None
        with process.stdout as pipe:
            try:
                said, in_time = _listen(
                    pipe.fileno(), seconds=limits.seconds, mark=head, speaks=bool(work["speaks"])
                )
            finally:
                _kill(process, pipe.fileno())
    if said[:1] != b"R":
        reason = said[1:].decode(errors="replace") if said[:1] == b"E" else ""
        raise VerifierError(
            "the process for the program could not be set up: "
            + (reason or f"the interpreter {'ended' if in_time else 'did not come'} before the program began")
        )
    return said[len(head) :].decode(errors="replace") if said.startswith(head) else None, in_time


@cache
def _parts() -> tuple[tuple[str, str], ...]:
    """Return name and text of what the process runs before the program."""
    return tuple((name, Path(__file__).with_name(name).read_text(encoding="utf-8")) for name in _PARTS)


def _listen(pipe: int, *, seconds: float, mark: bytes, speaks: bool) -> tuple[bytes, bool]:
    """Read at most some hundred bytes; return them, and whether they ended before the time did."""
    said, deadline = b"", time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return said, False
            piece = os.read(pipe, 512)
            if not said and piece[:1] == b"R":
                deadline = time.monotonic() + seconds
            said += piece
            spoiled = said[:1] == b"R" and not mark.startswith(said[: len(mark)])
            if not piece or (said == mark and not speaks) or spoiled or len(said) > 512:
                return said, True


def _kill(process: subprocess.Popen[bytes], pipe: int) -> None:
    """Kill the program and all that it started, and wait until nobody holds the pipe."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5.0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())) and os.read(pipe, 65_536):
            pass


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """Make a folder, and remove it whatever a program has put there."""
    folder = tempfile.mkdtemp(prefix="planner-code-")
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder)
        except (OSError, RecursionError):  # locked or very deep folders; these commands follow no links
            for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
                subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
