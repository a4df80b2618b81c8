"""Estimate pass@k, the chance that at least one of k samples is correct, from recorded counts.

The samples of a prompt are taken to be independent draws of one generator, of which `n` were recorded and
`n_correct` of them are right; then the estimate is exact and unbiased. Smoothing over prompts, and anything
said about k beyond the recorded n, is left to the caller.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError

__all__ = ["pass_at_k", "pass_at_k_curve"]


def pass_at_k(n: ArrayLike, n_correct: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Estimate the chance that at least one of `k` samples is correct, without bias.

    Parameters
    ----------
    n : array_like of int
        Samples recorded, >= 0.
    n_correct : array_like of int
        Correct samples among them, 0 to `n`; -1 where correctness is not known.
    k : array_like of int
        Samples drawn, >= 1. The three arguments broadcast against each other.

    Returns
    -------
    numpy.ndarray of float64, the broadcast shape
        Probabilities in [0, 1]; NaN where ``n < k`` or where `n_correct` is -1.

    Raises
    ------
    InvalidInputError
        When a count is not a whole number, is negative or contradicts another, when ``k < 1``; and, if all
        arguments are scalars, also when ``n < k`` or correctness is not known.

    Notes
    -----
    ``1 - C(n - c, k) / C(n, k)``, evaluated as a product of at most ``min(k, c)`` ratios: no overflow, and a
    relative error of a few units in the last place per factor. The plug-in ``1 - (1 - c/n)^k`` is biased low
    and is not used.

    References
    ----------
    Chen et al., 2021, "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, eq. 1.

    Examples
    --------
    >>> round(float(pass_at_k(10, 3, 5)), 6)
    0.916667
    >>> pass_at_k([4, 4, 2], [1, 4, 1], 3).round(3).tolist()
    [0.75, 1.0, nan]
    """
    recorded = _whole(n, "n")
    correct = _whole(n_correct, "n_correct")
    drawn = _whole(k, "k")
    scalar = recorded.ndim == correct.ndim == drawn.ndim == 0
    try:
        recorded, correct, drawn = np.broadcast_arrays(recorded, correct, drawn)
    except ValueError as error:
        raise InvalidInputError(
            "n, n_correct and k must broadcast together, got shapes "
            f"{recorded.shape}, {correct.shape} and {drawn.shape}"
        ) from error
    if (recorded < 0).any():
        raise InvalidInputError(f"n must be >= 0, got {recorded.min()}")
    if (drawn < 1).any():
        raise InvalidInputError(f"k must be >= 1, got {drawn.min()}")
    if ((correct < -1) | (correct > recorded)).any():
        worst = np.argmax((correct < -1) | (correct > recorded))
        raise InvalidInputError(
            f"n_correct must be between 0 and n (or -1 for unknown), "
            f"got n_correct={correct.flat[worst]} with n={recorded.flat[worst]}"
        )
    undefined = (recorded < drawn) | (correct < 0)
    if scalar and undefined:
        raise InvalidInputError(
            f"pass@{int(drawn)} needs at least {int(drawn)} graded samples, got n={int(recorded)} and "
            f"n_correct={int(correct)}; record more samples or fit a beta-binomial model"
        )
    # C(n-c, k) / C(n, k) = C(n-k, c) / C(n, c): walk along the shorter of the two.
    steps = np.where(undefined, 0, np.minimum(correct, drawn))
    taken = np.maximum(correct, drawn)
    missed = np.ones(recorded.shape)
    for i in range(int(steps.max(initial=0))):
        active = i < steps
        top = np.maximum(recorded - taken - i, 0)
        missed = np.where(active, missed * top / np.maximum(recorded - i, 1), missed)
    estimate: NDArray[np.float64] = np.where(undefined, np.nan, 1.0 - missed)
    return estimate


def pass_at_k_curve(n: ArrayLike, n_correct: ArrayLike, ks: ArrayLike) -> NDArray[np.float64]:
    """Estimate pass@k of every prompt at several k.

    Parameters
    ----------
    n, n_correct : array_like of int, shape (P,)
        Samples recorded and correct ones among them, per prompt, as in `pass_at_k`.
    ks : array_like of int, shape (L,)
        Samples drawn, each >= 1.

    Returns
    -------
    numpy.ndarray of float64, shape (P, L)
        Probabilities in [0, 1]; NaN where ``n < k`` or where `n_correct` is -1.

    Raises
    ------
    InvalidInputError
        As in `pass_at_k`, and when an argument is not one-dimensional.

    Examples
    --------
    >>> pass_at_k_curve([4, 2], [1, 2], [1, 2, 4]).tolist()
    [[0.25, 0.5, 1.0], [1.0, 1.0, nan]]
    """
    recorded, correct, drawn = np.asarray(n), np.asarray(n_correct), np.asarray(ks)
    if not (recorded.ndim == correct.ndim == drawn.ndim == 1 and recorded.shape == correct.shape):
        raise InvalidInputError(
            "n and n_correct must have one shape (P,) and ks shape (L,), "
            f"got {recorded.shape}, {correct.shape} and {drawn.shape}"
        )
    # Counts repeat over prompts: each pair is computed once.
    pairs, inverse = np.unique(np.stack([recorded, correct]), axis=1, return_inverse=True)
    curves = pass_at_k(pairs[0][:, None], pairs[1][:, None], drawn[None, :])
    selected: NDArray[np.float64] = curves[inverse.reshape(-1)]
    return selected


def _whole(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Convert to int64, refusing what is not a whole number."""
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool(np.isfinite(array).all()) and bool((array == np.floor(array)).all())
    )
    if not whole:
        raise InvalidInputError(f"{name} must hold whole numbers, got dtype {array.dtype}: {array.flat[0]!r}")
    return array.astype(np.int64)
