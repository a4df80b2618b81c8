"""Read the columns of an Arrow table as NumPy arrays, with the checks that a column alone admits.

It assumes the layout of `difficulty.log.formats.parquet`: one row per line, list columns for the fields of
samples. What rows mean together is left to `difficulty.log.formats.rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError, require
from difficulty.log.columns import (
    COUNTS,
    NUMBERS,
    OPTIONAL_COLUMNS,
    PLACES,
    SampleColumns,
    column_or_none,
    recode,
)
from difficulty.log.wire import MAX_COUNT, MAX_SAMPLES, SampleWire

# Fields of a sample, by the name of their list column; `prompt_tokens` is taken by the line.
LIST_COLUMNS: Final = {name: name for name in SampleWire.__struct_fields__} | {
    "prompt_tokens": "sample_prompt_tokens"
}
_LIMITS: Final = {"chain": 2**31 - 1, "step": 2**31 - 1, "n": MAX_SAMPLES, "n_correct": MAX_SAMPLES}


class Coded(NamedTuple):
    """Values of rows as codes (-1 for null) and the table of distinct values."""

    codes: NDArray[np.int32]
    table: list[Any]


class ArrowReader:
    """Take an Arrow table apart into NumPy columns.

    Parameters
    ----------
    arrow : module
        pyarrow.
    table : pyarrow.Table
    """

    def __init__(self, arrow: Any, table: Any) -> None:
        self._arrow = arrow
        self._compute = require("pyarrow.compute", extra="parquet")
        self._table = table
        self._n_rows = int(table.num_rows)

    def sizes(self) -> NDArray[np.int64]:
        """Count the samples of each row; list columns that are there must agree."""
        sizes = np.zeros(self._n_rows, dtype=np.int64)
        lengths = {}
        for column in LIST_COLUMNS.values():
            if column in self._table.column_names:
                lengths[column] = self._lengths(column)
                sizes = np.maximum(sizes, lengths[column])
        for column, length in lengths.items():
            bad = np.flatnonzero((length >= 0) & (length != sizes))
            if bad.size:
                row = int(bad[0])
                raise InvalidLogError(
                    f"column {column!r} has {length[row]} elements where another one has {sizes[row]}; "
                    "all list columns of a row describe the same samples",
                    line=row + 1,
                )
        return sizes

    def samples(self, sizes: NDArray[np.int64]) -> SampleColumns:
        """Read all list columns."""
        answer, answers = self._coded("answer", sizes)
        finish, finishes = self._coded("finish", sizes)
        correct = self._list("correct", sizes, np.dtype(np.int8), -1, self._truths)
        read = {name: self._counts(name, sizes) for name in COUNTS}
        read |= {
            name: self._list(name, sizes, np.dtype(np.float64), np.nan, self._finite) for name in NUMBERS
        }
        places = {name: np.nan_to_num(self._counts(name, sizes), nan=-1).astype(np.int32) for name in PLACES}
        objects = {
            "text": self._list("text", sizes, np.dtype(object), None, self._strings),
            "step_scores": self._list("step_scores", sizes, np.dtype(object), None, self._step_scores),
        }
        columns: dict[str, Any] = {**read, **places, **objects}
        columns |= {name: column_or_none(columns[name]) for name in OPTIONAL_COLUMNS}
        return SampleColumns(
            answer=answer, correct=correct, finish=finish, answers=answers, finishes=finishes, **columns
        )

    def _lengths(self, column: str) -> NDArray[np.int64]:
        """Return the length of each list, -1 where it is null."""
        values = self._table.column(column)
        self._check_type(values, column, "a list column", "list", "large_list")
        return np.asarray(self._compute.list_value_length(values).fill_null(-1), dtype=np.int64)

    def _list(
        self,
        field: str,
        sizes: NDArray[np.int64],
        dtype: np.dtype[Any],
        missing: object,
        convert: Callable[[Any, str], NDArray[Any]],
    ) -> NDArray[Any]:
        """Read one list column flat, with `missing` for rows whose list is null."""
        column = LIST_COLUMNS[field]
        total = int(sizes.sum())
        if column not in self._table.column_names:
            return np.full(total, missing, dtype=dtype)
        chunks = self._table.column(column)
        flat = self._arrow.chunked_array(
            [chunk.flatten() for chunk in chunks.chunks], type=chunks.type.value_type
        )
        values = convert(flat, column)
        if values.shape[0] == total:
            return values
        full = np.full(total, missing, dtype=dtype)
        full[np.repeat(self._lengths(column) >= 0, sizes)] = values
        return full

    def _counts(self, field: str, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        def convert(values: Any, column: str) -> NDArray[np.float64]:
            return self._checked_counts(values, column, sizes)

        return self._list(field, sizes, np.dtype(np.float64), np.nan, convert)

    def _coded(self, field: str, sizes: NDArray[np.int64]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        strings: list[str] = []

        def convert(values: Any, column: str) -> NDArray[np.int32]:
            codes, table = self._encode(values, column)
            strings.extend(table)
            return codes

        codes = self._list(field, sizes, np.dtype(np.int32), -1, convert)
        return recode(codes, strings)

    def _encode(self, values: Any, column: str) -> tuple[NDArray[np.int32], list[str]]:
        """Return codes (-1 for null) and the table of a column of strings."""
        types = self._arrow.types
        if types.is_null(values.type):
            return np.full(len(values), -1, dtype=np.int32), []
        if types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        self._check_type(values, column, "strings", "string", "large_string")
        encoded = values.dictionary_encode().combine_chunks()
        if isinstance(encoded, self._arrow.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int32)
        return codes, encoded.dictionary.to_pylist()

    def _strings(self, values: Any, column: str) -> NDArray[np.object_]:
        self._check_type(values, column, "strings", "string", "large_string", "null")
        return np.asarray(values.to_numpy(), dtype=object)

    def _truths(self, values: Any, column: str) -> NDArray[np.int8]:
        self._check_type(values, column, "booleans", "boolean", "null")
        return np.asarray(values.cast(self._arrow.int8()).fill_null(-1), dtype=np.int8)

    def _finite(self, values: Any, column: str) -> NDArray[np.float64]:
        self._check_type(values, column, "numbers", "floating", "integer", "null")
        numbers = np.asarray(values.cast(self._arrow.float64()).to_numpy(), dtype=np.float64)
        if int(np.isfinite(numbers).sum()) + values.null_count != numbers.shape[0]:
            raise InvalidLogError(
                f"column {column!r} has NaN or infinite numbers; use null where a number is unknown"
            )
        return numbers

    def _checked_counts(
        self, values: Any, column: str, sizes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        self._check_type(values, column, "integers", "integer", "null")
        numbers = np.asarray(values.cast(self._arrow.int64()).to_numpy(), dtype=np.float64)
        limit = _LIMITS.get(column, MAX_COUNT)
        bad = np.flatnonzero((numbers < 0) | (numbers > limit))
        if bad.size:
            value = int(numbers[bad[0]])
            row = int(bad[0])
            if sizes is not None:
                present = np.where(self._lengths(column) >= 0, sizes, 0)
                row = int(np.searchsorted(np.cumsum(present), row, side="right"))
            raise InvalidLogError(f"{column} must be between 0 and {limit}, got {value}", line=row + 1)
        return numbers

    def _step_scores(self, values: Any, column: str) -> NDArray[np.object_]:
        if self._arrow.types.is_null(values.type):
            return np.full(len(values), None, dtype=object)
        self._check_type(values, column, "lists of numbers", "list", "large_list")
        inner = self._arrow.chunked_array(
            [chunk.flatten() for chunk in values.chunks], type=values.type.value_type
        )
        if inner.null_count:
            raise InvalidLogError(f"column {column!r} has a null inside a list of scores")
        self._finite(inner, column)
        column_values = np.empty(len(values), dtype=object)
        column_values[:] = [None if item is None else tuple(map(float, item)) for item in values.to_pylist()]
        return column_values

    def strings(self, column: str) -> Coded:
        """Read a column of one string per row."""
        if column not in self._table.column_names:
            return Coded(np.full(self._n_rows, -1, dtype=np.int32), [])
        return Coded(*self._encode(self._table.column(column), column))

    def documents(self, column: str, kind: Any) -> Coded:
        """Read a column of JSON text per row, decoded as `kind`."""
        codes, texts = self.strings(column)
        decoder = msgspec.json.Decoder(kind)
        values = []
        for code, text in enumerate(texts):
            try:
                values.append(decoder.decode(text))
            except (msgspec.DecodeError, RecursionError) as error:
                row = int(np.flatnonzero(codes == code)[0]) + 1
                raise InvalidLogError(f"column {column!r} must hold JSON text: {error}", line=row) from error
        return Coded(codes, values)

    def counts(self, column: str) -> NDArray[np.float64]:
        """Read a column of one whole number per row; NaN where it is null."""
        if column not in self._table.column_names:
            return np.full(self._n_rows, np.nan)
        return self._checked_counts(self._table.column(column), column, None)

    def _check_type(self, values: Any, column: str, wanted: str, *kinds: str) -> None:
        """Refuse a column whose type is of none of these kinds, as `pyarrow.types` names them."""
        if not any(getattr(self._arrow.types, f"is_{kind}")(values.type) for kind in kinds):
            raise InvalidLogError(f"column {column!r} must hold {wanted}, got the Arrow type {values.type}")
