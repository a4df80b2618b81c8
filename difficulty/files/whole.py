"""Write a file as a whole: beside its name, and moved there when all of it is written.

A kill or a full disk then leaves the old file or the new one, and no half under its name. It assumes that the
folder is there; what is no file, such as a pipe or a device, is written to as it is. What helps where nothing
can be written is said here, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

_ROOM: Final = "make room there, or write elsewhere, and run it again"
_PERMISSION: Final = "take another path, or get the permission"
_FOLDER: Final = "check the path, and make its folder first"
_REMEDIES: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "take another path: nothing can be written there",
    errno.ENOENT: _FOLDER,
    errno.ENOTDIR: "take another path: a part of this one is a file",
    errno.EISDIR: "take another path: this one is a folder",
    errno.EEXIST: "take another path: there is something else under this one",
    errno.ELOOP: "take another path: its links lead nowhere",
    errno.ENAMETOOLONG: "take a shorter name",
}


def with_remedy(error: OSError) -> str:
    """Say what went wrong with a file, and what helps.

    Examples
    --------
    >>> with_remedy(PermissionError(13, "Permission denied"))
    'Permission denied; take another path, or get the permission'
    """
    told = str(error.strerror or error)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{told}; {remedy}" if remedy else told


def check_writable(folder: Path) -> None:
    """Find out before some work whether its results can be written to a folder, or to one made there.

    Raises
    ------
    OSError
        Where they cannot; ``filename`` is `folder`.
    """
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    try:
        with TemporaryFile(dir=there):
            return
    except OSError as error:
        error.filename = str(folder)
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the path to write to, which becomes `path` where nothing went wrong.

    Raises
    ------
    OSError
        As writing and moving do; ``filename`` is `path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "plans.jsonl")
    ...     with written_whole(path) as part:
    ...         _ = part.write_text("all of it")
    ...     path.read_text()
    'all of it'
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = Path(os.path.realpath(path))  # a link stays, and points to what is new; one in a circle goes
    part = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
