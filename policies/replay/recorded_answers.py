"""What recorded samples say of each other: how often an answer is right, and what a missing length would be.

It assumes codes of answers that are equal within a prompt where the answers are. Which samples are drawn, and
in which order, is left to those who replay them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array, FloatArray
from difficulty.log.sample_pool import SamplePool

# Share of the answers that two generators share which may disagree about what they are worth.
_TOLERANCE: Final = 0.05


def comparable(pools: Sequence[SamplePool]) -> bool:
    """Return whether answers of different generators compare: equal answers are then equally good.

    Choice letters that each generator saw in another order do not; more than one in twenty of the shared
    answers then disagrees about what it is worth, by more than half of the range of values. One generator
    alone always compares with itself.
    """
    tables = [answer_values([pool]) for pool in pools]
    width = max((table.shape[1] for table in tables), default=1)
    tables = [
        np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan) for table in tables
    ]
    known = np.concatenate([table[~np.isnan(table)] for table in tables] or [np.zeros(0)])
    half = 0.5 * float(np.ptp(known)) if known.size else 0.0
    shared = clash = 0
    for index, first in enumerate(tables):
        for second in tables[:index]:
            both = ~np.isnan(first) & ~np.isnan(second)
            shared += int(both.sum())
            clash += int((np.abs(first - second)[both] > half).sum())
    return clash <= _TOLERANCE * shared


def answer_values(pools: Sequence[SamplePool]) -> FloatArray:
    """Return the mean value of the samples by prompt and answer code, shape (P, K), which is the share of
    correct ones unless samples have rewards; NaN for unseen codes.
    """
    width = max(1, max((int(pool.answer.max(initial=-1)) + 1 for pool in pools), default=1))
    right = np.zeros((len(pools[0].n), width))
    total = np.zeros_like(right)
    for pool in pools:
        value = pool.value
        rows, columns = np.nonzero((pool.answer >= 0) & ~np.isnan(value))
        codes = pool.answer[rows, columns]
        np.add.at(total, (rows, codes), 1.0)
        np.add.at(right, (rows, codes), value[rows, columns])
    return np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)


def filled_tokens(tokens: FloatArray, drawn: NDArray[np.bool_]) -> FloatArray:
    """Return token counts with gaps filled by the row's mean, else by that of all; NaN if all are gaps."""
    known = drawn & ~np.isnan(tokens)
    if not known.any():
        return tokens
    total = np.where(known, tokens, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(total), float(tokens[known].mean())), where=count > 0)
    return np.where(known, tokens, mean[:, None])


def filled_by_prompt(tokens: FloatArray) -> FloatArray:
    """Return token counts, shape (P, M), with gaps filled by the row's mean; NaN where a row has nothing."""
    known = ~np.isnan(tokens)
    return np.where(known.any(axis=1, keepdims=True), filled_tokens(tokens, known), np.nan)


def spared(cached: NDArray[np.floating], resent: NDArray[np.floating]) -> Float32Array:
    """Return what a cache spared of prompt tokens that were sent again: 0 where not recorded, never more.

    Of a question that all samples of a request share nothing is taken off: whether a server still has it is
    known when it answers.
    """
    known = np.nan_to_num(np.minimum(cached, resent))
    return np.asarray(np.maximum(known, 0.0), dtype=np.float32)
