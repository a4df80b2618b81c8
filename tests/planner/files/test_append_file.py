"""Files that only grow: torn ends are cut, whole lines kept, a second writer kept out."""

from __future__ import annotations

from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError
from planner.files.append import AppendFile


def _lines(path: Path, header: bytes = b"") -> list[tuple[bytes, int]]:
    seen: list[tuple[bytes, int]] = []

    def read(line: bytes, number: int) -> None:
        seen.append((line, number))

    AppendFile.open(path, user="test", header=header, read_line=read).close()
    return seen


def test_a_torn_end_is_cut_off_and_the_next_line_starts_clean(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthr")
    assert _lines(path) == [(b"one\n", 1), (b"two\n", 2)] and path.read_bytes() == b"one\ntwo\n"
    file = AppendFile.open(path, user="test")
    file.append(b"three\n")
    file.sync()
    file.close()
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_what_the_reader_raises_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\nbroken\ntorn")

    def read(line: bytes, number: int) -> None:
        if number == 2:
            raise InvalidInputError("line 2 is broken")

    with pytest.raises(InvalidInputError, match="line 2"):
        AppendFile.open(path, user="test", read_line=read)
    assert path.read_bytes() == b"one\nbroken\ntorn"
    assert len(_lines(path)) == 2  # the lock was given back


@pytest.mark.parametrize("before", [None, b"", b"torn"])
def test_a_file_without_a_line_begins_with_the_header(before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "log"
    if before is not None:
        path.write_bytes(before)
    assert _lines(path, b"header\n") == [] and path.read_bytes() == b"header\n"
    assert _lines(path, b"another\n") == [(b"header\n", 1)]


def test_a_second_writer_is_kept_out_until_the_first_has_closed(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first = AppendFile.open(tmp_path / "log", user="run")
    with pytest.raises(InvalidInputError, match="in use by another run"):
        AppendFile.open(tmp_path / "log", user="run")
    first.close()
    AppendFile.open(tmp_path / "log", user="run").close()
