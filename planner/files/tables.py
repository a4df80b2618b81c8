"""Prompts in tables: CSV and TSV files, told by their name or by a header that names a column of prompts.

It assumes one row a prompt. A table is never read as lines of text, which would make prompts of its header
and its rows. What cells mean is left to `planner.files.prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidFileError, InvalidLogError, InvalidPromptError
from difficulty.files.lines import numbered_lines
from difficulty.importers.tables import separated_rows
from difficulty.log.tables.cells import as_list, is_missing
from difficulty.log.tables.choice import choose_columns

__all__ = ["TableRecord", "as_prompt_record", "prompt_table"]

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
    """
    if not path.is_file():  # what is not there is reported by reading; a pipe must not lose its first bytes
        return None
    if not path.name.endswith(_SUFFIXES) and not _has_header(path):
        return None
    try:
        rows = list(islice(separated_rows(path), most + 1))
    except (InvalidLogError, InvalidFileError) as error:
        raise InvalidPromptError(str(error)) from error
    if len(rows) > most:
        raise InvalidPromptError(f"{path}: a file may have {most:,} prompts at most; split it")
    records = [
        TableRecord(row.place, {name: cell for name, cell in row.cells.items() if not is_missing(cell)})
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
    if "messages" in record:
        record["messages"] = as_list(record["messages"])
    return record, set(columns) - set(found.values())


def _has_header(path: Path) -> bool:
    try:
        first = next(numbered_lines(path), (0, b""))[1].decode()
    except (InvalidFileError, UnicodeDecodeError):
        return False  # reading prompts reports it
    names = [name.strip().strip('"') for name in _SEPARATORS.split(first)]
    return (
        len(names) > 1
        and all(_NAME.fullmatch(name) for name in names)
        and bool({"prompt", "messages"} & choose_columns(names).columns.keys())
    )
