"""What the process of a program may do: limits, secrets, files, network, signals, channels."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError, VerifierError
from planner.verifiers.sandbox import Limits, Verdict, _folder, run_python

SECRET = "sk-planner-secret"
QUICK = Limits(seconds=5.0)
linux = pytest.mark.skipif(sys.platform != "linux", reason="these protections are Linux's")
# A world in which no further namespace may be made, as in many containers.
NO_NAMESPACES = (
    "unshare",
    "-Ur",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "sh",
)


def can_unshare() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run([*NO_NAMESPACES, "true"], check=False).returncode
    )


def planner_without_namespaces(program: str) -> Verdict:
    """Run a planner where namespaces are refused; the program runs under it."""
    script = (
        "import os, sys; from planner.verifiers.sandbox import Limits, run_python\n"
        "program = sys.stdin.read().replace('PLANNER', str(os.getpid()))\n"
        "print(run_python(program, limits=Limits(seconds=5.0, network='off')))"
    )
    command = [*NO_NAMESPACES, sys.executable, "-c", script]
    environment = {**os.environ, "PLANNER_KEY": SECRET, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, input=program, text=True, capture_output=True, check=True, env=environment)
    verdict: Verdict = done.stdout.strip()  # type: ignore[assignment]  # printed by the line above
    return verdict


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(0)",
        "import os; os._exit(0)",
        "print('passed')",
        "import os; os.kill(os.getpid(), 9)",
        "open('big', 'w').write('x' * 2**22)",
        "x = bytearray(2**31)",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)",
        "import os; os.fork()",
        "import os; assert 'HOME' in os.environ",
        "raise EOFError",
        "if __name__ == '__main__': raise ValueError",
    ],
)
def test_a_program_that_breaks_a_rule_has_not_passed(program: str) -> None:
    assert run_python(program + "\nassert False", limits=QUICK) == "failed"
    if "print" not in program:
        assert run_python(program, limits=QUICK) == "failed"


def test_a_loop_is_stopped_in_any_thread() -> None:
    verdicts: list[str] = []
    work = threading.Thread(
        target=lambda: verdicts.append(run_python("while True: pass", limits=Limits(seconds=0.3)))
    )
    work.start()
    work.join(timeout=30)
    assert verdicts == ["timeout"]


@pytest.mark.parametrize(
    "program",
    [
        "open('left', 'w').write('x')",
        "import os\nos.makedirs('a/b/c')\nopen('a/b/c/x', 'w')\nos.chmod('a/b', 0)\nos.chmod('a', 0)",
        "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')",
        "import os\nos.symlink('/', 'root')\nos.mkfifo('pipe')",
    ],
)
def test_a_program_leaves_nothing_behind(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = set(os.listdir("."))
    assert run_python(program, limits=QUICK) == "passed"
    assert not list(tmp_path.iterdir())
    assert set(os.listdir(".")) == here


def test_a_folder_goes_whatever_is_in_it() -> None:
    """The way without a disk of its own: what the program leaves lies in the planner's folder."""
    outside = Path(tempfile.mkdtemp())
    with _folder() as folder:
        script = (
            "import os\nos.mkdir('locked')\nopen('locked/x', 'w')\nos.chmod('locked', 0)\n"
            f"os.symlink({str(outside)!r}, 'link')\n"
            "for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"
        )
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    assert not Path(folder).exists()
    assert outside.stat().st_mode & 0o777 == 0o700
    outside.rmdir()


def test_a_program_has_no_network_where_the_kernel_allows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)"
        assert run_python(program, limits=Limits(seconds=5.0, network="on")) == "passed"
        try:
            verdict = run_python(program, limits=Limits(seconds=5.0, network="off"))
        except VerifierError:
            pytest.skip("this kernel does not let an unprivileged process leave the network")
        assert verdict == "failed"


READS_SECRETS = f"""
import glob
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        with open(path, "rb") as file:
            assert {SECRET.encode()} not in file.read(), path
    except OSError:
        pass
"""


@linux
def test_secrets_of_the_planner_are_out_of_reach() -> None:
    script = (
        "from planner.verifiers.sandbox import Limits, run_python\n"
        f"print(run_python({READS_SECRETS!r}, limits=Limits(seconds=5.0)))"
    )
    environment = {
        **os.environ,
        "PLANNER_KEY": SECRET,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == "passed"


@linux
def test_without_namespaces_secrets_signals_processes_and_network_are_out_of_reach() -> None:
    if not can_unshare():
        pytest.skip("this machine cannot build the world without namespaces for the test")
    assert planner_without_namespaces(READS_SECRETS) == "passed"
    assert (
        planner_without_namespaces("import numpy, threading\nthreading.Thread(target=int).start()")
        == "passed"
    )
    for program in (
        "import os; os.kill(os.getppid(), 15)",
        "import os; os.kill(PLANNER, 15)",
        "import os; os.fork()",
        "import socket; socket.socket()",
    ):
        assert planner_without_namespaces(program) == "failed"


@linux
def test_the_planner_gets_no_signal() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.append(number))
    try:
        me = os.getpid()
        run_python(f"import os, signal\nos.kill({me}, signal.SIGUSR1)", limits=QUICK)
        run_python("import os, signal\nos.killpg(0, signal.SIGUSR1)", limits=QUICK)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not seen


@linux
def test_files_outside_are_out_of_reach_where_landlock_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    for folder in [tmp_path, *tmp_path.parents][:2]:
        folder.chmod(0o755)
    reads = f"open({str(tmp_path / 'key')!r}).read()"
    writes = f"open({str(tmp_path / 'new')!r}, 'w')"
    if run_python(reads, limits=QUICK) == "passed":
        pytest.skip("this kernel has no Landlock")
    assert run_python(writes, limits=QUICK) == "failed"
    assert run_python("import json, numpy\nopen('/etc/passwd').read()", limits=QUICK) == "passed"
    if os.getuid() == 0 and run_python("import os; assert os.getuid() == 0", limits=QUICK) == "passed":
        assert run_python(reads, limits=Limits(seconds=5.0, readable=(str(tmp_path),))) == "passed"


@linux
def test_rights_do_not_come_back() -> None:
    for program in (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**50, 2**50))",
        "import os; os.setuid(0); os.setgid(0); os.chown('.', 1, 1)",
        "import os; os.setsid()",
        "import os; os.nice(-5)",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
        "import ctypes; assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0",
    ):
        assert run_python(program, limits=QUICK) == "failed", program


def test_only_one_descriptor_is_left() -> None:
    program = """
import os
left = []
for number in range(1024):
    try:
        os.fstat(number)
    except OSError:
        continue
    left.append(number)
assert left == [0, 1, 2, 3], left
"""
    with open(os.devnull) as file:
        os.set_inheritable(file.fileno(), True)
        assert run_python(program, limits=QUICK) == "passed"


def test_a_flood_on_every_channel_takes_no_memory() -> None:
    flood = """
import os
while True:
    for number in range(1, 8):
        try:
            os.write(number, b"\\xff" * 65536)
        except OSError:
            pass
"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run_python(flood, limits=Limits(seconds=2.0)) == "failed"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < (2**25 if sys.platform == "darwin" else 2**15)  # 32 MB; kB but on macOS


def test_a_program_cannot_pretend_that_it_was_never_started() -> None:
    for code in (1, 111, 255):
        assert run_python(f"import os; os._exit({code})", limits=QUICK) == "failed"


def test_a_wrapper_runs_the_interpreter_and_gets_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_KEY", SECRET)
    seen = tmp_path / "seen"
    wrapper = ("sh", "-c", f'env > {seen}; exec "$@"', "sh")
    assert run_python("assert 6 * 7 == 42", limits=QUICK, wrapper=wrapper, python=sys.executable) == "passed"
    assert "PATH=" in seen.read_text()
    assert SECRET not in seen.read_text()
    with pytest.raises(VerifierError, match="before the program began"):
        run_python("x = 1", limits=QUICK, wrapper=("false",))
    with pytest.raises(VerifierError, match="cannot be started"):
        run_python("x = 1", limits=QUICK, wrapper=("/no/such/command",))


def test_limits_are_checked() -> None:
    for options in ({"seconds": 0.0}, {"seconds": float("nan")}, {"memory_bytes": 0}, {"n_processes": -1}):
        with pytest.raises(InvalidInputError):
            Limits(**options)  # type: ignore[arg-type]  # one option of each type at a time
    with pytest.raises(InvalidInputError, match="readable"):
        Limits(readable="/data")  # type: ignore[arg-type]  # the mistake under test


def test_processes_may_be_allowed() -> None:
    program = "import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-c', ''], check=True)"
    assert run_python(program, limits=Limits(seconds=10.0, n_processes=32)) == "passed"


def test_programs_of_strange_text_fail_quietly() -> None:
    for source in (
        "\x00",
        "\ud800",
        "x" * 300_000 + "(",
        "(" * 10_000,
        "-" * 100_000 + "1",
        "# coding: latin-9\n\xff(",
    ):
        assert run_python(source, limits=QUICK) == "failed"


def test_hostile_programs_neither_pass_nor_break_the_planner() -> None:
    """Twenty programs put together from forbidden things, none of which may reach the end of its tests."""
    rng = random.Random(11)
    pieces = Path(__file__).with_name("programs").joinpath("pieces.txt").read_text().splitlines()
    head = "import atexit, builtins, ctypes, gc, os, random, resource, signal, sys, threading"
    for _ in range(20):
        chosen = rng.choices(pieces, k=rng.randrange(1, 5))
        lines = [f"try: {piece}\nexcept Exception: pass" if rng.random() < 0.7 else piece for piece in chosen]
        program = "\n".join([head, *lines])
        verdict = run_python(program, tests="assert 6 * 7 == 43", limits=Limits(seconds=1.0))
        assert verdict in ("failed", "timeout")
