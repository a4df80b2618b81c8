"""Build pools, chains and recorded runs from the columns of a log.

It assumes checked columns; every function is vectorised over samples. What the arrays mean is said in
`difficulty.log.sample_pool`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import places
from difficulty.arithmetic.rows import row_mean
from difficulty.errors import InvalidLogError
from difficulty.log.columns import LogColumns, column_or_none
from difficulty.log.line_counts import CHAIN, INDEPENDENT, RUN
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool

_MAX_CELLS: Final = 2**24  # of a padded table, some 40 bytes each


class Source(NamedTuple):
    """What pools are built from.

    Attributes
    ----------
    columns : LogColumns
        The log.
    local : ndarray of int32, shape (S,)
        Its answers as codes, from `difficulty.log.line_counts.local_answers`.
    kinds : ndarray of int8, shape (L,)
        Of its lines, from `difficulty.log.line_counts.line_kinds`.
    worth : ndarray of float64, shape (S,), or None
        What samples are worth, where that is not their correctness.
    """

    columns: LogColumns
    local: NDArray[np.int32]
    kinds: NDArray[np.int8]
    worth: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Where the samples of some lines go: `sample` to `cell`, in a table of `shape` that is padded.

    `n` is how many each prompt has; lines that record counts, whose numbers are `counted`, have no samples.
    """

    sample: NDArray[np.int64]
    cell: tuple[NDArray[np.int64], ...]
    n: NDArray[np.int64]
    shape: tuple[int, ...]
    counted: NDArray[np.int64]

    @classmethod
    def of(cls, columns: LogColumns, chosen: NDArray[np.int64]) -> Self:
        """Say where the samples of the chosen lines go, in the order of the lines of their prompt."""
        lines = columns.lines
        starts = lines.offsets[chosen]
        sizes = lines.offsets[chosen + 1] - starts
        sample = places(starts, sizes)
        column = sample - np.repeat(starts, sizes)
        row = np.repeat(lines.prompt[chosen].astype(np.int64), sizes)
        n = np.bincount(row, minlength=len(columns.prompts)).astype(np.int64)
        counted = chosen[lines.n[chosen] >= 0]
        n[lines.prompt[counted]] = lines.n[counted]
        return cls(sample, (row, column), n, _table_shape(columns, n), counted)

    def place(self, values: NDArray[Any], padding: float | None = np.nan) -> NDArray[Any]:
        """Return the values of the samples in their cells."""
        chosen = values[self.sample]
        if values.dtype == np.float64 and np.isnan(chosen).all():  # nothing recorded: one NaN stands for all
            return np.broadcast_to(np.float64(np.nan), self.shape)
        table = np.full(self.shape, padding, dtype=values.dtype)
        table[self.cell] = chosen
        return table

    def place_known(self, values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Place values that a log need not have; None where it has none."""
        return None if values is None else self.place(values)

    def recorded(self, source: Source) -> dict[str, Any]:
        """Place what pools of all kinds hold beside verdicts: the arguments of each."""
        samples = source.columns.samples
        cached = self.place_known(samples.cached_prompt_tokens)
        return {
            "n": self.n,
            "output_tokens": self.place(samples.output_tokens),
            "score": self.place(samples.score),
            "cached_prompt_tokens": None if cached is None else column_or_none(cached),
            "worth": self.place_known(source.worth),
        }

    def verdicts(
        self, columns: LogColumns, local: NDArray[np.int32]
    ) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """Return what is right, and the answers; of lines that record counts ones, zeros, and no answers."""
        correct, answer = self.place(columns.samples.correct, -1), self.place(local, -2)
        lines, place = columns.lines, np.arange(self.shape[1])
        rows = lines.prompt[self.counted]
        inside = place < lines.n[self.counted, None]
        correct[rows] = np.where(inside, place < lines.n_correct[self.counted, None], -1)
        answer[rows] = np.where(inside, -1, -2)
        return correct, answer


def sample_pool(source: Source, generator: int) -> SamplePool:
    """Build the pool of generator number `generator`."""
    columns, local, kinds, _ = source
    lines, samples = columns.lines, columns.samples
    chosen = np.flatnonzero((lines.generator == generator) & (kinds == INDEPENDENT))
    table = _Table.of(columns, chosen)
    correct, answer = table.verdicts(columns, local)
    recorded = table.recorded(source)
    sent, cached = table.place(samples.prompt_tokens), recorded["cached_prompt_tokens"]
    prompt_tokens = row_mean(sent)
    said = chosen[~np.isnan(lines.prompt_tokens[chosen])]
    prompt_tokens[lines.prompt[said]] = lines.prompt_tokens[said]
    own = _differ(sent) or (cached is not None and bool((cached > 0).any()))
    if own:
        sent = np.where(np.isnan(sent) & (answer != -2), prompt_tokens[:, None], sent)
    counts_only = np.zeros(len(columns.prompts), dtype=np.bool_)
    counts_only[lines.prompt[table.counted]] = True
    cut = samples.finishes.index("length") if "length" in samples.finishes else -2
    return SamplePool(
        generator=columns.generators[generator],
        n_correct=(correct == 1).sum(axis=1),
        correct=correct,
        answer=answer,
        mean_logprob=table.place(samples.mean_logprob),
        truncated=table.place(samples.finish == cut, False),
        prompt_tokens=prompt_tokens,
        counts_only=counts_only,
        verifier_tokens=table.place_known(samples.verifier_tokens),
        own_prompt_tokens=sent if own else None,
        **recorded,
    )


def chain_pool(source: Source, generator: int) -> ChainPool | None:
    """Build the chains of generator number `generator`, or None where it has none.

    Raises
    ------
    InvalidLogError
        When the log has chains of that generator under parameters that differ in more than ``depth``.
    """
    columns, local, kinds, _ = source
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
    table = _chain_table(columns, chosen)
    return ChainPool(
        generator=columns.generators[generator],
        n_steps=table.shape[2],
        correct=table.place(samples.correct, -1),
        answer=table.place(local, -2),
        prompt_tokens=table.place(samples.prompt_tokens),
        mean_logprob=table.place(samples.mean_logprob),
        params=tuple(sorted(msgspec.json.decode(settings.pop()).items())),
        verifier_tokens=table.place_known(samples.verifier_tokens),
        **table.recorded(source),
    )


def _chain_table(columns: LogColumns, chosen: NDArray[np.int64]) -> _Table:
    """Say where the steps of chains go, whose prompts have them by line, then by their own numbers."""
    flat = _Table.of(columns, chosen)
    step, chain = columns.samples.step[flat.sample].astype(np.int64), columns.samples.chain[flat.sample]
    line = np.searchsorted(columns.lines.offsets, flat.sample, side="right") - 1
    order = np.lexsort((step, chain, line, flat.cell[0]))
    row, step = flat.cell[0][order], step[order]
    starts = step == 0  # steps count from 0 without gaps, so each chain starts once
    n = np.bincount(row[starts], minlength=len(columns.prompts)).astype(np.int64)
    column = np.cumsum(starts) - 1 - (np.cumsum(n) - n)[row]
    shape = (len(columns.prompts), int(n.max()), int(step.max()) + 1)
    return _Table(flat.sample[order], (row, column, step), n, shape, flat.counted)


def recorded_runs(source: Source) -> tuple[RecordedRuns, ...]:
    """Build the recorded runs of every generator, strategy and parameter set, in the order of the log."""
    columns, local, kinds, _ = source
    lines, samples = columns.lines, columns.samples
    runs = []
    for generator, name in enumerate(columns.generators):
        for code, (strategy, params) in enumerate(columns.strategies):
            chosen = np.flatnonzero(
                (lines.generator == generator) & (lines.strategy == code) & (kinds == RUN)
            )
            if chosen.size == 0 or strategy is None:
                continue
            table = _Table.of(columns, chosen)
            correct, answer = table.verdicts(columns, local)
            read = table.place_known(samples.verifier_tokens)
            steps = samples.step_scores
            runs.append(
                RecordedRuns(
                    generator=name,
                    strategy=strategy,
                    params=tuple(sorted(msgspec.json.decode(params).items())),
                    correct=correct,
                    answer=answer,
                    prompt_tokens=table.place(samples.prompt_tokens),
                    verifier_tokens=np.full(table.shape, np.nan) if read is None else read,
                    step_scores=None if steps is None else table.place(steps, None),
                    **table.recorded(source),
                )
            )
    return tuple(runs)


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


def _differ(values: NDArray[np.float64]) -> bool:
    """Whether known values of one row differ: then they are no length that the samples of a prompt share."""
    known = ~np.isnan(values)
    least = np.where(known, values, np.inf).min(axis=1, initial=np.inf)
    most = np.where(known, values, -np.inf).max(axis=1, initial=-np.inf)
    return bool((most > least).any())
