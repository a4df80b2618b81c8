"""Files that are written as a whole: the old one or the new one is there, and no half."""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIG_IGN, SIGXFSZ, signal

import pytest

from difficulty.files.whole import written_whole
from planner.cli import main


@contextmanager
def no_larger_than(n_bytes: int) -> Iterator[None]:
    """Let writing fail beyond so many bytes of a file, as it does on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal(SIGXFSZ, SIG_IGN)
    # Modules that are loaded meanwhile would leave half of their bytecode to whoever loads them next.
    unwritten, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        sys.dont_write_bytecode = unwritten
        signal(SIGXFSZ, handler)


def test_the_old_file_stays_where_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_text("old")
    with no_larger_than(100), pytest.raises(OSError) as caught, written_whole(path) as part:
        part.write_bytes(b"x" * 1000)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_commands_leave_no_half_of_a_file_and_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    rows = [f"What is {n} + 1?,{n + 1},1,{n}" for n in range(400)]
    table.write_text("question,answer,correct,tokens\n" + "\n".join(rows))
    with no_larger_than(1000):
        assert main(["import", str(table), "--out", str(tmp_path / "log.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "log.jsonl: cannot write the file: File too large; make room there, or write elsewhere" in error
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_links_stay_and_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with written_whole(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    with written_whole(Path("/dev/null")) as part:
        assert part == Path("/dev/null")
