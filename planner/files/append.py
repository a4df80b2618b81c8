"""A file of lines that only grows: whole lines, locked against other processes, recovered after a kill.

A last line without its end is what a kill tore: it is cut off with a warning in the log, and
everything before it is read again through a function of the caller. What a line means is left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from difficulty.errors import InvalidInputError
from difficulty.logger import logger_of

_LOG: Final = logger_of(__name__)


class AppendFile:
    """An open file to append lines to; use `AppendFile.open`.

    Parameters
    ----------
    descriptor : int
        File descriptor, opened for reading and appending.
    path : path
        Its file.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        user: str,
        header: bytes = b"",
        read_line: Callable[[bytes, int], object] = lambda line, number: None,
    ) -> Self:
        """Open a file, new or old, read its lines, and keep other processes out where the system can.

        Parameters
        ----------
        path : path
            The file; it is created where it does not exist.
        user : str
            What is writing, in the words of the error, e.g. ``"run"``.
        header : bytes
            The first line of a file that has none, with its end.
        read_line : callable
            Called with each whole line and its number, from 1; what it raises goes through, and leaves the
            file as it was.

        Raises
        ------
        InvalidInputError
            When another process has it open in this way.
        """
        file = cls(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644), path)
        try:
            file._lock(user)
            file._recover(read_line)
            if not os.fstat(file._descriptor).st_size:
                file.append(header)
                file.sync()
        except BaseException:
            file.close()
            raise
        return file

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, lines: bytes | bytearray) -> None:
        """Write lines, each with its end, as a whole."""
        data = memoryview(lines)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def sync(self) -> None:
        """Force what was written to disk."""
        os.fsync(self._descriptor)

    def _recover(self, read_line: Callable[[bytes, int], object]) -> None:
        good = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                read_line(line, number)
                good += len(line)
        torn = os.fstat(self._descriptor).st_size - good
        if torn:
            _LOG.warning("%s: cut off %d bytes of a last line that was never finished", self._path, torn)
            os.ftruncate(self._descriptor, good)

    def _lock(self, user: str) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two writers of one file are then the caller's care
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(
                f"{self._path} is in use by another {user}; wait for it or take another path"
            ) from error
