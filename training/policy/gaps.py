"""Fill what a log cannot tell, for choosing only: an unrecorded course is like the most similar one.

Logs are ragged: some prompts have fewer samples, some lack a generator. A gap takes what the most similar
column says of the same prompt, moved by the mean difference of the two columns elsewhere. Evaluation never
reads a filled gap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array, FloatArray
from policies.table.table import BY_SLOT, CourseTable

Float = TypeVar("Float", np.float32, np.float64)

_BLOCK = 256  # columns whose likeness to all others is held at once
_DECIMALS = 9  # of variances, in squares of the greatest value; rounding errors lie far below the last one


def filled(values: NDArray[Float], *, lower: float = -np.inf, upper: float = np.inf) -> NDArray[Float]:
    """Return a table, shape (P, C), without NaN.

    Parameters
    ----------
    values : ndarray of float, shape (P, C)
        Every column has some number, and so has every row.
    lower, upper : float
        Between which filled numbers are kept.
    """
    known = ~np.isnan(values)
    gaps = np.flatnonzero(~known.all(axis=0))
    result = values.copy()
    if not len(gaps):
        return result
    spreads = _Spreads.of(values, known)
    for block in np.array_split(gaps, -(-len(gaps) // _BLOCK)):
        for column, spread in zip(block, spreads.of_columns(block), strict=True):
            missing = np.flatnonzero(~known[:, column])
            # Columns of the same reach have the same gaps, so the donor is looked for among those that reach
            # further.
            while len(missing):
                near = np.where(known[missing[0]], spread, np.inf)
                donor = int(near.argmin())
                if np.isinf(near[donor]):
                    result[missing, column] = np.nanmean(values[:, column])
                    break
                both = known[:, column] & known[:, donor]
                apart = float((values[both, donor] - values[both, column]).mean(dtype=np.float64))
                told = known[missing, donor]
                here = missing[told]
                result[here, column] = np.clip(values[here, donor] - apart, lower, upper)
                missing = missing[~told]
    return result


class _Spreads(NamedTuple):
    """How much the difference of two columns varies over the prompts that both tell, by matrix products.

    In float64 and rounded: columns that are equally near are then ties, on every processor, and the first of
    them is taken.
    """

    pattern: NDArray[np.intp]  # of the prompts that tell, of which there are few: shape (C,)
    n: FloatArray  # prompts that two patterns share, shape (U, U)
    values: FloatArray  # shape (P, C), about their columns' means, 0 where unknown
    sums: FloatArray  # of each column over each pattern, shape (U, C)
    squares: FloatArray

    @classmethod
    def of(cls, values: NDArray[Float], known: NDArray[np.bool_]) -> _Spreads:
        centred = np.where(known, values - np.nanmean(values, axis=0, dtype=np.float64), 0.0)
        centred /= max(float(np.abs(centred).max()), 1e-30)
        packed, pattern = np.unique(np.packbits(known, axis=0), axis=1, return_inverse=True)
        told = np.unpackbits(packed, axis=0, count=len(known)).T.astype(np.float64)
        return cls(pattern, told @ told.T, centred, told @ centred, told @ centred**2)

    def of_columns(self, columns: NDArray[np.int64]) -> FloatArray:
        """Return variances of the difference, shape (columns, C): infinite where no prompt tells both."""
        mine, theirs = self.pattern[columns], self.pattern
        n = self.n[mine][:, theirs]
        total = self.sums[mine] - self.sums[:, columns][theirs].T
        squared = self.squares[mine] + self.squares[:, columns][theirs].T
        squared -= 2 * (self.values[:, columns].T @ self.values)
        told = np.maximum(n, 1)
        variance = np.maximum(squared / told - (total / told) ** 2, 0.0)
        return np.where(n > 0, variance.round(_DECIMALS), np.inf)


def filled_table(table: CourseTable, value: Float32Array) -> CourseTable:
    """Return a table without gaps but for tokens that nobody recorded.

    Parameters
    ----------
    table : CourseTable
        P prompts × C courses.
    value : ndarray of float32, shape (P, C)
        Its values, filled.
    """
    usage: dict[str, Any] = {}
    for name in ("rounds", *BY_SLOT):
        usage[name] = filled_where_known(getattr(table, name))
    return replace(table, value=value, **usage)


def filled_where_known(counts: NDArray[Float]) -> NDArray[Float]:
    """Return counts, shape (P, C), without gaps but in columns that hold nothing else."""
    known = ~np.isnan(counts).all(axis=0)
    whole = counts.copy()
    if known.any():
        whole[:, known] = filled(counts[:, known], lower=0.0)
    return whole
