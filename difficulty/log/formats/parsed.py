"""Parse the header and the lines of a log, whatever form they have in their file.

Nothing is skipped: the first bad line is reported, with how many more there are. What a line may hold is
left to `difficulty.log.wire`, files to `difficulty.log.formats.jsonl` and `difficulty.log.formats.parquet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.builder import LogBuilder
from difficulty.log.columns import LogColumns
from difficulty.log.found_in import found_in
from difficulty.log.merge import left_out
from difficulty.log.wire import LineWire, decode_header

_Line = TypeVar("_Line")

ParsedLog = tuple[LogColumns, dict[str, Generator], dict[str, object]]
"""Columns, generators by name, and the free ``about`` object."""


def parse(
    header: bytes,
    lines: Iterator[tuple[int, _Line]],
    decode: Callable[[_Line], LineWire],
    *,
    path: Path,
    keep_first: bool,
) -> ParsedLog:
    """Parse a log.

    Parameters
    ----------
    header : bytes
        Header, as JSON.
    lines : iterator of tuple of int and object
        Lines as they stand in the file, each with its number.
    decode : callable
        Reads one of them.
    path : Path
        The file, for errors.
    keep_first : bool
        Leave out lines that repeat a prompt × generator × strategy, and count them in ``duplicates_left_out``
        of what the header says about the log, instead of refusing them.

    Raises
    ------
    InvalidLogError
        With file, line and reason, when it is not a valid log of format version 1.
    """
    with found_in(path):
        generators, about = decode_header(header)
    builder = LogBuilder(generators, path=str(path), keep_first=keep_first)
    for place, line in lines:
        try:
            builder.add(decode(line), place=place)
        except InvalidLogError as error:
            if error.line is None:
                builder.finish()  # chains are checked in batches: the first bad line may be an earlier one
            n_more = _count_bad(lines, decode, builder)
            more = f" ({n_more} more bad lines follow)" if n_more else ""
            raise InvalidLogError(error.reason + more, path=str(path), line=error.line or place) from error
    return builder.finish(), generators, left_out(about, builder.lines.n_left_out, of=[about])


def _count_bad(
    lines: Iterator[tuple[int, _Line]], decode: Callable[[_Line], LineWire], builder: LogBuilder
) -> int:
    """Count the bad lines in the rest of a file, as far as it can be read."""
    n_bad = 0
    while True:
        try:
            item = next(lines, None)
            if item is None:
                return n_bad
            builder.lines.add(decode(item[1]), n_samples=0, place=item[0])
        except InvalidLogError as error:
            n_bad += 1
            if error.path is not None:  # the file itself is broken from here on
                return n_bad
