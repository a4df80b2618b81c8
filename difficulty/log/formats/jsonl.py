"""Read and write sample logs as JSON Lines, plain or gzip.

Nothing is skipped: the first bad line is reported, with how many more there are. Bounds and encodings are
left to `difficulty.files.lines`, what a line may hold to `difficulty.log.wire`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidLogError
from difficulty.files.lines import numbered_lines
from difficulty.generator import Generator
from difficulty.log.builder import LogBuilder
from difficulty.log.columns import LogColumns
from difficulty.log.found_in import found_in
from difficulty.log.merge import left_out
from difficulty.log.wire import decode_header, decode_line

_BLOCK: Final = 4 * 1024 * 1024

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
    lines = log_lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidLogError("the file is empty; a sample log starts with a header line", path=name)
    with found_in(path):
        generators, about = decode_header(first[1])
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


def log_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of a log that are not blank; see `difficulty.files.lines.numbered_lines`.

    Raises
    ------
    InvalidLogError
        When the file cannot be read as lines of text.
    """
    with found_in(path):
        yield from numbered_lines(path)


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
