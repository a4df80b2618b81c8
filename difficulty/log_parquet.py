"""Read and write sample logs as Parquet: one row per line, one list column per field of a sample.

The header is kept in the schema's metadata under ``sample_log``; `messages`, `params` and `meta` are JSON
text. It needs pyarrow, which is loaded on first use, and leaves checks between lines to
`difficulty.log_builder`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError, require
from difficulty.generator import Generator
from difficulty.log_builder import LineTable, check_chains, name_chains
from difficulty.log_columns import LogColumns, SampleColumns, column_or_none, recode
from difficulty.log_wire import (
    LineWire,
    ParameterScalar,
    SampleWire,
    canonical_json,
    contradiction,
    decode_header,
)

__all__ = ["PARQUET_MAGIC", "read_parquet", "write_parquet"]

PARQUET_MAGIC: Final = b"PAR1"
_HEADER_KEY: Final = b"sample_log"
_TEXT: Final = ("prompt_id", "generator", "prompt", "group", "gold", "strategy")
_JSON: Final[dict[str, Any]] = {
    "messages": tuple[dict[str, Any], ...],
    "params": dict[str, ParameterScalar],
    "meta": dict[str, Any],
}
_INTS: Final = ("prompt_tokens", "n", "n_correct")
# Fields of a sample, by the name of their list column; `prompt_tokens` is taken by the line.
_LISTS: Final = {
    "answer": "answer",
    "correct": "correct",
    "output_tokens": "output_tokens",
    "prompt_tokens": "sample_prompt_tokens",
    "score": "score",
    "mean_logprob": "mean_logprob",
    "finish": "finish",
    "text": "text",
    "chain": "chain",
    "step": "step",
    "step_scores": "step_scores",
}
_COLUMNS: Final = (*_TEXT, *_JSON, *_INTS, *_LISTS.values())
_ONE_SAMPLE: Final = [SampleWire()]


def read_parquet(path: Path) -> tuple[LogColumns, dict[str, Generator], dict[str, object]]:
    """Read a Parquet log; line numbers in errors count rows from 1.

    Raises
    ------
    InvalidLogError
        When the file is broken or is not a valid log of format version 1.
    MissingDependencyError
        When pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    name = str(path)
    try:
        table = parquet.read_table(path, partitioning=None)
    except (arrow.ArrowException, OSError) as error:
        raise InvalidLogError(
            f"the Parquet data cannot be read ({error}); write the file again", path=name
        ) from error
    header = (table.schema.metadata or {}).get(_HEADER_KEY)
    if header is None:
        raise InvalidLogError(
            "not a sample log: the schema has no 'sample_log' metadata; write the file with SampleLog.write",
            path=name,
        )
    generators, about = decode_header(header, path=name)
    unknown = [column for column in table.column_names if column not in _COLUMNS]
    if unknown:
        raise InvalidLogError(f"unknown column {unknown[0]!r}; allowed: {', '.join(_COLUMNS)}", path=name)
    missing = [column for column in ("prompt_id", "generator") if column not in table.column_names]
    if missing:
        raise InvalidLogError(f"the column {missing[0]!r} is missing; every row needs it", path=name)
    reader = _TableReader(arrow, table, name)
    sizes = reader.sizes()
    samples = reader.samples(sizes)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    broken = check_chains(samples.chain, samples.step, offsets)
    if broken is not None:
        raise InvalidLogError(broken[1], path=name, line=broken[0] + 1)
    return reader.lines(generators, sizes, offsets, samples.chain).finish(samples), generators, about


class _TableReader:
    """Take an Arrow table apart into columns."""

    def __init__(self, arrow: Any, table: Any, path: str) -> None:
        self._arrow = arrow
        self._compute = require("pyarrow.compute", extra="parquet")
        self._table = table
        self._path = path
        self._n_rows = int(table.num_rows)

    def sizes(self) -> NDArray[np.int64]:
        """Count the samples of each row; list columns that are there must agree."""
        sizes = np.zeros(self._n_rows, dtype=np.int64)
        lengths = {}
        for column in _LISTS.values():
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
                    path=self._path,
                    line=row + 1,
                )
        return sizes

    def samples(self, sizes: NDArray[np.int64]) -> SampleColumns:
        """Read all list columns."""
        answer, answers = self._coded("answer", sizes)
        finish, finishes = self._coded("finish", sizes)
        correct = self._list("correct", sizes, np.dtype(np.int8), -1, self._truths)
        scores = self._list("step_scores", sizes, np.dtype(object), None, self._step_scores)
        text = self._list("text", sizes, np.dtype(object), None, self._strings)
        return SampleColumns(
            answer=answer,
            correct=correct,
            output_tokens=self._counts("output_tokens", sizes),
            prompt_tokens=self._counts("prompt_tokens", sizes),
            score=self._numbers("score", sizes),
            mean_logprob=self._numbers("mean_logprob", sizes),
            finish=finish,
            chain=np.nan_to_num(self._counts("chain", sizes), nan=-1).astype(np.int32),
            step=np.nan_to_num(self._counts("step", sizes), nan=-1).astype(np.int32),
            text=column_or_none(text),
            step_scores=column_or_none(scores),
            answers=answers,
            finishes=finishes,
        )

    def lines(
        self,
        generators: dict[str, Generator],
        sizes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        chain: NDArray[np.int32],
    ) -> LineTable:
        """Read all other columns, with the checks that a line of JSON gets."""
        nothing: list[Any] = [None] * self._n_rows
        columns: dict[str, list[Any]] = {name: self._strings_of_rows(name) for name in _TEXT}
        for name, kind in _JSON.items():
            columns[name] = self._json_of_rows(name, kind)
        for name in _INTS:
            if name in self._table.column_names:
                counts = self._checked_counts(self._table.column(name), name, None)
                columns[name] = [None if value != value else int(value) for value in counts.tolist()]
            else:
                columns[name] = nothing
        for name in ("prompt_id", "generator"):
            if None in columns[name]:
                raise InvalidLogError(f"{name} is null", path=self._path, line=columns[name].index(None) + 1)
        table = LineTable(generators)
        in_chain = np.zeros(self._n_rows, dtype=np.bool_)
        some = sizes > 0
        in_chain[some] = chain[offsets[:-1][some]] >= 0
        names = list(columns)
        for row, (values, size, chained) in enumerate(
            zip(zip(*columns.values(), strict=True), sizes.tolist(), in_chain.tolist(), strict=True)
        ):
            line = LineWire(**dict(zip(names, values, strict=True)), samples=_ONE_SAMPLE if size else None)
            try:
                reason = contradiction(line)
                if reason is not None:
                    raise InvalidLogError(reason)
                if chained:
                    name_chains(line)
                table.add(line, n_samples=size, place=row + 1)
            except InvalidLogError as error:
                raise InvalidLogError(error.reason, path=self._path, line=row + 1) from error
        return table

    def _lengths(self, column: str) -> NDArray[np.int64]:
        """Return the length of each list, -1 where it is null."""
        values = self._table.column(column)
        types = self._arrow.types
        if not (types.is_list(values.type) or types.is_large_list(values.type)):
            raise self._ill_typed(column, "a list column", values.type)
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
        column = _LISTS[field]
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

    def _numbers(self, field: str, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._list(field, sizes, np.dtype(np.float64), np.nan, self._finite)

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
        if not (types.is_string(values.type) or types.is_large_string(values.type)):
            raise self._ill_typed(column, "strings", values.type)
        encoded = values.dictionary_encode().combine_chunks()
        if isinstance(encoded, self._arrow.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int32)
        return codes, encoded.dictionary.to_pylist()

    def _strings(self, values: Any, column: str) -> NDArray[np.object_]:
        types = self._arrow.types
        if not (
            types.is_string(values.type) or types.is_large_string(values.type) or types.is_null(values.type)
        ):
            raise self._ill_typed(column, "strings", values.type)
        return np.asarray(values.to_numpy(), dtype=object)

    def _truths(self, values: Any, column: str) -> NDArray[np.int8]:
        types = self._arrow.types
        if not (types.is_boolean(values.type) or types.is_null(values.type)):
            raise self._ill_typed(column, "booleans", values.type)
        return np.asarray(values.cast(self._arrow.int8()).fill_null(-1), dtype=np.int8)

    def _finite(self, values: Any, column: str) -> NDArray[np.float64]:
        types = self._arrow.types
        if not (
            types.is_floating(values.type) or types.is_integer(values.type) or types.is_null(values.type)
        ):
            raise self._ill_typed(column, "numbers", values.type)
        numbers = np.asarray(values.cast(self._arrow.float64()).to_numpy(), dtype=np.float64)
        if int(np.isfinite(numbers).sum()) + values.null_count != numbers.shape[0]:
            raise InvalidLogError(
                f"column {column!r} has NaN or infinite numbers; use null where a number is unknown",
                path=self._path,
            )
        return numbers

    def _checked_counts(
        self, values: Any, column: str, sizes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        types = self._arrow.types
        if not (types.is_integer(values.type) or types.is_null(values.type)):
            raise self._ill_typed(column, "integers", values.type)
        numbers = np.asarray(values.cast(self._arrow.int64()).to_numpy(), dtype=np.float64)
        limit = 2**31 - 1 if column in ("chain", "step") else 2**53
        bad = np.flatnonzero((numbers < 0) | (numbers > limit))
        if bad.size:
            value = int(numbers[bad[0]])
            row = int(bad[0])
            if sizes is not None:
                present = np.where(self._lengths(column) >= 0, sizes, 0)
                row = int(np.searchsorted(np.cumsum(present), row, side="right"))
            raise InvalidLogError(
                f"{column} must be between 0 and {limit}, got {value}", path=self._path, line=row + 1
            )
        return numbers

    def _step_scores(self, values: Any, column: str) -> NDArray[np.object_]:
        types = self._arrow.types
        if types.is_null(values.type):
            return np.full(len(values), None, dtype=object)
        if not (types.is_list(values.type) or types.is_large_list(values.type)):
            raise self._ill_typed(column, "lists of numbers", values.type)
        inner = self._arrow.chunked_array(
            [chunk.flatten() for chunk in values.chunks], type=values.type.value_type
        )
        if inner.null_count:
            raise InvalidLogError(f"column {column!r} has a null inside a list of scores", path=self._path)
        self._finite(inner, column)
        column_values = np.empty(len(values), dtype=object)
        column_values[:] = [None if item is None else tuple(map(float, item)) for item in values.to_pylist()]
        return column_values

    def _strings_of_rows(self, column: str) -> list[str | None]:
        if column not in self._table.column_names:
            return [None] * self._n_rows
        codes, table = self._encode(self._table.column(column), column)
        strings: list[str | None] = [*table, None]
        return [strings[code] for code in codes.tolist()]

    def _json_of_rows(self, column: str, kind: Any) -> list[Any]:
        texts = self._strings_of_rows(column)
        decoder = msgspec.json.Decoder(kind)
        known: dict[str | None, Any] = {None: None}
        for row, text in enumerate(texts):
            if text not in known:
                try:
                    known[text] = decoder.decode(text or "")
                except msgspec.DecodeError as error:
                    raise InvalidLogError(
                        f"column {column!r} must hold JSON text: {error}", path=self._path, line=row + 1
                    ) from error
        return [known[text] for text in texts]

    def _ill_typed(self, column: str, wanted: str, got: object) -> InvalidLogError:
        return InvalidLogError(
            f"column {column!r} must hold {wanted}, got the Arrow type {got}", path=self._path
        )


def write_parquet(path: Path, columns: LogColumns, *, header: bytes) -> None:
    """Write a log as Parquet, compressed with Zstandard.

    Raises
    ------
    InvalidLogError
        When the file cannot be written.
    MissingDependencyError
        When pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    table = arrow.table(_row_columns(arrow, columns) | _list_columns(arrow, columns))
    table = table.replace_schema_metadata({_HEADER_KEY: header})
    try:
        parquet.write_table(table, path, compression="zstd")
    except OSError as error:
        raise InvalidLogError(f"cannot write the file: {error.strerror or error}", path=str(path)) from error


def _row_columns(arrow: Any, columns: LogColumns) -> dict[str, Any]:
    lines = columns.lines
    prompts = [columns.prompts[index] for index in lines.prompt.tolist()]
    string = arrow.string()
    keys = [columns.strategies[code] for code in lines.strategy.tolist()]
    messages = [canonical_json([dict(m) for m in p.messages]) if p.messages else None for p in prompts]
    rows = {
        "prompt_id": arrow.array([prompt.id for prompt in prompts], type=string),
        "prompt": arrow.array([prompt.text for prompt in prompts], type=arrow.large_string()),
        "messages": arrow.array(messages, type=arrow.large_string()),
        "group": arrow.array([None if p.group == p.id else p.group for p in prompts], type=string),
        "generator": arrow.array(
            [columns.generators[code] for code in lines.generator.tolist()], type=string
        ),
        "gold": arrow.array([prompt.gold for prompt in prompts], type=string),
        "prompt_tokens": _integers(arrow, lines.prompt_tokens),
        "strategy": arrow.array([name for name, _ in keys], type=string),
        "params": arrow.array([None if params == "{}" else params for _, params in keys], type=string),
        "meta": arrow.array(
            [None if meta is None else canonical_json(meta) for meta in lines.meta], type=string
        ),
        "n": arrow.array(lines.n, mask=lines.n < 0),
        "n_correct": arrow.array(lines.n_correct, mask=lines.n < 0),
    }
    return {name: column for name, column in rows.items() if column.null_count < len(column)}


def _list_columns(arrow: Any, columns: LogColumns) -> dict[str, Any]:
    samples = columns.samples
    offsets = arrow.array(columns.lines.offsets.astype(np.int32))
    no_list = arrow.array(columns.lines.n >= 0)
    flat = {
        "answer": _strings(arrow, samples.answer, samples.answers),
        "correct": arrow.array(samples.correct == 1, mask=samples.correct < 0),
        "output_tokens": _integers(arrow, samples.output_tokens),
        "sample_prompt_tokens": _integers(arrow, samples.prompt_tokens),
        "score": arrow.array(samples.score, mask=np.isnan(samples.score)),
        "mean_logprob": arrow.array(samples.mean_logprob, mask=np.isnan(samples.mean_logprob)),
        "finish": _strings(arrow, samples.finish, samples.finishes),
        "chain": arrow.array(samples.chain, mask=samples.chain < 0),
        "step": arrow.array(samples.step, mask=samples.step < 0),
    }
    if samples.text is not None:
        flat["text"] = arrow.array(samples.text, type=arrow.large_string())
    if samples.step_scores is not None:
        scores = [None if item is None else list(item) for item in samples.step_scores]
        flat["step_scores"] = arrow.array(scores, type=arrow.list_(arrow.float64()))
    # A sample may have nothing but its place: then one column must still say how many there are.
    return {
        name: arrow.ListArray.from_arrays(offsets, values, mask=no_list)
        for name, values in flat.items()
        if values.null_count < len(values) or (name == "answer" and len(values))
    }


def _integers(arrow: Any, values: NDArray[np.float64]) -> Any:
    unknown = np.isnan(values)
    return arrow.array(np.where(unknown, 0, values).astype(np.int64), mask=unknown)


def _strings(arrow: Any, codes: NDArray[np.int32], table: tuple[str, ...]) -> Any:
    dictionary = arrow.array(table, type=arrow.string())
    indices = arrow.array(codes, mask=codes < 0)
    return arrow.DictionaryArray.from_arrays(indices, dictionary).cast(arrow.string())
