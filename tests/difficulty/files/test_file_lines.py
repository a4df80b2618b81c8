"""Lines of files as people send them: encodings, packing, and files that are larger than they look."""

from __future__ import annotations

import gzip
from io import BufferedReader, BytesIO
from pathlib import Path

import pytest

from difficulty.errors import InvalidFileError
from difficulty.files.lines import MAX_LINE_VALUES, decode_text, numbered_lines, numbered_lines_of, read_text

MARK = b"\xef\xbb\xbf"


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_marks_are_taken_off_each_line_that_starts_with_one(packed: bool, tmp_path: Path) -> None:
    content = MARK + b"one\r\n\n" + MARK + "zw\u00f6lf \u2028 \x85".encode() + b"\n" + MARK
    path = write(tmp_path, gzip.compress(content) if packed else content)
    assert list(numbered_lines(path)) == [(1, b"one\r"), (3, "zw\u00f6lf \u2028 \x85".encode())]


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be+mark", "utf-16-be+mark"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_wide_encodings_are_named(encoding: str, packed: bool, tmp_path: Path) -> None:
    name, _, mark = encoding.partition("+")
    content = (("\ufeff" if mark else "") + '{"sample_log": 1}').encode(name)
    path = write(tmp_path, gzip.compress(content) if packed else content)
    with pytest.raises(InvalidFileError, match=r"UTF-(16|32).*iconv -f UTF-(16|32)") as caught:
        list(numbered_lines(path))
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x28\xb5\x2f\xfd....", "Zstandard"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00..", "xz"),
        (b"PK\x03\x04....", "zip"),
        (gzip.compress(gzip.compress(b"text", mtime=0), mtime=0), "gzip inside gzip"),
    ],
)
def test_other_packing_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=said):
        list(numbered_lines(write(tmp_path, content)))


def test_latin1_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidFileError, match=r"f, line 3: not UTF-8 \(byte 0xe9\); .*iconv -f LATIN1"):
        decode_text(b"caf\xe9", path="f", line=3)


@pytest.mark.parametrize("unit", [b"\n", b"x\n", b" "])
def test_a_small_gzip_does_not_become_gigabytes(unit: bytes, tmp_path: Path) -> None:
    block = gzip.compress(unit * ((1 << 24) // len(unit)))
    path = write(tmp_path, block * 100)
    with pytest.raises(InvalidFileError, match="unpack to more than"):
        for _ in numbered_lines(path):
            pass


def test_a_line_of_millions_of_values_is_refused_before_it_is_parsed() -> None:
    stream = BufferedReader(BytesIO(b"[" + b"{}," * (MAX_LINE_VALUES // 2 + 1) + b"{}]"))
    with pytest.raises(InvalidFileError, match="commas and brackets"):
        list(numbered_lines_of(stream, name="file"))


def test_small_files_are_bounded_and_lose_their_mark(tmp_path: Path) -> None:
    path = write(tmp_path, MARK + b"text")
    assert read_text(path, limit=7) == "text"
    with pytest.raises(InvalidFileError, match="larger than 6 bytes"):
        read_text(path, limit=6)
    with pytest.raises(InvalidFileError, match="UTF-16"):
        read_text(write(tmp_path, "a = 1".encode("utf-16")), limit=100)
    with pytest.raises(InvalidFileError, match="cannot read the file"):
        read_text(tmp_path / "none", limit=100)
