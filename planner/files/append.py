"""A file of lines that only grows: whole lines, locked against other processes, recovered after a kill.

A last line without its end is what a kill tore: it is cut off and counted, and everything before it is read
again through a function of the caller. What a line means is left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from difficulty.errors import InvalidInputError


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
    def open(cls, path: Path, *, user: str) -> Self:
        """Open a file, new or old, and keep other processes out where the system can.

        Parameters
        ----------
        path : path
            The file; it is created where it does not exist.
        user : str
            What is writing, in the words of the error, e.g. ``"run"``.

        Raises
        ------
        InvalidInputError
            When another process has it open in this way.
        """
        file = cls(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644), path)
        try:
            file._lock(user)
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

    def recover(self, read_line: Callable[[bytes, int], None]) -> tuple[int, int]:
        """Read all whole lines and cut off a torn last one.

        Parameters
        ----------
        read_line : callable
            Called with each line and its number, from 1; what it raises goes through.

        Returns
        -------
        tuple of int
            Number of whole lines, and bytes cut off.
        """
        good = n_lines = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                n_lines += 1
                read_line(line, n_lines)
                good += len(line)
        torn = os.fstat(self._descriptor).st_size - good
        if torn:
            os.ftruncate(self._descriptor, good)
        return n_lines, torn

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
