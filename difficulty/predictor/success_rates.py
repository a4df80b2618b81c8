"""Success rates from counts, with guesses where a generator has no sample of a prompt.

A prompt's missing rate is the generator's mean plus how far the prompt lies above or below the means of the
generators that did answer it: models of several generators at once then learn from ragged logs, too. It
assumes counts that were checked when the log was read; predicting rates is left to
`difficulty.predictor.success_predictor`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError


class SuccessRates(NamedTuple):
    """Rates of P prompts and G generators.

    Attributes
    ----------
    rate : ndarray of float64, shape (P, G)
        In [0, 1]; guessed where there is no sample.
    known : ndarray of bool, shape (P, G)
        Where there is one.
    mean : ndarray of float64, shape (G,)
        Mean rate of each generator over its known prompts; over all generators where it has none.
    """

    rate: FloatArray
    known: NDArray[np.bool_]
    mean: FloatArray


def mean_rates(rates: FloatArray, known: NDArray[np.bool_], *, otherwise: FloatArray | float) -> FloatArray:
    """Return each generator's mean of known rates, (G,), or what stands for it where none is known."""
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, rates, 0).sum(axis=0) / np.maximum(count, 1), otherwise)


def means_outside(
    rates: FloatArray,
    known: NDArray[np.bool_],
    folds: NDArray[np.integer],
    *,
    otherwise: FloatArray | float,
) -> FloatArray:
    """Return each generator's mean rate outside the fold of each prompt, shape (P, G)."""
    result = np.empty(rates.shape)
    for fold in np.unique(folds):
        held = folds == fold
        result[held] = mean_rates(rates[~held], known[~held], otherwise=otherwise)
    return result


def success_rates(n: NDArray[np.integer[Any]], n_correct: NDArray[Any]) -> SuccessRates:
    """Return rates from counts, shape (P, G).

    Raises
    ------
    InvalidInputError
        When shapes differ, a count is out of range, or there is no sample at all.

    Examples
    --------
    >>> success_rates(np.array([[4, 4], [4, 0]]), np.array([[4, 2], [0, 0]])).rate
    array([[1. , 0.5],
           [0. , 0. ]])
    """
    if n.ndim != 2 or n.shape != n_correct.shape or not ((n >= 0) & (n_correct >= 0)).all():
        raise InvalidInputError(f"counts must have one shape (P, G) and be >= 0; got {n.shape}")
    if (n_correct > n).any() or not n.any():
        raise InvalidInputError("n_correct must be at most n, and some prompt must have a sample")
    known = n > 0
    rate = n_correct / np.maximum(n, 1)
    mean = mean_rates(rate, known, otherwise=float(rate[known].mean()))
    if not known.all():
        above = np.where(known, rate - mean, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        rate = np.where(known, rate, (mean + above[:, None]).clip(0, 1))
    return SuccessRates(rate, known, mean)
