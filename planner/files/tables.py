"""Prompts in tables: Parquet, and CSV and TSV, told by their name or by a header that names a column of them.

It assumes one row a prompt. A table is never read as lines of text, which would make prompts of its header
and its rows. What cells mean is left to `planner.files.prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidFileError, InvalidLogError, InvalidPromptError
from difficulty.files.lines import numbered_lines
from difficulty.importers.tables import parquet_rows, rows_of_lines, separated_rows
from difficulty.log.formats.parquet import PARQUET_MAGIC, is_parquet_log
from difficulty.log.tables.cells import Row, as_list, is_missing
from difficulty.log.tables.choice import choose_columns

_SUFFIXES: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_NAME: Final = re.compile(r"[^\W\d][\w .\-]{0,39}")
_SEPARATORS: Final = re.compile(r"[,;\t|]")


class TableRecord(NamedTuple):
    """A row with something in it.

    Attributes
    ----------
    line : int
        Its line in the file.
    cells : dict of str to object
        What the row holds, by column; empty cells are left out.
    """

    line: int
    cells: dict[str, Any]


def prompt_table(path: Path, *, most: int) -> list[TableRecord] | None:
    """Return the rows of a table of prompts, or None where the file is no table.

    Raises
    ------
    InvalidPromptError
        When the file is a table by its name or header and cannot be read as one, or has too many rows.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    if not path.is_file():  # what is not there is reported by reading; a pipe must not lose its first bytes
        return None
    if is_parquet(path):
        return None if is_parquet_log(path) else _records(iter(_parquet(path)), str(path), most)
    if not path.name.endswith(_SUFFIXES):
        try:
            first = next(numbered_lines(path), (0, b""))[1]
        except InvalidFileError:
            return None  # reading prompts reports it
        if not is_header(first):
            return None
    return _records(separated_rows(path), str(path), most)


def table_of_lines(lines: Sequence[tuple[int, bytes]], *, name: str, most: int) -> list[TableRecord] | None:
    """Return the rows of numbered lines that begin with a header, or None where they do not.

    Raises
    ------
    InvalidPromptError
        When a row does not fit the header, or there are too many.
    """
    if not lines or not is_header(lines[0][1]):
        return None
    return _records(rows_of_lines(lines, name=name), name, most)


def _parquet(path: Path) -> list[Row]:
    try:
        return parquet_rows(path)
    except InvalidLogError as error:
        raise InvalidPromptError(str(error)) from error


def _records(found: Iterator[Row], name: str, most: int) -> list[TableRecord]:
    try:
        rows = list(islice(found, most + 1))
    except (InvalidLogError, InvalidFileError) as error:
        raise InvalidPromptError(str(error)) from error
    if len(rows) > most:
        raise InvalidPromptError(f"{name}: a file may have {most:,} prompts at most; split it")
    records = [
        TableRecord(row.place, {column: cell for column, cell in row.cells.items() if not is_missing(cell)})
        for row in rows
    ]
    return [record for record in records if record.cells]


def as_prompt_record(cells: dict[str, Any], columns: Iterable[str]) -> tuple[dict[str, Any], set[str]]:
    """Return the fields of a prompt in a row, and the columns that a prompt does not have."""
    fields = ("prompt_id", "prompt", "messages", "group", "gold", "prompt_tokens")
    chosen = choose_columns(columns).columns
    if "gold" not in chosen and "answer" in chosen:
        chosen["gold"] = chosen["answer"]
    found = {field: chosen[field] for field in fields if field in chosen}
    record = {field: cells[column] for field, column in found.items() if column in cells}
    if isinstance(record.get("prompt"), list):  # messages, as trainers write them
        record["messages"] = record.pop("prompt")
    if "messages" in record:
        record["messages"] = as_list(record["messages"])
    judged = cells.get("reward_model")  # of verl, which keeps the right answer there
    if "gold" not in record and isinstance(judged, Mapping) and judged.get("ground_truth") is not None:
        record["gold"] = judged["ground_truth"]
    return record, set(columns) - set(found.values())


def is_header(line: bytes) -> bool:
    """Say whether a line names columns, one of them of prompts.

    Examples
    --------
    >>> is_header(b"id,question,answer"), is_header(b"What is a prompt, and what a question?")
    (True, False)
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False  # reading prompts reports it
    names = [name.strip().strip('"') for name in _SEPARATORS.split(text)]
    return (
        len(names) > 1
        and all(_NAME.fullmatch(name) for name in names)
        and bool({"prompt", "messages"} & choose_columns(names).columns.keys())
    )


def is_parquet(path: Path) -> bool:
    """Say whether a file is Parquet; one that cannot be opened is not, and reading it reports why."""
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False
