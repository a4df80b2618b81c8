"""Write a file as a whole: beside its name, and moved there when all of it is written.

A kill or a full disk then leaves the old file or the new one, and no half under its name. It assumes that the
folder is there; what is no file, such as a pipe or a device, is written to as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    target = path.resolve()  # a link stays, and points to what is new
    part = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
