"""Read and write sample logs as Parquet: one row per line, one list column per field of a sample.

The header is kept in the schema's metadata under ``sample_log``; `messages`, `params` and `meta` are JSON
text. It needs pyarrow, which is loaded on first use, and leaves columns to `difficulty.log.formats.arrow` and
rows to `difficulty.log.formats.rows`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of
from difficulty.errors import InvalidLogError, require
from difficulty.log.columns import LogColumns
from difficulty.log.formats.arrow import LIST_COLUMNS, ArrowReader
from difficulty.log.formats.jsonl import ParsedLog
from difficulty.log.formats.rows import COUNT_COLUMNS, JSON_COLUMNS, TEXT_COLUMNS, read_rows
from difficulty.log.found_in import found_in
from difficulty.log.merge import left_out
from difficulty.log.sample_checks import check_cached, check_chains
from difficulty.log.wire import IMPORT_IT, canonical_json, decode_header

PARQUET_MAGIC: Final = b"PAR1"
_HEADER_KEY: Final = b"sample_log"
_COLUMNS: Final = (*TEXT_COLUMNS, *JSON_COLUMNS, *COUNT_COLUMNS, *LIST_COLUMNS.values())


def read_parquet(path: Path, *, keep_first: bool = False) -> ParsedLog:
    """Read a Parquet log; line numbers in errors count rows from 1.

    Parameters
    ----------
    path : Path
        The file.
    keep_first : bool
        As in `difficulty.log.formats.jsonl.read_jsonl`.

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
        table = parquet.read_table(path, partitioning=None, page_checksum_verification=True)
        with found_in(path):
            return _parse(ArrowReader(arrow, table), table, keep_first=keep_first)
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


def _parse(reader: ArrowReader, table: Any, *, keep_first: bool) -> ParsedLog:
    header = (table.schema.metadata or {}).get(_HEADER_KEY)
    if header is None:
        raise InvalidLogError(f"not a sample log: the schema has no 'sample_log' metadata; {IMPORT_IT}")
    generators, about = decode_header(header)
    unknown = [column for column in table.column_names if column not in _COLUMNS]
    if unknown:
        raise InvalidLogError(f"unknown column {unknown[0]!r}; allowed: {', '.join(_COLUMNS)}")
    missing = [column for column in ("prompt_id", "generator") if column not in table.column_names]
    if missing:
        raise InvalidLogError(f"the column {missing[0]!r} is missing; every row needs it")
    sizes = reader.sizes()
    samples = reader.samples(sizes)
    offsets = offsets_of(sizes)
    broken = check_chains(samples.chain, samples.step, offsets) or check_cached(
        samples.prompt_tokens, samples.cached_prompt_tokens, offsets
    )
    if broken is not None:
        raise InvalidLogError(broken[1], line=broken[0] + 1)
    columns, n_left_out = read_rows(reader, generators, sizes=sizes, samples=samples, keep_first=keep_first)
    return columns, generators, left_out(about, n_left_out, of=[about])


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
    table = arrow.table(_row_columns(arrow, columns) | _list_columns(arrow, columns))
    table = table.replace_schema_metadata({_HEADER_KEY: header})
    parquet.write_table(table, path, compression="zstd", write_page_checksum=True)


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
    if samples.verifier_tokens is not None:
        flat["verifier_tokens"] = _integers(arrow, samples.verifier_tokens)
    if samples.cached_prompt_tokens is not None:
        flat["cached_prompt_tokens"] = _integers(arrow, samples.cached_prompt_tokens)
    if samples.reward is not None:
        flat["reward"] = arrow.array(samples.reward, mask=np.isnan(samples.reward))
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
