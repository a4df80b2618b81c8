"""Pools of recorded answers as the vote estimators read them: codes, labels, and whose vote is defined.

Codes are >= 0 for answers, -1 for abstentions and -2 for padding; labels are 1, 0 and -1 for unknown, or
floats that say what a sample is worth, NaN for unknown. An
abstention that is marked correct means that answers were not recorded (graded code, bare counts), so no vote
can be replayed. What a vote is worth is left to the estimators.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import BoolArray, FloatArray, IntArray
from difficulty.errors import InvalidInputError


def as_codes(answer: ArrayLike) -> IntArray:
    """Validate answer codes.

    Parameters
    ----------
    answer : array_like of int
        Codes >= 0, -1 (abstains) or -2 (padding).

    Returns
    -------
    numpy.ndarray of int64, the same shape

    Raises
    ------
    InvalidInputError
        When an entry is not such a code.

    Examples
    --------
    >>> as_codes([[3, -1, -2]]).tolist()
    [[3, -1, -2]]
    """
    codes = np.asarray(answer)
    if codes.size and (codes.dtype.kind not in "iu" or codes.min() < -2):
        raise InvalidInputError(
            "answer must hold codes >= 0, -1 (abstains) or -2 (padding), "
            f"got dtype {codes.dtype}, least {codes.min()}"
        )
    return codes.astype(np.int64)


def as_values(correct: ArrayLike) -> FloatArray:
    """Return what samples are worth: labels as 1 and 0, floats as they are; NaN for unknown.

    Parameters
    ----------
    correct : array_like
        Labels, which are 1, 0 or -1, or finite floats on any scale, NaN for unknown.

    Raises
    ------
    InvalidInputError
        When a label is none, or a float is infinite.

    Examples
    --------
    >>> as_values([1, 0, -1]).tolist(), as_values([0.25, -3.0]).tolist()
    ([1.0, 0.0, nan], [0.25, -3.0])
    """
    values = np.asarray(correct)
    if values.dtype.kind != "f":
        if values.size and (values.dtype.kind not in "iub" or not np.isin(values, (-1, 0, 1)).all()):
            raise InvalidInputError("correct must hold 1 (correct), 0 (wrong) or -1 (unknown)")
        labels = values.astype(np.int64)
        return np.where(labels < 0, np.nan, labels).astype(np.float64)
    if np.isinf(values).any():
        raise InvalidInputError("values of samples must be finite, or NaN where unknown; got an infinite one")
    return values.astype(np.float64)


def as_widths(widths: ArrayLike) -> IntArray:
    """Validate widths, the numbers of samples that a selector sees.

    Parameters
    ----------
    widths : array_like of int, shape (L,)
        Each >= 1.

    Returns
    -------
    numpy.ndarray of int64, shape (L,)

    Raises
    ------
    InvalidInputError
        When `widths` is not a sequence of whole numbers >= 1.

    Examples
    --------
    >>> as_widths([1, 2, 4]).tolist()
    [1, 2, 4]
    """
    array = np.asarray(widths)
    if array.ndim != 1 or (array.size and (array.dtype.kind not in "iu" or array.min() < 1)):
        raise InvalidInputError(f"widths must be a sequence of whole numbers >= 1, got {widths!r}")
    return array.astype(np.int64)


def undefined_votes(answer: IntArray, value: FloatArray) -> BoolArray:
    """Find the prompts whose votes cannot be judged.

    Parameters
    ----------
    answer : numpy.ndarray of int64, shape (P, M)
        Codes of one generator's pools.
    value : numpy.ndarray of float64, shape (P, M)
        From `as_values`; what is worth anything but 0 and 1 is so for voting samples only.

    Returns
    -------
    numpy.ndarray of bool, shape (P,)
        True where a voting sample has no value, where an abstention is correct, and, if there is such an
        abstention in any pool, where there is no answer at all: these prompts are as unrecorded, and 0 would
        be a lie.

    Examples
    --------
    >>> undefined_votes(np.array([[0, 1], [-1, -1]]), np.array([[1.0, 0], [0, 0]])).tolist()
    [False, False]
    >>> undefined_votes(np.array([[-1, 1], [-1, -1]]), np.array([[1.0, 0], [0, 0]])).tolist()
    [True, True]
    """
    unlabelled = ((answer >= 0) & np.isnan(value)).any(axis=1)
    unrecorded = ((answer == -1) & (value == 1)).any(axis=1)
    if unrecorded.any():
        unrecorded |= ~(answer >= 0).any(axis=1)
    undefined: BoolArray = unlabelled | unrecorded
    return undefined
