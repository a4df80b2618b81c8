"""Read and write the file forms of a sample log, told apart by content when reading and by name when writing.

It assumes local files. What the forms hold is left to `difficulty.log.formats.jsonl` and
`difficulty.log.formats.parquet`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import msgspec

from difficulty.errors import InvalidLogError
from difficulty.files.whole import with_remedy, written_whole
from difficulty.generator import Generator
from difficulty.log.columns import LogColumns
from difficulty.log.formats.jsonl import ParsedLog, read_jsonl, write_lines
from difficulty.log.formats.parquet import PARQUET_MAGIC, read_parquet, write_parquet
from difficulty.log.found_in import read_from
from difficulty.log.lines import encode_header, lines_of


def read_file(path: Path, *, keep_first: bool = False) -> ParsedLog:
    """Read one file: JSON Lines, gzip of it, or Parquet.

    Parameters
    ----------
    path : Path
        The file, recognised by content.
    keep_first : bool
        As in `difficulty.log.formats.jsonl.read_jsonl`.

    Raises
    ------
    InvalidLogError
        When the file is missing, is not a valid log, or has no lines.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    name = str(path)
    if not path.exists():
        raise InvalidLogError("there is no such file; check the path", path=name)
    if not path.is_file():
        raise InvalidLogError(
            "this is not a file; give the path of a .jsonl, .jsonl.gz or .parquet file", path=name
        )
    with read_from(path), path.open("rb") as file:
        magic = file.read(len(PARQUET_MAGIC))
    read = read_parquet if magic == PARQUET_MAGIC else read_jsonl
    parsed = read(path, keep_first=keep_first)
    if not parsed[0].prompts:
        raise InvalidLogError("the log has a header and no lines; nothing was recorded", path=name)
    return parsed


def write_file(
    path: Path, columns: LogColumns, *, generators: Mapping[str, Generator], about: Mapping[str, object]
) -> None:
    """Write one file: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.

    Raises
    ------
    InvalidLogError
        When the suffix is none of these, or the file cannot be written.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
        raise InvalidLogError(
            f"the file name must end in .jsonl, .jsonl.gz or .parquet, got {path.name!r}", path=str(path)
        )
    header = encode_header(generators, about)
    try:
        with written_whole(path) as part:
            if path.suffix == ".parquet":
                write_parquet(part, columns, header=header)
            else:
                write_lines(part, chain((header,), map(msgspec.json.encode, lines_of(columns))))
    except OSError as error:
        raise InvalidLogError(f"cannot write the file: {with_remedy(error)}", path=str(path)) from error
