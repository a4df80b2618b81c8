"""Put the rows of an Arrow table together to the lines of a log.

Rows are checked all at once, as arrays. Only where that finds something unusual are they read one by one, by
the same code as lines of JSON; it names the first bad row and the reason, or accepts the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import LineColumns, LogColumns, SampleColumns, StrategyKey, recode
from difficulty.log.formats.arrow import ArrowReader, Coded
from difficulty.log.line_table import LineTable, agreed_tokens, name_chains, prompts_of
from difficulty.log.wire import LineWire, ParameterScalar, SampleWire, canonical_json, contradiction

TEXT_COLUMNS: Final = ("prompt_id", "generator", "prompt", "group", "gold", "strategy")
JSON_COLUMNS: Final[dict[str, Any]] = {
    "messages": tuple[dict[str, Any], ...],
    "params": dict[str, ParameterScalar],
    "meta": dict[str, Any],
}
COUNT_COLUMNS: Final = ("prompt_tokens", "n", "n_correct")
_PROMPT_FIELDS: Final = ("prompt", "messages", "group", "gold")
_ONE_SAMPLE: Final = [SampleWire()]


class _Rows(NamedTuple):
    """All columns of R rows but the samples themselves."""

    coded: Mapping[str, Coded]
    counts: Mapping[str, NDArray[np.float64]]
    offsets: NDArray[np.int64]
    chained: NDArray[np.bool_]


def read_rows(
    reader: ArrowReader,
    generators: Mapping[str, Generator],
    *,
    sizes: NDArray[np.int64],
    samples: SampleColumns,
    path: str,
    keep_first: bool = False,
) -> tuple[LogColumns, int]:
    """Read all columns but those of samples, and check rows against one another.

    Parameters
    ----------
    reader : ArrowReader
    generators : mapping
        By name, from the header.
    sizes : ndarray of int64, shape (R,)
        Samples of each row.
    samples : SampleColumns
        All samples, row after row.
    path : str
        For errors.
    keep_first : bool
        Leave out rows that repeat an earlier one, instead of refusing them.

    Returns
    -------
    columns : LogColumns
    n_left_out : int
        Rows left out as repeats.

    Raises
    ------
    InvalidLogError
        With the first bad row and its reason.
    """
    coded = {name: reader.strings(name) for name in TEXT_COLUMNS}
    coded |= {name: reader.documents(name, kind) for name, kind in JSON_COLUMNS.items()}
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    chained = np.zeros(sizes.shape[0], dtype=np.bool_)
    some = sizes > 0
    chained[some] = samples.chain[offsets[:-1][some]] >= 0
    counts = {name: reader.counts(name) for name in COUNT_COLUMNS}
    rows = _Rows(coded, counts, offsets, chained)
    columns = _all_at_once(rows, generators, samples) if _plainly_right(rows, generators) else None
    if columns is not None:
        return columns, 0
    lines, kept = _one_by_one(rows, generators, path, keep_first=keep_first)
    if lines.n_left_out:
        samples = samples.take(np.flatnonzero(np.repeat(kept, sizes)))
    return lines.finish(samples), lines.n_left_out


def _plainly_right(rows: _Rows, generators: Mapping[str, Generator]) -> bool:
    """Whether every row is right by itself, by checks that may refuse a good row and never pass a bad one."""
    coded, n, n_correct = rows.coded, rows.counts["n"], rows.counts["n_correct"]
    counted = ~np.isnan(n)
    strategy = coded["strategy"].codes
    names = np.array([name == "sequential_revision" for name in coded["strategy"].table] + [True])
    return not (
        (coded["prompt_id"].codes < 0).any()
        or (coded["generator"].codes < 0).any()
        or not generators.keys() >= set(coded["generator"].table)
        or "" in coded["prompt_id"].table
        or "" in coded["group"].table
        or "" in coded["strategy"].table
        or not all(map(str.strip, coded["prompt"].table))
        or (counted == np.isnan(n_correct)).any()
        or (counted == (np.diff(rows.offsets) > 0)).any()
        or (n < 1).any()
        or (n_correct > n).any()
        or ((coded["params"].codes >= 0) & (strategy < 0)).any()
        or not names[strategy][rows.chained].all()
    )


def _all_at_once(
    rows: _Rows, generators: Mapping[str, Generator], samples: SampleColumns
) -> LogColumns | None:
    """Build the columns of rows that are right by themselves, or None where they may disagree."""
    coded, n = rows.coded, rows.counts["n"]
    prompt, ids = recode(coded["prompt_id"].codes, coded["prompt_id"].table)
    known: dict[str, list[Any]] = {}
    for name in _PROMPT_FIELDS:
        codes, table = coded[name]
        given = np.flatnonzero(codes >= 0)
        first = np.full(len(ids), -1, dtype=np.int32)
        first[prompt[given]] = codes[given]
        if (first[prompt[given]] != codes[given]).any():
            return None
        values = [*table, None]
        known[name] = [values[code] for code in first.tolist()]
    place = {name: index for index, name in enumerate(generators)}
    renumber = np.array([place[name] for name in coded["generator"].table], dtype=np.int32)
    generator = renumber[coded["generator"].codes] if renumber.size else np.zeros(0, np.int32)
    strategy, strategies = _strategies(rows)
    key = (prompt.astype(np.int64) * len(generators) + generator) * max(len(strategies), 1) + strategy
    if np.unique(key).shape[0] != key.shape[0]:
        return None
    tokens = rows.counts["prompt_tokens"]
    metas = [*coded["meta"].table, None]
    return LogColumns(
        prompts=prompts_of(
            ids,
            zip(*(known[name] for name in _PROMPT_FIELDS), strict=True),
            agreed_tokens(prompt, tokens),
        ),
        generators=tuple(generators),
        strategies=strategies,
        lines=LineColumns(
            prompt=prompt,
            generator=generator,
            strategy=strategy,
            prompt_tokens=tokens,
            n=np.nan_to_num(n, nan=-1).astype(np.int64),
            n_correct=np.nan_to_num(rows.counts["n_correct"], nan=-1).astype(np.int64),
            offsets=rows.offsets,
            meta=tuple([metas[code] for code in coded["meta"].codes.tolist()]),
        ),
        samples=samples,
    )


def _strategies(rows: _Rows) -> tuple[NDArray[np.int32], tuple[StrategyKey, ...]]:
    """Number the strategies with their parameters, in order of first appearance."""
    names: list[str | None] = [*rows.coded["strategy"].table, "sequential_revision", None]
    texts = [canonical_json(params) for params in rows.coded["params"].table] + ["{}"]
    name = rows.coded["strategy"].codes.copy()
    name[rows.chained] = len(names) - 2
    pair = np.where(name < 0, len(names) - 1, name) * len(texts) + rows.coded["params"].codes % len(texts)
    pairs, place = np.unique(pair, return_inverse=True)
    keys = [(names[code // len(texts)], texts[code % len(texts)]) for code in pairs.tolist()]
    table = list(dict.fromkeys(keys))
    index = {key: number for number, key in enumerate(table)}
    same = np.array([index[key] for key in keys], dtype=np.int32)
    return recode(same[place] if keys else np.zeros(0, np.int32), table)


def _one_by_one(
    rows: _Rows, generators: Mapping[str, Generator], path: str, *, keep_first: bool
) -> tuple[LineTable, list[bool]]:
    """Go through the rows in order, as if they were lines of JSON; say of each whether it is kept."""
    columns: dict[str, list[Any]] = {}
    for name, (codes, table) in rows.coded.items():
        distinct = [*table, None]
        columns[name] = [distinct[code] for code in codes.tolist()]
    for name, counts in rows.counts.items():
        columns[name] = [None if count != count else int(count) for count in counts.tolist()]
    for name in ("prompt_id", "generator"):
        if None in columns[name]:
            raise InvalidLogError(f"{name} is null", path=path, line=columns[name].index(None) + 1)
    lines = LineTable(generators, keep_first=keep_first)
    kept = []
    sizes = np.diff(rows.offsets).tolist()
    for row, (values, size, chained) in enumerate(
        zip(zip(*columns.values(), strict=True), sizes, rows.chained.tolist(), strict=True), start=1
    ):
        line = LineWire(**dict(zip(columns, values, strict=True)), samples=_ONE_SAMPLE if size else None)
        try:
            reason = contradiction(line)
            if reason is not None:
                raise InvalidLogError(reason)
            if chained:
                name_chains(line)
            kept.append(lines.add(line, n_samples=size, place=row))
        except InvalidLogError as error:
            raise InvalidLogError(error.reason, path=path, line=row) from error
    return lines, kept
