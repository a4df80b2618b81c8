"""Read and write sample logs as JSON Lines, plain or gzip.

Lines are read in blocks, so that memory stays bounded whatever a compressed file unpacks to; a single line
may have at most 64 MiB. Nothing is skipped: the first bad line is reported, with how many more there are.
What a line may hold is left to `difficulty.log.wire`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.builder import LogBuilder
from difficulty.log.columns import LogColumns
from difficulty.log.merge import left_out
from difficulty.log.wire import decode_header, decode_line

__all__ = ["MAX_LINE_BYTES", "ParsedLog", "numbered_lines", "read_jsonl", "write_lines"]

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_BLOCK: Final = 4 * 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"

ParsedLog = tuple[LogColumns, dict[str, Generator], dict[str, object]]
"""Columns, generators by name, and the free ``about`` object."""


def read_jsonl(path: Path, *, keep_first: bool = False) -> ParsedLog:
    """Read a JSON Lines log; gzip is recognised by content.

    Parameters
    ----------
    path : Path
        The file.
    keep_first : bool
        Leave out lines that repeat a prompt × generator × strategy, and count them in ``duplicates_left_out``
        of what the header says about the log, instead of refusing them.

    Raises
    ------
    InvalidLogError
        With file, line and reason, when the file is not a valid log of format version 1.
    """
    name = str(path)
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidLogError("the file is empty; a sample log starts with a header line", path=name)
    generators, about = decode_header(first[1], path=name)
    builder = LogBuilder(generators, path=name, keep_first=keep_first)
    for place, data in lines:
        try:
            builder.add(decode_line(data), place=place)
        except InvalidLogError as error:
            if error.line is None:
                builder.finish()  # chains are checked in batches: the first bad line may be an earlier one
            n_more = _count_bad(lines, builder)
            more = f" ({n_more} more bad lines follow)" if n_more else ""
            raise InvalidLogError(error.reason + more, path=name, line=error.line or place) from error
    return builder.finish(), generators, left_out(about, builder.lines.n_left_out, of=[about])


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, with their numbers, counted from 1.

    Raises
    ------
    InvalidLogError
        When the file cannot be read, is truncated or corrupt, or has a line above `MAX_LINE_BYTES`.
    """
    name = str(path)
    place = 1
    try:
        with _open(path) as stream:
            begun: list[bytes] = []  # pieces of a line whose end is yet to come
            n_begun = 0
            # read1 hands out what could be unpacked before an error, so that bad lines keep their numbers.
            while block := stream.read1(_BLOCK):
                head, newline, tail = block.rpartition(b"\n")
                if newline:
                    for line in b"".join((*begun, head)).split(b"\n"):
                        if line and not line.isspace():
                            yield place, line
                        place += 1
                    begun, n_begun = [], 0
                begun.append(tail)
                n_begun += len(tail)
                if n_begun > MAX_LINE_BYTES:
                    raise InvalidLogError(
                        f"the line is longer than {MAX_LINE_BYTES >> 20} MiB; leave its texts out",
                        path=name,
                        line=place,
                    )
            rest = b"".join(begun)
            if rest and not rest.isspace():
                yield place, rest
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidLogError(
            f"the gzip data is truncated or corrupt after this line ({error}); copy or write the file again",
            path=name,
            line=place,
        ) from error
    except OSError as error:
        raise InvalidLogError(f"cannot read the file: {error.strerror or error}", path=name) from error


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines to a file, gzip where its name ends in ``.gz``; equal lines give equal bytes.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    with path.open("wb") as file:
        if path.suffix == ".gz":
            # Level 6 and no time stamp: equal content is equal bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                stream.writelines(_blocks(lines))
        else:
            file.writelines(_blocks(lines))


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines into blocks, which compress faster than one call per line."""
    block = bytearray()
    for line in lines:
        block += line
        block += b"\n"
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    return gzip.GzipFile(path, "rb") if compressed else path.open("rb")


def _count_bad(lines: Iterator[tuple[int, bytes]], builder: LogBuilder) -> int:
    """Count the bad lines in the rest of a file, as far as it can be read."""
    n_bad = 0
    while True:
        try:
            item = next(lines, None)
            if item is None:
                return n_bad
            builder.lines.add(decode_line(item[1]), n_samples=0, place=item[0])
        except InvalidLogError as error:
            n_bad += 1
            if error.path is not None:  # the file itself is broken from here on
                return n_bad
