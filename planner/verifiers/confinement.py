"""Take rights away from this process before it runs a program that nobody has read.

Runs in the process of the program (`planner.verifiers.program_process`), so it imports the standard library
only. Each layer is used where the kernel offers it: an own user where the planner is root, namespaces,
Landlock, a filter of system calls, limits. What is left open is listed in ``docs/code.md``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import random
import resource
import signal
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

_NEW_NS, _NEW_UTS, _NEW_IPC = 0x20000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_NO_SUID_DEV_EXEC: Final = 2 | 4 | 8
_PR_DEATH_SIGNAL, _PR_DUMPABLE, _PR_SECCOMP, _PR_NO_NEW_PRIVILEGES = 1, 4, 22, 38
_EPERM, _ENOSYS = 1, 38

# linux/landlock.h: rights on files by the version of the interface that knows them, and all that only reads.
_LANDLOCK_RIGHTS: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_READ: Final = _EXECUTE | _READ_FILE | _READ_FOLDER
# What an interpreter and its libraries read: not the home folder, not /var, not /proc/<process>.
_SYSTEM: Final = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/opt", "/nix/store", "/gnu/store",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf",
    "/etc/mime.types", "/etc/alternatives", "/etc/fonts", "/etc/ssl/certs",
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/sys/devices/system",
)  # fmt: skip

# Numbers of system calls on (x86_64, aarch64); None where the machine has none.
_CALLS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "setsid": (112, 157), "setpgid": (109, 154), "setpriority": (141, 140), "prlimit64": (302, 261),
    "socket": (41, 198), "io_uring_setup": (425, 425), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "bpf": (321, 280), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "prctl": (157, 167), "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "clone3": (435, 435),
}  # fmt: skip
_ALWAYS_DENIED: Final = (
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "setsid", "setpgid", "setpriority",
    "io_uring_setup", "unshare", "setns", "mount", "umount2", "bpf", "keyctl", "add_key", "request_key",
    "perf_event_open", "userfaultfd", "shmget", "semget", "msgget",
)  # fmt: skip
_SIGNALS: Final = ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def confine(work: Mapping[str, Any]) -> None:
    """Return in a child of this process that has lost its rights; this process waits for it and ends.

    Parameters
    ----------
    work : mapping
        ``seconds``, ``memory_bytes``, ``file_bytes``, ``n_processes``, ``network`` (off_if_possible, off,
        on), ``readable`` (folders), ``wrapped`` (whether a command of the user's own isolates this process).

    Raises
    ------
    OSError
        When what was asked for cannot be had here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    _enter_writable_folder()
    own_user = os.getuid() == 0 and _become_somebody_else(libc if linux else None)
    namespaces = _leave_namespaces(libc, network=work["network"] == "on") if linux else 0
    _go_on_in_child(libc if linux else None, seconds=work["seconds"] + 10.0)
    if namespaces & _NEW_PID:  # the first process of a namespace is deaf to its own signals: be the second
        _go_on_in_child(libc, seconds=work["seconds"] + 20.0)
    if namespaces & _NEW_NS:
        _mount_own_folders(libc, total_bytes=16 * work["file_bytes"])
    locked = filtered = False
    if linux:
        _drop_capabilities(libc)
        locked, scoped = _lock_files(libc, work["readable"])
        apart = bool(namespaces & _NEW_PID) or scoped or own_user
        filtered = _filter_calls(
            libc, network=work["network"] == "on", processes=work["n_processes"] > 0, signals=apart
        )
    if work["network"] == "off" and not (filtered or namespaces & _NEW_NET):
        raise OSError("the kernel does not let this user leave the network; pass network='off_if_possible'")
    if linux and not (locked or namespaces or own_user or work["wrapped"]):
        raise OSError(
            "a program could read the environment of this user's processes, keys included, since this kernel "
            "offers neither Landlock nor user namespaces; run as root with an interpreter that everybody may "
            "read, or pass wrapper=('bwrap', ...) or another command that isolates it"
        )
    _lower_limits(work, count_processes=work["n_processes"] > 0 or not filtered)


def _enter_writable_folder() -> None:
    """Stay in the folder that the planner made, or make one where a wrapper's world has none."""
    if not os.access(".", os.W_OK | os.X_OK):
        os.chdir(tempfile.mkdtemp(prefix="planner-code-"))


def _go_on_in_child(libc: ctypes.CDLL | None, *, seconds: float) -> None:
    """Return in a child; this process ends with it, and a clock ends both where nobody else does."""
    child = os.fork()
    if child:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.waitpid(child, 0)
        os._exit(0)
    if libc is not None:
        libc.prctl(_PR_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _become_somebody_else(libc: ctypes.CDLL | None) -> bool:
    """Take a user id that nobody has, where the interpreter stays readable for it."""
    here = os.getcwd()
    folders = {
        sys.prefix,
        sys.base_prefix,
        os.path.dirname(os.path.realpath(os.__file__)),
        os.path.dirname(here),
    }
    if not all(map(_open_to_all, folders)):
        return False
    for user in (random.SystemRandom().randrange(2**30, 2**31 - 1), 65534):
        try:
            os.chown(here, user, user)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        except OSError:
            continue
        if libc is not None:
            libc.prctl(_PR_DUMPABLE, 1, 0, 0, 0)  # else the files in /proc/self stay root's
        return True
    return False


def _open_to_all(folder: str) -> bool:
    """Say whether any user may enter this folder and those above it."""
    while True:
        try:
            mode = os.stat(folder).st_mode
        except OSError:
            return False
        if not mode & stat.S_IXOTH:
            return False
        above = os.path.dirname(folder)
        if above == folder:
            return True
        folder = above


def _leave_namespaces(libc: ctypes.CDLL, *, network: bool) -> int:
    """Leave as many namespaces as the kernel allows; return their flags."""
    user, group = os.getuid(), os.getgid()
    net = 0 if network else _NEW_NET
    for flags in (_NEW_USER | _NEW_PID | _NEW_NS | _NEW_IPC | _NEW_UTS | net, _NEW_USER | net, _NEW_USER):
        if libc.unshare(flags) == 0:
            break
    else:
        return 0
    with contextlib.suppress(OSError):
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1"),
        ):  # fmt: skip
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    return flags


def _mount_own_folders(libc: ctypes.CDLL, *, total_bytes: int) -> None:
    """Hide the processes of others, and put a small disk in memory on the working folder."""
    here = os.getcwd()
    libc.mount(b"proc", b"/proc", b"proc", _NO_SUID_DEV_EXEC, None)
    options = f"size={total_bytes},nr_inodes=4096,mode=0700".encode()
    if libc.mount(b"tmpfs", here.encode(), b"tmpfs", 2 | 4, options) == 0:
        os.chdir(here)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give up every capability for good, those inside the own namespace too."""
    libc.prctl(_PR_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    libc.capset(header, b"\0" * 24)


def _lock_files(libc: ctypes.CDLL, readable: list[str]) -> tuple[bool, bool]:
    """Allow reading interpreter and system, writing here; say if that and the scope of signals hold."""
    syscall = libc.syscall
    version = syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False, False
    handled = sum(rights for since, rights in _LANDLOCK_RIGHTS.items() if since <= version)
    scope = 3 if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, 0, scope)[: 24 if version >= 6 else 8]
    rules = syscall(444, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if rules < 0:
        return False, False
    device = handled & (_WRITE_FILE | _READ_FILE)
    allowed = [(path, _READ) for path in (*_SYSTEM, sys.prefix, sys.base_prefix, *readable)]
    allowed += [("/dev/null", device), (os.getcwd(), handled)]
    for path, rights in allowed:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
        syscall(445, rules, ctypes.c_int(1), struct.pack("=Qi", rights & handled, place), ctypes.c_uint(0))
        os.close(place)
    locked = syscall(446, rules, ctypes.c_uint(0)) == 0
    os.close(rules)
    return locked, locked and bool(scope)


def _filter_calls(libc: ctypes.CDLL, *, network: bool, processes: bool, signals: bool) -> bool:
    """Refuse the system calls that a program needs only to do harm; say whether the filter holds."""
    machine = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}.get(platform.machine())
    if machine is None or sys.byteorder != "little":
        return False
    column, architecture = machine
    code = bytearray()
    # Load the architecture, then the number; another architecture, or x32, has other numbers.
    code += _step(0x20, 4) + _step(0x15, architecture, then=1) + _step(0x06, 0x80000000) + _step(0x20, 0)
    if column == 0:
        code += _step(0x35, 0x40000000, otherwise=1) + _step(0x06, 0x50000 | _ENOSYS)
    for rule, number in _rules(column, network=network, processes=processes, signals=signals):
        code += _step(0x15, number, otherwise=len(rule) // 8) + rule
    code += _step(0x06, 0x7FFF0000)
    buffer = ctypes.create_string_buffer(bytes(code), len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SECCOMP, 2, program, 0, 0) == 0)


def _rules(column: int, *, network: bool, processes: bool, signals: bool) -> Iterator[tuple[bytes, int]]:
    """Yield what to do at a number of a system call; every piece ends by allowing or refusing."""
    allow, refuse = _step(0x06, 0x7FFF0000), _step(0x06, 0x50000 | _EPERM)
    missing = _step(0x06, 0x50000 | _ENOSYS)
    pieces = dict.fromkeys(_ALWAYS_DENIED, refuse)
    me = os.getpid()
    first = _step(0x20, 16)  # load the low half of the first argument
    pieces["prlimit64"] = first + _step(0x15, 0, then=1) + _step(0x15, me, otherwise=1) + allow + refuse
    pieces["prctl"] = first + _step(0x15, _PR_DEATH_SIGNAL, otherwise=1) + refuse + allow
    if not network:
        pieces["socket"] = refuse
    if not signals:
        pieces |= dict.fromkeys(_SIGNALS, refuse)
        pieces |= dict.fromkeys(("kill", "tgkill"), first + _step(0x15, me, otherwise=1) + allow + refuse)
    if not processes:
        pieces |= {"fork": refuse, "vfork": refuse, "clone3": missing}  # without clone3, libc takes clone
        pieces["clone"] = first + _step(0x45, 0x10000, otherwise=1) + allow + refuse  # threads only
    for name, piece in pieces.items():
        number = _CALLS[name][column]
        if number is not None:
            yield piece, number


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Return one instruction of a filter: what, its value, and how many to skip if true, if false."""
    return struct.pack("=HBBI", code, then, otherwise, value)


def _lower_limits(work: Mapping[str, Any], *, count_processes: bool) -> None:
    """Lower the limits of this process; they can no longer be raised."""
    limits = {
        "CPU": max(1, round(work["seconds"] + 0.5)), "AS": work["memory_bytes"], "FSIZE": work["file_bytes"],
        "NOFILE": 64, "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0,
    }  # fmt: skip
    if count_processes:
        limits["NPROC"] = work["n_processes"]
    for name, limit in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):
            if sys.platform == "linux":
                raise
