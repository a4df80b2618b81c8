"""Read a text file line by line, whatever it turns out to be: plain, gzip, with byte order marks, or no text.

It assumes UTF-8 and refuses what is not, with what to do about it. Memory stays bounded: a line has a limit
in bytes and in JSON values, and a gzip file that unpacks to far more than text does is refused while it
unpacks. What a line means is left to the caller.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from difficulty.errors import InvalidFileError

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
MAX_LINE_VALUES: Final = 3_000_000  # an empty JSON value takes 2 bytes in a file and up to 120 in memory
WRITE_UTF8: Final = "write the file again as UTF-8 (for example: iconv -f {} -t UTF-8 FILE)"

_BLOCK: Final = 4 * 1024 * 1024
_MARK: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_PACKED: Final = {
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    _GZIP: "gzip inside gzip",
}
# UTF-32 comes first, because its little-endian mark starts with that of UTF-16. Without a mark, the first
# character of a text file is ASCII often enough that its zero bytes tell.
_WIDE: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# Text shrinks 3 to 30 times, logs of many equal samples 50 times; gzip itself goes up to 1,032 times.
MOST_SHRUNK: Final = 200
UNPACKED_FREELY: Final = 16 * 1024 * 1024


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, with their numbers, counted from 1.

    Parameters
    ----------
    path : Path
        Plain or gzip, recognised by content; byte order marks are taken off.

    Raises
    ------
    InvalidFileError
        When the file cannot be read, is truncated or corrupt, is in another encoding or packed in another
        way, or is larger than the bounds of this module.
    """
    try:
        with path.open("rb") as stream:
            yield from numbered_lines_of(stream, name=str(path))
    except OSError as error:
        raise InvalidFileError(f"cannot read the file: {error.strerror or error}", path=str(path)) from error


def numbered_lines_of(stream: BufferedReader[Any], *, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an open stream as `numbered_lines` does; `name` is for errors.

    Examples
    --------
    >>> from io import BytesIO
    >>> list(numbered_lines_of(BufferedReader(BytesIO(b"one\\n\\nthree")), name="example"))
    [(1, b'one'), (3, b'three')]
    """
    place = 1
    begun: list[bytes] = []  # pieces of a line whose end is yet to come
    n_begun = 0
    try:
        for block in _blocks(stream, name):
            head, newline, tail = block.rpartition(b"\n")
            if newline:
                for line in b"".join((*begun, head)).split(b"\n"):
                    line = line.removeprefix(_MARK)  # files joined end to end keep theirs inside
                    if line and not line.isspace():
                        yield place, _checked(line, name, place)
                    place += 1
                begun, n_begun = [], 0
            begun.append(tail)
            n_begun += len(tail)
            if n_begun > MAX_LINE_BYTES:
                raise _too_long(name, place)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidFileError(
            f"the gzip data is truncated or corrupt after this line ({error}); copy or write the file again",
            path=name,
            line=place,
        ) from error
    rest = b"".join(begun).removeprefix(_MARK)
    if rest and not rest.isspace():
        yield place, _checked(rest, name, place)


def read_text(path: Path, *, limit: int) -> str:
    """Return the text of a small file, without its byte order mark.

    Parameters
    ----------
    path : Path
        A plain file.
    limit : int
        Most bytes.

    Raises
    ------
    InvalidFileError
        When the file cannot be read, is larger, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise InvalidFileError(f"cannot read the file: {error.strerror or error}", path=str(path)) from error
    if len(content) > limit:
        raise InvalidFileError(
            f"the file is larger than {limit:,} bytes; is it the right one?", path=str(path)
        )
    _refuse_other_forms(content, str(path))
    return decode_text(content.removeprefix(_MARK), path=str(path))


def decode_text(data: bytes, *, path: str | None = None, line: int | None = None) -> str:
    """Decode UTF-8, or say what it is not.

    Raises
    ------
    InvalidFileError
        When `data` is not UTF-8.

    Examples
    --------
    >>> decode_text("café".encode())
    'café'
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidFileError(not_utf8(data[error.start]), path=path, line=line) from error


def not_utf8(byte: int) -> str:
    """Say that a byte cannot be of UTF-8, and what to do.

    Examples
    --------
    >>> print(not_utf8(0xE9))
    not UTF-8 (byte 0xe9); write the file again as UTF-8 (for example: iconv -f LATIN1 -t UTF-8 FILE)
    """
    return f"not UTF-8 (byte 0x{byte:02x}); {WRITE_UTF8.format('LATIN1')}"


class _Counted:
    """Count the bytes that are read of a stream."""

    def __init__(self, stream: BufferedReader[Any]) -> None:
        self._stream = stream
        self.n_read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.n_read += len(data)
        return data


def _blocks(stream: BufferedReader[Any], name: str) -> Iterator[bytes]:
    """Yield the unpacked content in blocks that are not empty."""
    head = stream.peek(8)[:8]
    if not head.startswith(_GZIP):
        _refuse_other_forms(head, name)
        while block := stream.read1(_BLOCK):
            yield block
        return
    counted: Any = _Counted(stream)  # gzip asks for nothing but `read`
    unpacked = gzip.GzipFile(fileobj=counted, mode="rb")
    n_unpacked = 0
    # read1 hands out what could be unpacked before an error, so that bad lines keep their numbers.
    while block := unpacked.read1(_BLOCK):
        if not n_unpacked:
            _refuse_other_forms(block, name)
        n_unpacked += len(block)
        if n_unpacked > max(UNPACKED_FREELY, MOST_SHRUNK * counted.n_read):
            raise InvalidFileError(
                f"{counted.n_read:,} bytes of gzip unpack to more than {n_unpacked:,}, which no text does; "
                "if the file is meant, unpack it first",
                path=name,
            )
        yield block


def _refuse_other_forms(head: bytes, name: str) -> None:
    """Refuse what its first bytes show to be another encoding, or packed in a way that is not read here."""
    for mark, form in _PACKED.items():
        if head.startswith(mark):
            raise InvalidFileError(
                f"the file is packed ({form}); unpack it first, or pack it with gzip", path=name
            )
    for mark, encoding in _WIDE.items():
        if head.startswith(mark):
            raise InvalidFileError(
                f"the file is {encoding}, not UTF-8; {WRITE_UTF8.format(encoding)}", path=name
            )
    first = head[:2]
    if first.count(0) == 1 and sum(first) in range(0x20, 0x7F):
        encoding = "UTF-16BE" if first[0] == 0 else "UTF-16LE"
        raise InvalidFileError(
            f"the text is {encoding} without a byte order mark, not UTF-8; {WRITE_UTF8.format(encoding)}",
            path=name,
        )


def _checked(line: bytes, name: str, place: int) -> bytes:
    """Return a line that is within bounds."""
    if len(line) > MAX_LINE_BYTES:
        raise _too_long(name, place)
    if len(line) > MAX_LINE_VALUES and sum(map(line.count, (b",", b"[", b"{"))) > MAX_LINE_VALUES:
        raise InvalidFileError(
            f"the line has more than {MAX_LINE_VALUES:,} commas and brackets; split it, or leave texts out",
            path=name,
            line=place,
        )
    return line


def _too_long(name: str, place: int) -> InvalidFileError:
    return InvalidFileError(
        f"the line is longer than {MAX_LINE_BYTES >> 20} MiB; leave its texts out", path=name, line=place
    )
