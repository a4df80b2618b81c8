"""Import samples from files of tables: CSV, TSV, Parquet, JSON Lines and JSON, with columns of any names.

It assumes files that fit in memory, told apart by content and, for CSV and TSV, by the header line. What
columns and cells mean is left to `difficulty.log.tables`, encodings and sizes to `difficulty.files.lines`.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Final

import msgspec

from difficulty.errors import InvalidLogError, require
from difficulty.files.lines import decode_text, numbered_lines, numbered_lines_of
from difficulty.generator import Generator
from difficulty.importers.json_tables import json_rows
from difficulty.importers.shared import MOST_BYTES, Extract, Grade, loads, refuse_copies
from difficulty.log.found_in import found_in
from difficulty.log.sample_log import SampleLog
from difficulty.log.tables.cells import Row
from difficulty.log.tables.choice import choose_columns
from difficulty.log.tables.rows import lines_of_rows

_DELIMITERS: Final = ("\t", ",", ";", "|")
_PARQUET: Final = b"PAR1"
_LONGEST_CELL: Final = 64 * 1024 * 1024
_TOLD: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16, as spreadsheets write texts with tabs
_FOREIGN: Final = {
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet; save it as CSV in UTF-8",
    b"SQLite format 3": "a database; write the table as CSV or Parquet",
    b"ARROW1": "an Arrow file; write it as Parquet, or give the frame to SampleLog.from_frame",
    b"\xff\xff\xff\xff": "an Arrow stream; write it as Parquet, or give the data set to SampleLog.from_frame",
    b"\x93NUMPY": "an array of numpy; write a table as CSV, JSON Lines or Parquet",
    b"\x80": "a pickle, which may run what it likes; write the table as CSV, JSON Lines or Parquet",
}


def read_table(
    *paths: str | os.PathLike[str],
    columns: Mapping[str, str] | None = None,
    generators: Mapping[str, Generator] | None = None,
    threshold: float | None = None,
    extract: Extract | None = None,
    grade: Grade | None = None,
) -> SampleLog:
    """Read a sample log from tables: one row a sample, or one row a prompt with lists.

    Parameters
    ----------
    *paths : str or path
        CSV, TSV, Parquet, JSON Lines (CSV and JSON Lines also gzip), or JSON: a list of objects, or an object
        with one such list. Files are read end to end as one table.
    columns : mapping of str to str, optional
        Column of each field (`prompt_id`, `prompt`, `answer`, `correct`, `output_tokens`, `generator`,
        `score` …); common names are found without. ``about["columns"]`` says what was taken.
    generators : mapping of str to Generator, optional
        What is known of the generators, by name; one alone has drawn all samples of a table that names none.
    threshold : float, optional
        The least mark that counts as right, where marks are not 0 and 1.
    extract : callable, optional
        Finds the answer in a completion; by default the answer is that of its column.
    grade : callable, optional
        Compares an answer with the right one, where a row has no verdict.

    Returns
    -------
    SampleLog

    Raises
    ------
    InvalidLogError
        When a file cannot be read, or a row; the message names file and line.
    InvalidInputError
        When a column that is named is not there, or a file is given twice.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "results.csv")
    ...     _ = path.write_text("id,question,pred,ok,tokens\\n1,2 + 2?,4,1,12\\n1,2 + 2?,5,0,9\\n")
    ...     log = read_table(path, columns={"correct": "ok"})
    >>> log.pool("model").correct.tolist(), log.pool("model").output_tokens.tolist()
    ([[1, 0]], [[12.0, 9.0]])
    """
    refuse_copies(paths)
    rows: list[Row] = []
    for path in map(Path, paths):
        with found_in(path):
            rows.extend(row._replace(path=str(path)) for row in _rows(path))
    with found_in(paths[0]):
        table = lines_of_rows(
            rows, columns=columns, generators=generators, threshold=threshold, extract=extract, grade=grade
        )
    about = {"imported_from": "tables", "files": [Path(path).name for path in paths], **table.about}
    try:
        return SampleLog.from_records(table.records, table.generators, about=about)
    except InvalidLogError as error:
        raise table.placed(error, path=str(paths[0])) from error


def _rows(path: Path) -> list[Row]:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PARQUET):
        return parquet_rows(path)
    for mark, what in _FOREIGN.items():
        if head.startswith(mark):
            raise InvalidLogError(f"the file is {what}", path=str(path))
    if head.startswith(b"PK\x03\x04") and path.suffix.lower() in (".xlsx", ".xlsm", ".ods", ".numbers"):
        raise InvalidLogError(
            "the file is a workbook of a spreadsheet; save it as CSV in UTF-8", path=str(path)
        )
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidLogError("the file is empty; there is nothing to read", path=str(path))
    start = first[1].lstrip()[:1]
    if start == b"[" or (start == b"{" and not _is_object(first[1])):
        return json_rows(path)
    if start == b"{":
        following = next(lines, None)
        if following is None:  # one line may be a whole document
            return json_rows(path)
        return list(_line_rows(path))
    return list(separated_rows(path))


def _is_object(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _line_rows(path: Path) -> Iterator[Row]:
    for place, line in numbered_lines(path):
        found = loads(line, path=str(path), line=place)
        if not isinstance(found, dict):
            raise InvalidLogError("must be a JSON object", path=str(path), line=place)
        yield Row(place, found)


def separated_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of CSV or TSV; see `rows_of_lines`."""
    return rows_of_lines(_lines(path), name=str(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of a table, in UTF-16, too, as spreadsheets write it."""
    with path.open("rb") as file:
        if file.read(2) not in _WIDE or path.stat().st_size > MOST_BYTES:
            return numbered_lines(path)
    try:
        content = path.read_bytes().decode("utf-16")
    except UnicodeDecodeError:
        return numbered_lines(path)  # which says what is wrong
    return numbered_lines_of(BufferedReader(BytesIO(content.encode())), name=str(path))


def rows_of_lines(lines: Iterable[tuple[int, bytes]], *, name: str) -> Iterator[Row]:
    """Yield the rows of CSV or TSV, whose cells may hold line ends; the place is the last line of a row.

    Parameters
    ----------
    lines : iterable of pairs
        Numbered lines; blank ones may be left out. One column is a table where its name is a common one.
    name : str
        Where they came from, for messages.

    Raises
    ------
    InvalidLogError
        When they are no table, or a row does not fit its header.
    InvalidFileError
        When they are not text.
    """
    text = _text(lines, name)
    header = next((line for line in text if line.strip()), "")
    told = _TOLD.fullmatch(header.strip())  # as spreadsheets read it
    if told is not None:
        text[text.index(header)] = "\n"
        header = next((line for line in text if line.strip()), "")
    delimiter = told.group(1) if told is not None else max(_DELIMITERS, key=header.count)
    if delimiter not in header and not choose_columns([header.strip().strip('"')]).columns:
        raise InvalidLogError(
            "this is no table: the first line has one column; a table starts with the names of its columns, "
            "separated by commas or tabs",
            path=name,
            line=1,
        )
    delimiter = delimiter if delimiter in header else ","
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    names: list[str] = []
    try:
        for cells in reader:
            if not cells:  # a blank line
                continue
            if not names:
                names = [cell.strip() or f"column {i}" for i, cell in enumerate(cells, start=1)]
                twice = {name for name in names if names.count(name) > 1}
                if twice:
                    raise InvalidLogError(
                        f"the table has two columns {min(twice)!r}; rename one of them",
                        path=name,
                        line=1,
                    )
                continue
            if any(cell.strip() for cell in cells[len(names) :]):
                raise InvalidLogError(
                    f"the row has {len(cells)} cells and the table {len(names)} columns; put cells with "
                    f"{delimiter!r} in quotation marks",
                    path=name,
                    line=reader.line_num,
                )
            yield Row(reader.line_num, dict(zip(names, cells, strict=False)))
    except csv.Error as error:
        raise InvalidLogError(f"broken CSV: {error}", path=name, line=reader.line_num) from error


def _text(numbered: Iterable[tuple[int, bytes]], name: str) -> list[str]:
    """Return lines with their ends, blank ones too."""
    lines: list[str] = []
    for place, line in numbered:
        lines.extend("\n" for _ in range(place - 1 - len(lines)))
        lines.append(decode_text(line, path=name, line=place) + "\n")
    if len(lines) == 1:  # lines may end as on old machines
        return lines[0].rstrip().replace("\r", "\n").splitlines(keepends=True)
    return lines


def parquet_rows(path: Path) -> list[Row]:
    """Return the rows of a Parquet file, with cells as plain Python.

    Raises
    ------
    InvalidLogError
        When the file cannot be read.
    MissingDependencyError
        When pyarrow is not installed.
    """
    parquet = require("pyarrow.parquet", extra="parquet")
    arrow = require("pyarrow", extra="parquet")
    try:
        table = parquet.ParquetFile(path).read()
    except (arrow.ArrowException, OSError) as error:
        raise InvalidLogError(f"cannot read the Parquet file: {error}", path=str(path)) from error
    return [Row(place, cells) for place, cells in enumerate(table.to_pylist(), start=1)]
