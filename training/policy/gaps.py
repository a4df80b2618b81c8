"""Fill what a log cannot tell, for choosing only: an unrecorded course is like the most similar one.

Logs are ragged: some prompts have fewer samples, some lack a generator. A gap takes what the most similar
column says of the same prompt, moved by the mean difference of the two columns elsewhere. Evaluation never
reads a filled gap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.table.table import CourseTable

__all__ = ["filled", "filled_table"]

FloatArray: TypeAlias = NDArray[np.float32]


def filled(values: FloatArray, *, lower: float = -np.inf, upper: float = np.inf) -> FloatArray:
    """Return a table, shape (P, C), without NaN.

    Parameters
    ----------
    values : ndarray of float32, shape (P, C)
        Every column has some number, and so has every row.
    lower, upper : float
        Between which filled numbers are kept.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    result = values.copy()
    share = 1 - gaps.mean(axis=0)
    order = np.argsort(-share, kind="stable")
    for column in order:
        missing = np.flatnonzero(np.isnan(result[:, column]))
        # Columns of the same reach have the same gaps, so the donor is looked for among those that reach
        # further.
        while len(missing):
            known = ~gaps[:, column]
            donors = ~gaps[missing[0]]
            both = known[:, None] & ~gaps
            n = both.sum(axis=0)
            donors &= n > 0
            if not donors.any():
                result[missing, column] = np.nanmean(values[:, column])
                break
            apart = np.where(both, values - values[:, [column]], 0.0)
            mean = apart.sum(axis=0) / np.maximum(n, 1)
            spread = np.where(both, (apart - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n, 1)
            donor = int(np.where(donors, spread, np.inf).argmin())
            here = missing[~gaps[missing, donor]]
            result[here, column] = np.clip(values[here, donor] - mean[donor], lower, upper)
            missing = missing[gaps[missing, donor]]
    return result


def filled_table(table: CourseTable, value: FloatArray) -> CourseTable:
    """Return a table without gaps but for tokens that nobody recorded.

    Parameters
    ----------
    table : CourseTable
        P prompts × C courses.
    value : ndarray of float32, shape (P, C)
        Its values, filled.
    """
    usage = {}
    for name in ("rounds", "samples", "requests", "output_tokens", "resent_tokens", "verifier_tokens"):
        array = getattr(table, name)
        known = ~np.isnan(array).all(axis=0)
        whole = array.copy()
        if known.any():
            whole[:, known] = filled(array[:, known], lower=0.0)
        usage[name] = whole
    return replace(table, value=value, **usage)
