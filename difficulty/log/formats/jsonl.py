"""Read and write sample logs as JSON Lines, plain or gzip.

It assumes local files. Bounds and encodings are left to `difficulty.files.lines`, what lines hold to
`difficulty.log.formats.parsed`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidLogError
from difficulty.files.lines import numbered_lines
from difficulty.log.formats.parsed import ParsedLog, parse
from difficulty.log.found_in import found_in
from difficulty.log.wire import decode_line

_BLOCK: Final = 4 * 1024 * 1024


def read_jsonl(path: Path, *, keep_first: bool = False) -> ParsedLog:
    """Read a JSON Lines log; gzip is recognised by content.

    Parameters
    ----------
    path : Path
        The file.
    keep_first : bool
        As in `difficulty.log.formats.parsed.parse`.

    Raises
    ------
    InvalidLogError
        With file, line and reason, when the file is not a valid log of format version 1.
    """
    lines = log_lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidLogError("the file is empty; a sample log starts with a header line", path=str(path))
    return parse(first[1], lines, decode_line, path=path, keep_first=keep_first)


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
