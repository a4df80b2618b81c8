"""Run an untrusted Python program in a process with limits, and say whether it came to its end.

The process has limits on time, memory, file size and processes, an empty environment, a temporary folder, no
site packages of the user, and no network where the kernel lets an unprivileged process leave it. This is a
guard against accidents of generated programs, not against an attacker.

Not protected from: reading files that this user may read (keys in the home folder too), writing wherever this
user may write (each file up to the size limit), a child that leaves its process group, kernel bugs, and, when
run as root, a program that lifts its own limits. A program that inspects its own interpreter can also fake
the mark of success. For programs that may be hostile, run the whole planner in a container or a virtual
machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from difficulty.errors import InvalidInputError, VerifierError

__all__ = ["Limits", "Verdict", "run_python"]

Verdict: TypeAlias = Literal["passed", "failed", "timeout"]

# Runs in the child before the program: lowers the limits, leaves the network, and writes the mark at the very
# end, so that a program that exits early with status 0 has not passed.
_BOOTSTRAP: Final = """
import ctypes, os, resource, sys
seconds, memory, file_bytes, n_processes, network = (int(value) for value in sys.argv[1:6])
mark = sys.stdin.readline()
limits = {"CPU": seconds, "AS": memory, "FSIZE": file_bytes, "NPROC": n_processes, "NOFILE": 64, "CORE": 0}
for name, limit in limits.items():
    kind = getattr(resource, "RLIMIT_" + name)
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
if not network:
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    isolated = unshare is not None and unshare(0x10000000 | 0x40000000) == 0  # own user, own network
    if not isolated and sys.argv[6] == "required":
        os._exit(111)
out, write = os.dup(1), os.write
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
with open("program.py", encoding="utf-8") as file:
    source = file.read()
exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})
write(out, mark.encode())
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one run.

    Parameters
    ----------
    seconds : float
        Wall-clock and processor time, above 0.
    memory_bytes, file_bytes : int
        Address space of the process; size of each file it writes.
    n_processes : int
        Processes and threads of this user that may exist for it to start another one; 0 forbids starting any.
    network : {"off_if_possible", "off", "on"}
        ``"off"`` fails where the kernel does not let an unprivileged process leave the network.

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

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.memory_bytes < 1 or self.file_bytes < 1 or self.n_processes < 0:
            raise InvalidInputError(f"limits must be above 0, got {self}")
        if self.network not in ("off_if_possible", "off", "on"):
            raise InvalidInputError(f"network must be off_if_possible, off or on; got {self.network!r}")


def run_python(source: str, *, limits: Limits) -> Verdict:
    """Run a program to its end.

    Parameters
    ----------
    source : str
        The program; what it prints is thrown away.

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
    >>> run_python("assert 6 * 7 == 42", limits=Limits()), run_python("exit(0)", limits=Limits())
    ('passed', 'failed')
    """
    mark = secrets.token_hex(16)
    numbers = (
        max(1, round(limits.seconds + 0.5)), limits.memory_bytes, limits.file_bytes, limits.n_processes,
        int(limits.network == "on"),
    )  # fmt: skip
    policy = "required" if limits.network == "off" else "optional"
    with tempfile.TemporaryDirectory(prefix="planner-code-") as folder:
        with open(os.path.join(folder, "program.py"), "w", encoding="utf-8", errors="replace") as file:
            file.write(source)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _BOOTSTRAP, *map(str, numbers), policy],
                cwd=folder,
                env={"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        except OSError as error:
            raise VerifierError(f"the process for the program cannot be started: {error}") from error
        try:
            output, _ = process.communicate(mark + "\n", timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            _kill_group(process)
    if process.returncode == 111:
        raise VerifierError(
            "the kernel does not let this user leave the network; pass network='off_if_possible'"
        )
    return "passed" if process.returncode == 0 and output.strip() == mark else "failed"


def _kill_group(process: subprocess.Popen[str]) -> None:
    """Kill the program and all that it started and that stayed in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
