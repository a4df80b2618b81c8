"""Write a file as a whole: beside its name, and moved there when all of it is written.

A kill or a full disk then leaves the old file or the new one, and no half under its name. It assumes that the
folder is there; what is written is left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["written_whole"]


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
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
