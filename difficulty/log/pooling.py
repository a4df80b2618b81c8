"""Build pools, chains and recorded runs from the columns of a log.

It assumes checked columns; every function is vectorised over samples. What the arrays mean is said in
`difficulty.log.sample_pool`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError
from difficulty.log.columns import LogColumns, known_or_none
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool

__all__ = [
    "CHAIN",
    "INDEPENDENT",
    "RUN",
    "chain_pool",
    "line_counts",
    "line_kinds",
    "line_values",
    "local_answers",
    "recorded_runs",
    "sample_pool",
]

_MAX_CELLS: Final = 2**24  # of a padded table, some 40 bytes each

INDEPENDENT: Final = 0
CHAIN: Final = 1
RUN: Final = 2


def line_kinds(columns: LogColumns) -> NDArray[np.int8]:
    """Say of each line whether it holds independent samples, revision chains or complete runs.

    Returns
    -------
    ndarray of int8, shape (L,)
        `INDEPENDENT`, `CHAIN` or `RUN`.
    """
    lines = columns.lines
    named = np.array([name is not None for name, _ in columns.strategies] + [False])
    kinds = np.where(named[lines.strategy], RUN, INDEPENDENT).astype(np.int8)
    in_chain = np.flatnonzero(columns.samples.chain >= 0)
    kinds[np.unique(np.searchsorted(lines.offsets, in_chain, side="right") - 1)] = CHAIN
    return kinds


def local_answers(columns: LogColumns) -> NDArray[np.int32]:
    """Number the answers of each prompt from 0, in order of first appearance over all its lines.

    Returns
    -------
    ndarray of int32, shape (S,)
        -1 where a sample abstains.
    """
    codes = columns.samples.answer
    local = np.full(codes.shape[0], -1, dtype=np.int32)
    answered = np.flatnonzero(codes >= 0)
    if answered.size == 0:
        return local
    n_answers = len(columns.samples.answers)
    prompt = np.repeat(columns.lines.prompt, np.diff(columns.lines.offsets))
    key = prompt[answered].astype(np.int64) * n_answers + codes[answered]
    unique, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    owner = unique // n_answers
    order = np.lexsort((first, owner))
    position = np.empty(order.shape[0], dtype=np.int64)
    position[order] = np.arange(order.shape[0])
    rank = position - np.searchsorted(owner, owner, side="left")
    local[answered] = rank[inverse]
    return local


class LineCounts(NamedTuple):
    """Independent samples by prompt and generator, (P, G) each: recorded, of known verdict, and correct."""

    n_recorded: NDArray[np.int64]
    n_known: NDArray[np.int64]
    n_correct: NDArray[np.int64]


def line_counts(columns: LogColumns, kinds: NDArray[np.int8]) -> LineCounts:
    """Count the independent samples of every prompt and generator, without building pools."""
    lines, correct = columns.lines, columns.samples.correct
    sizes = np.diff(lines.offsets)
    owner = np.repeat(np.arange(len(lines)), sizes)
    counted = lines.n >= 0
    recorded = np.where(counted, lines.n, sizes)
    known = np.where(counted, lines.n, np.bincount(owner[correct >= 0], minlength=len(lines)))
    right = np.where(counted, lines.n_correct, np.bincount(owner[correct == 1], minlength=len(lines)))
    independent = kinds == INDEPENDENT
    where = (lines.prompt[independent], lines.generator[independent])
    tables = []
    for values in (recorded, known, right):
        table = np.zeros((len(columns.prompts), len(columns.generators)), dtype=np.int64)
        table[where] = values[independent]  # a prompt has one line of independent samples per generator
        tables.append(table)
    return LineCounts(*tables)


class LineValues(NamedTuple):
    """Independent samples by prompt and generator, (P, G) each: of known value, and the sum of the values."""

    n: NDArray[np.int64]
    total: NDArray[np.float64]


def line_values(
    columns: LogColumns, kinds: NDArray[np.int8], worth: NDArray[np.float64] | None
) -> LineValues:
    """Count the independent samples whose value is known, and add their values up, without building pools."""
    if worth is None:
        counts = line_counts(columns, kinds)
        return LineValues(counts.n_known, counts.n_correct.astype(np.float64))
    lines = columns.lines
    owner = np.repeat(np.arange(len(lines)), np.diff(lines.offsets))
    known = ~np.isnan(worth)
    n = np.bincount(owner[known], minlength=len(lines))
    total = np.bincount(owner[known], weights=worth[known], minlength=len(lines))
    independent = kinds == INDEPENDENT
    where = (lines.prompt[independent], lines.generator[independent])
    shape = (len(columns.prompts), len(columns.generators))
    values = LineValues(np.zeros(shape, dtype=np.int64), np.zeros(shape))
    values.n[where], values.total[where] = n[independent], total[independent]
    return values


class _Cells(NamedTuple):
    """Where samples go: `sample` to row `row`, column `column`."""

    sample: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    n: NDArray[np.int64]


def sample_pool(
    columns: LogColumns,
    local: NDArray[np.int32],
    kinds: NDArray[np.int8],
    generator: int,
    *,
    worth: NDArray[np.float64] | None = None,
) -> SamplePool:
    """Build the pool of generator number `generator`."""
    lines, samples = columns.lines, columns.samples
    chosen = np.flatnonzero((lines.generator == generator) & (kinds == INDEPENDENT))
    cells = _cells(columns, chosen)
    counted = chosen[lines.n[chosen] >= 0]
    n = cells.n.copy()
    n[lines.prompt[counted]] = lines.n[counted]
    shape = _table_shape(columns, n)
    correct = _scatter(cells, samples.correct, shape, -1)
    answer = _scatter(cells, local, shape, -2)
    _fill_counts(columns, counted, correct, answer)
    sent = _scatter(cells, samples.prompt_tokens, shape, np.nan)
    cached = (
        None
        if samples.cached_prompt_tokens is None
        else known_or_none(_scatter(cells, samples.cached_prompt_tokens, shape, np.nan))
    )
    prompt_tokens = _row_mean(sent)
    said = chosen[~np.isnan(lines.prompt_tokens[chosen])]
    prompt_tokens[lines.prompt[said]] = lines.prompt_tokens[said]
    own = _differ(sent) or (cached is not None and _differ(cached))
    counts_only = np.zeros(shape[0], dtype=np.bool_)
    counts_only[lines.prompt[counted]] = True
    cut = samples.finishes.index("length") if "length" in samples.finishes else -2
    pool = SamplePool(
        generator=columns.generators[generator],
        n=n,
        n_correct=(correct == 1).sum(axis=1),
        correct=correct,
        answer=answer,
        output_tokens=_scatter(cells, samples.output_tokens, shape, np.nan),
        score=_scatter(cells, samples.score, shape, np.nan),
        mean_logprob=_scatter(cells, samples.mean_logprob, shape, np.nan),
        truncated=_scatter(cells, samples.finish == cut, shape, False),
        prompt_tokens=prompt_tokens,
        counts_only=counts_only,
        verifier_tokens=None
        if samples.verifier_tokens is None
        else _scatter(cells, samples.verifier_tokens, shape, np.nan),
        own_prompt_tokens=sent if own else None,
        cached_prompt_tokens=cached,
        worth=None if worth is None else _scatter(cells, worth, shape, np.nan),
    )
    _freeze(pool)
    return pool


def chain_pool(
    columns: LogColumns,
    local: NDArray[np.int32],
    kinds: NDArray[np.int8],
    generator: int,
    *,
    worth: NDArray[np.float64] | None = None,
) -> ChainPool | None:
    """Build the chains of generator number `generator`, or None where it has none.

    Raises
    ------
    InvalidLogError
        When the log has chains of that generator under parameters that differ in more than ``depth``.
    """
    lines, samples = columns.lines, columns.samples
    chosen = np.flatnonzero((lines.generator == generator) & (kinds == CHAIN))
    if chosen.size == 0:
        return None
    settings = set()
    for code in np.unique(lines.strategy[chosen]).tolist():
        params = msgspec.json.decode(columns.strategies[code][1])
        params.pop("depth", None)
        settings.add(msgspec.json.encode(params, order="deterministic").decode())
    if len(settings) > 1:
        raise InvalidLogError(
            f"generator {columns.generators[generator]!r} has revision chains under different parameters "
            f"({', '.join(sorted(settings))}); give each its own generator name"
        )
    cells = _cells(columns, chosen)
    # Number the chains of a prompt by line, then by their own number.
    line = np.searchsorted(lines.offsets, cells.sample, side="right") - 1
    order = np.lexsort((samples.step[cells.sample], samples.chain[cells.sample], line, cells.row))
    row, step = cells.row[order], samples.step[cells.sample][order].astype(np.int64)
    starts = step == 0  # steps count from 0 without gaps, so each chain starts once
    number = np.cumsum(starts) - 1
    n = np.bincount(row[starts], minlength=len(columns.prompts)).astype(np.int64)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(n)])[:-1]
    column = number - before[row]
    shape = (len(columns.prompts), int(n.max()), int(step.max()) + 1)
    where = (row, column, step)
    index = cells.sample[order]

    def place(values: NDArray[Any], padding: float) -> NDArray[Any]:
        table = np.full(shape, padding, dtype=values.dtype)
        table[where] = values[index]
        return table

    pool = ChainPool(
        generator=columns.generators[generator],
        n=n,
        n_steps=shape[2],
        correct=place(samples.correct, -1),
        answer=place(local, -2),
        output_tokens=place(samples.output_tokens, np.nan),
        prompt_tokens=place(samples.prompt_tokens, np.nan),
        score=place(samples.score, np.nan),
        mean_logprob=place(samples.mean_logprob, np.nan),
        params=tuple(sorted(msgspec.json.decode(settings.pop()).items())),
        verifier_tokens=None if samples.verifier_tokens is None else place(samples.verifier_tokens, np.nan),
        worth=None if worth is None else place(worth, np.nan),
    )
    _freeze(pool)
    return pool


def recorded_runs(
    columns: LogColumns,
    local: NDArray[np.int32],
    kinds: NDArray[np.int8],
    *,
    worth: NDArray[np.float64] | None = None,
) -> tuple[RecordedRuns, ...]:
    """Build the recorded runs of every generator, strategy and parameter set, in the order of the log."""
    lines, samples = columns.lines, columns.samples
    runs = []
    for generator, name in enumerate(columns.generators):
        for code, (strategy, params) in enumerate(columns.strategies):
            chosen = np.flatnonzero(
                (lines.generator == generator) & (lines.strategy == code) & (kinds == RUN)
            )
            if chosen.size == 0 or strategy is None:
                continue
            cells = _cells(columns, chosen)
            counted = chosen[lines.n[chosen] >= 0]
            n = cells.n.copy()
            n[lines.prompt[counted]] = lines.n[counted]
            shape = _table_shape(columns, n)
            correct = _scatter(cells, samples.correct, shape, -1)
            answer = _scatter(cells, local, shape, -2)
            _fill_counts(columns, counted, correct, answer)
            runs.append(
                RecordedRuns(
                    generator=name,
                    strategy=strategy,
                    params=tuple(sorted(msgspec.json.decode(params).items())),
                    n=n,
                    correct=correct,
                    answer=answer,
                    output_tokens=_scatter(cells, samples.output_tokens, shape, np.nan),
                    prompt_tokens=_scatter(cells, samples.prompt_tokens, shape, np.nan),
                    verifier_tokens=np.full(shape, np.nan)
                    if samples.verifier_tokens is None
                    else _scatter(cells, samples.verifier_tokens, shape, np.nan),
                    score=_scatter(cells, samples.score, shape, np.nan),
                    step_scores=None
                    if samples.step_scores is None
                    else _scatter(cells, samples.step_scores, shape, None),
                    worth=None if worth is None else _scatter(cells, worth, shape, np.nan),
                )
            )
    for run in runs:
        _freeze(run)
    return tuple(runs)


def _freeze(table: SamplePool | ChainPool | RecordedRuns) -> None:
    """Make the arrays read-only, since a log hands out the same ones again."""
    for field in fields(table):
        column = getattr(table, field.name)
        if isinstance(column, np.ndarray):
            column.setflags(write=False)


def _cells(columns: LogColumns, chosen: NDArray[np.int64]) -> _Cells:
    """Say where the samples of the chosen lines go; a prompt has its samples in the order of its lines."""
    lines = columns.lines
    starts = lines.offsets[chosen]
    sizes = lines.offsets[chosen + 1] - starts
    before = np.cumsum(sizes) - sizes
    column = np.arange(int(sizes.sum())) - np.repeat(before, sizes)
    row = np.repeat(lines.prompt[chosen].astype(np.int64), sizes)
    n = np.bincount(row, minlength=len(columns.prompts)).astype(np.int64)
    return _Cells(sample=np.repeat(starts, sizes) + column, row=row, column=column, n=n)


def _table_shape(columns: LogColumns, n: NDArray[np.int64]) -> tuple[int, int]:
    """Return prompts and the largest pool, if a padded table of that shape fits in memory.

    Raises
    ------
    InvalidLogError
        When padding makes it far larger than what is recorded, as one line of huge counts does.
    """
    shape = (n.shape[0], int(n.max(initial=0)))
    if shape[0] * shape[1] > max(_MAX_CELLS, 4 * len(columns.samples)):
        prompt = columns.prompts[int(n.argmax())].id
        raise InvalidLogError(
            f"prompt {prompt!r} has {shape[1]:,} samples: a table of that many for each of {shape[0]:,} "
            "prompts does not fit in memory; give this prompt fewer, or a log of its own"
        )
    return shape


def _row_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _differ(values: NDArray[np.float64]) -> bool:
    """Whether known values of one row differ: then they are no length that the samples of a prompt share."""
    known = ~np.isnan(values)
    least = np.where(known, values, np.inf).min(axis=1, initial=np.inf)
    most = np.where(known, values, -np.inf).max(axis=1, initial=-np.inf)
    return bool((most > least).any())


def _scatter(
    cells: _Cells, values: NDArray[Any], shape: tuple[int, ...], padding: float | None
) -> NDArray[Any]:
    chosen = values[cells.sample]
    if values.dtype == np.float64 and np.isnan(chosen).all():  # nothing recorded: one NaN stands for all
        return np.broadcast_to(np.float64(np.nan), shape)
    table = np.full(shape, padding, dtype=values.dtype)
    table[cells.row, cells.column] = chosen
    return table


def _fill_counts(
    columns: LogColumns, counted: NDArray[np.int64], correct: NDArray[np.int8], answer: NDArray[np.int32]
) -> None:
    """Write counts-only lines into the padded tables: ones, then zeros, and no answers."""
    lines = columns.lines
    place = np.arange(correct.shape[1])
    rows = lines.prompt[counted]
    inside = place < lines.n[counted, None]
    ones = place < lines.n_correct[counted, None]
    correct[rows] = np.where(inside, ones, -1).astype(np.int8)
    answer[rows] = np.where(inside, -1, -2).astype(np.int32)
