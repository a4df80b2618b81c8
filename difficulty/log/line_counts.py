"""What kind of samples each line of a log holds, and how many are right, without building pools.

It assumes checked columns; every function is vectorised over samples. Padded tables of the samples themselves
are left to `difficulty.log.pooling`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.log.columns import LogColumns

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
    return LineCounts(*(_by_prompt(columns, kinds, values) for values in (recorded, known, right)))


class Values(NamedTuple):
    """What independent samples are worth, for P prompts and G generators.

    Parameters
    ----------
    n : ndarray of int64, shape (P, G)
        Samples whose value is known.
    total : ndarray of float64, shape (P, G)
        Sum of their values.
    """

    n: NDArray[np.int64]
    total: NDArray[np.float64]


def line_values(columns: LogColumns, kinds: NDArray[np.int8], worth: NDArray[np.float64] | None) -> Values:
    """Count the independent samples whose value is known, and add their values up, without building pools."""
    if worth is None:
        counts = line_counts(columns, kinds)
        return Values(counts.n_known, counts.n_correct.astype(np.float64))
    lines = columns.lines
    owner = np.repeat(np.arange(len(lines)), np.diff(lines.offsets))
    known = ~np.isnan(worth)
    n = np.bincount(owner[known], minlength=len(lines))
    total = np.bincount(owner[known], weights=worth[known], minlength=len(lines))
    return Values(_by_prompt(columns, kinds, n), _by_prompt(columns, kinds, total))


def _by_prompt(columns: LogColumns, kinds: NDArray[np.int8], values: NDArray[Any]) -> NDArray[Any]:
    """Return a number per line by prompt and generator, each of which has one line of independent samples."""
    independent = kinds == INDEPENDENT
    table = np.zeros((len(columns.prompts), len(columns.generators)), dtype=values.dtype)
    where = columns.lines.prompt[independent], columns.lines.generator[independent]
    table[where] = values[independent]
    return table
