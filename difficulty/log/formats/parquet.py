"""Read and write sample logs as Parquet: one row per line, one list column per field of a sample.

The header is kept in the schema's metadata under ``sample_log``; `messages`, `params` and `meta` are JSON
text. It needs pyarrow, which is loaded on first use; what lines hold is left to
`difficulty.log.formats.parsed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidLogError, require
from difficulty.log.columns import LogColumns
from difficulty.log.formats.parsed import ParsedLog, parse
from difficulty.log.found_in import found_in
from difficulty.log.lines import lines_of
from difficulty.log.wire import IMPORT_IT, LineWire, SampleWire, canonical_json, checked_line

PARQUET_MAGIC: Final = b"PAR1"
_HEADER_KEY: Final = b"sample_log"
_BATCH: Final = 4096  # rows held as objects at a time
_LISTS: Final = {
    "sample_prompt_tokens" if name == "prompt_tokens" else name: name for name in SampleWire.__struct_fields__
}
"""Field of a sample by its column: lines have prompt tokens of their own."""
_JSON: Final = ("messages", "params", "meta")
_OWN: Final = tuple(name for name in LineWire.__struct_fields__ if name != "samples")
_COLUMNS: Final = (*_OWN, *_LISTS)


def read_parquet(path: Path, *, keep_first: bool = False) -> ParsedLog:
    """Read a Parquet log; line numbers in errors count rows from 1.

    Parameters
    ----------
    path : Path
        The file.
    keep_first : bool
        As in `difficulty.log.formats.parsed.parse`.

    Raises
    ------
    InvalidLogError
        When the file is broken or is not a valid log of format version 1.
    MissingDependencyError
        When pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file, found_in(path):
            header = _header(file.schema_arrow)
            return parse(header, _rows(arrow, file), _line, path=path, keep_first=keep_first)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidLogError(
            f"the Parquet data cannot be read ({error}); write the file again", path=str(path)
        ) from error


def is_parquet_log(path: Path) -> bool:
    """Say whether a Parquet file is a sample log; one that cannot be read is none, and reading it says why.

    Raises
    ------
    MissingDependencyError
        When pyarrow is not installed.
    """
    parquet = require("pyarrow.parquet", extra="parquet")
    arrow = require("pyarrow", extra="parquet")
    try:
        return _HEADER_KEY in (parquet.read_schema(path).metadata or {})
    except (arrow.ArrowException, OSError):
        return False


def _header(schema: Any) -> bytes:
    """Return the header, after a look at the names of the columns."""
    header: bytes | None = (schema.metadata or {}).get(_HEADER_KEY)
    if header is None:
        raise InvalidLogError(f"not a sample log: the schema has no 'sample_log' metadata; {IMPORT_IT}")
    unknown = [column for column in schema.names if column not in _COLUMNS]
    if unknown:
        raise InvalidLogError(f"unknown column {unknown[0]!r}; allowed: {', '.join(_COLUMNS)}")
    missing = [column for column in ("prompt_id", "generator") if column not in schema.names]
    if missing:
        raise InvalidLogError(f"the column {missing[0]!r} is missing; every row needs it")
    return header


def _rows(arrow: Any, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows, numbered from 1, as values by column."""
    place = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        names = batch.schema.names
        for name, column in zip(names, batch.columns, strict=True):
            _check_finite(arrow, name, column)
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            place += 1
            yield place, dict(zip(names, cells, strict=True))


def _check_finite(arrow: Any, name: str, column: Any) -> None:
    """Refuse numbers that JSON does not have, either."""
    compute = require("pyarrow.compute", extra="parquet")
    while arrow.types.is_list(column.type) or arrow.types.is_large_list(column.type):
        column = column.flatten()
    if arrow.types.is_floating(column.type) and compute.all(compute.is_finite(column)).as_py() is False:
        raise InvalidLogError(
            f"column {name!r} has NaN or infinite numbers; use null where a number is unknown"
        )


def _line(row: dict[str, Any]) -> LineWire:
    """Return a row as a line."""
    lists = {column: row.pop(column, None) for column in _LISTS}
    present = {column: values for column, values in lists.items() if values is not None}
    for name in _JSON:
        if row.get(name) is not None:
            row[name] = _decoded(name, row[name])
    if present:
        row["samples"] = _samples(present)
    return checked_line(lambda: msgspec.convert(row, LineWire))


def _decoded(column: str, text: object) -> object:
    try:
        return msgspec.json.decode(text)  # type: ignore[call-overload]  # what is no text is a TypeError
    except (TypeError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidLogError(f"column {column!r} must hold JSON text: {error}") from error


def _samples(lists: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the samples of a row, from a list for each field."""
    for column, values in lists.items():
        if not isinstance(values, list):
            raise InvalidLogError(f"column {column!r} must hold lists, got {values!r}")
    size = max(map(len, lists.values()))
    for column, values in lists.items():
        if len(values) != size:
            raise InvalidLogError(
                f"column {column!r} has {len(values)} elements where another one has {size}; all list "
                "columns of a row describe the same samples"
            )
    fields = [_LISTS[column] for column in lists]
    return [dict(zip(fields, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def write_parquet(path: Path, columns: LogColumns, *, header: bytes) -> None:
    """Write a log as Parquet, compressed with Zstandard.

    Raises
    ------
    OSError
        When the file cannot be written.
    MissingDependencyError
        When pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    lines = list(lines_of(columns))
    table: dict[str, Any] = {}
    for name in _OWN:
        values = [getattr(line, name) for line in lines]
        if name in _JSON:
            values = [None if value is None else canonical_json(value) for value in values]
        if values.count(None) < len(values):
            table[name] = arrow.array(values)
    samples = [sample for line in lines for sample in line.samples or ()]
    offsets = arrow.array(columns.lines.offsets, type=arrow.int32())
    counted = arrow.array(columns.lines.n >= 0)
    for column, name in _LISTS.items():
        values = list(map(attrgetter(name), samples))
        # A sample may have nothing but its place: then one column must still say how many there are.
        if values.count(None) < len(values) or (name == "answer" and values):
            flat = arrow.array(values, type=arrow.string() if name == "answer" else None)
            table[column] = arrow.ListArray.from_arrays(offsets, flat, mask=counted)
    whole = arrow.table(table).replace_schema_metadata({_HEADER_KEY: header})
    parquet.write_table(whole, path, compression="zstd", write_page_checksum=True)
