"""Dataframes in and out: pandas, polars, Arrow, Hugging Face datasets, and what speaks their protocols.

None of these packages is needed to import this file: a frame brings its own, and Arrow is loaded where a
frame has nothing simpler to offer. What the columns mean is left to `difficulty.log.tables.rows`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError, InvalidLogError, require
from difficulty.log.columns import LogColumns
from difficulty.log.lines import lines_of
from difficulty.log.tables.cells import Row
from difficulty.log.tables.choice import LINE_FIELDS, SAMPLE_FIELDS
from difficulty.log.wire import SampleWire, canonical_json

FrameKind: TypeAlias = Literal["pandas", "polars", "arrow"]

_EXTRAS: Final = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
_AS_JSON: Final = frozenset(("messages", "params", "meta"))


def rows_of_frame(frame: Any) -> list[Row]:
    """Return the rows of a frame, numbered from 1.

    Parameters
    ----------
    frame : object
        A dataframe of pandas or polars, an Arrow table, a `datasets.Dataset`, anything with
        ``__arrow_c_stream__`` or ``__dataframe__``, a mapping of columns, or a sequence of mappings.

    Raises
    ------
    InvalidInputError
        When the object is no frame, has a column twice, or columns of several lengths.
    MissingDependencyError
        When only Arrow can read it and pyarrow is not installed.

    Examples
    --------
    >>> rows_of_frame({"id": ["a", "b"], "correct": [1, 0]})[1].cells
    {'id': 'b', 'correct': 0}
    """
    if isinstance(frame, Sequence) and not isinstance(frame, str):
        rows = [Row(place, cells) for place, cells in enumerate(frame, start=1)]
        for place, cells, _ in rows:
            if not isinstance(cells, Mapping):
                raise InvalidInputError(f"row {place} must be a mapping, got {type(cells).__name__}")
        return rows
    columns = _columns(frame)
    if not columns or not next(iter(columns.values())):
        raise InvalidLogError("the frame has no rows; there is nothing to read")
    if len({len(column) for column in columns.values()}) > 1:
        raise InvalidInputError("the columns of a frame must be of one length")
    names = list(columns)
    return [
        Row(place, dict(zip(names, cells, strict=True)))
        for place, cells in enumerate(zip(*columns.values(), strict=True), start=1)
    ]


def frame_of_table(table: Mapping[str, Sequence[Any]], kind: FrameKind) -> Any:
    """Return columns as a frame.

    Raises
    ------
    InvalidInputError
        When `kind` is another word.
    MissingDependencyError
        When the package is not installed.
    """
    check_choice("kind", kind, get_args(FrameKind))
    package = require(_EXTRAS[kind], extra="parquet" if kind == "arrow" else "frames")
    if kind == "arrow":
        return package.table(table)
    if kind == "polars":
        return package.DataFrame(table, strict=False)
    return package.DataFrame(table)


def sample_columns(columns: LogColumns) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {name: [] for name in (*LINE_FIELDS, *SAMPLE_FIELDS)}
    for line in lines_of(columns):
        samples: list[SampleWire] = line.samples if line.samples is not None else [SampleWire()]
        for name in LINE_FIELDS:
            value = getattr(line, name)
            if name in _AS_JSON and value is not None:
                value = canonical_json(value)
            table[name].extend([value] * len(samples))
        for name in SAMPLE_FIELDS:
            values = [getattr(sample, name) for sample in samples]
            if name == "prompt_tokens":
                values = [line.prompt_tokens if value is None else value for value in values]
            if name == "step_scores":
                values = [None if value is None else list(value) for value in values]
            table[name].extend(values)
    return {name: values for name, values in table.items() if any(value is not None for value in values)}


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Return the values of each column, by what the object offers."""
    if isinstance(frame, Mapping):
        if frame and all(hasattr(each, "column_names") for each in frame.values()):
            raise InvalidInputError(
                f"these are several frames, {', '.join(map(repr, frame))}; give one of them, or "
                "concatenate them"
            )
        return {str(name): _values(column) for name, column in frame.items()}
    if hasattr(frame, "collect_schema") and hasattr(frame, "collect") and not hasattr(frame, "get_column"):
        raise InvalidInputError("the frame is lazy; give what its collect() returns")
    if hasattr(frame, "with_format") and not hasattr(frame, "__len__"):
        raise InvalidInputError("the data set streams; give list(dataset), or load it without streaming")
    if hasattr(frame, "columns") and (hasattr(frame, "iloc") or hasattr(frame, "get_column")):
        if hasattr(frame, "reset_index"):  # what pandas groups by, or was told to index by
            held = [name for name in frame.index.names if name is not None and name not in frame.columns]
            frame = frame.reset_index(level=held) if held else frame
        names = list(frame.columns)  # pandas or polars, which need no Arrow
        _refuse_twice(names)
        return {str(name): _values(frame[name]) for name in names}
    if hasattr(frame, "with_format") and hasattr(frame, "column_names"):  # rows as the dataset shows them
        frame = frame.with_format("arrow")[:]
    elif hasattr(frame, "__arrow_c_stream__"):
        arrow = require("pyarrow", extra="parquet")
        try:
            frame = arrow.table(frame)
        except arrow.ArrowException as error:
            raise InvalidInputError(f"{type(frame).__name__} is no table of columns: {error}") from error
    elif hasattr(frame, "__dataframe__"):
        frame = require("pyarrow.interchange", extra="parquet").from_dataframe(frame)
    if not hasattr(frame, "to_pydict"):
        if isinstance(frame, (str, os.PathLike)):
            raise InvalidInputError(f"{str(frame)!r} is no dataframe; files are read by read_table(path)")
        raise InvalidInputError(
            f"{type(frame).__name__} is no dataframe: give one of pandas, polars or Arrow, a dataset, an "
            "object with __arrow_c_stream__ or __dataframe__, a mapping of columns, or a list of mappings"
        )
    _refuse_twice(frame.column_names)
    return dict(frame.to_pydict())


def _refuse_twice(names: Sequence[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(f"the frame has two columns {str(name)!r}; rename one of them")


def _values(column: Any) -> list[Any]:
    """Return the values of a column, with None where the frame holds none."""
    if hasattr(column, "notna"):  # pandas has several values for nothing
        column = column.astype(object).where(column.notna(), None)
    for name in ("to_list", "tolist"):
        if hasattr(column, name):
            return list(getattr(column, name)())
    if isinstance(column, str) or not isinstance(column, Sequence):
        raise InvalidInputError(f"a column must be a sequence of values, got {type(column).__name__}")
    return list(column)
