"""Estimate what a group of k rollouts holds to learn from: a success beside a failure, and how they vary.

The samples of a prompt are taken to be independent draws, of which `n` were recorded and `n_correct` are
right; both estimates are then exact and unbiased over groups drawn without replacement. Groups larger than
what was recorded need a belief about the prompt, and are left to `policies.groups`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import FloatArray
from difficulty.estimators.pass_at_k import pass_at_k_curve


def contrast_curve(n: ArrayLike, n_correct: ArrayLike, ks: ArrayLike) -> FloatArray:
    """Estimate the chance that a group of k samples holds a success and a failure, without bias.

    Parameters
    ----------
    n, n_correct : array_like of int, shape (P,)
        Samples recorded and correct ones among them; -1 correct where it is not known.
    ks : array_like of int, shape (L,)
        Sizes of the group, each at least 1.

    Returns
    -------
    ndarray of float64, shape (P, L)
        Probabilities in [0, 1], 0 for groups of one; NaN where ``n < k`` or correctness is not known.

    Raises
    ------
    InvalidInputError
        As `difficulty.estimators.pass_at_k.pass_at_k_curve`.

    Notes
    -----
    ``1 - C(n - c, k) / C(n, k) - C(c, k) / C(n, k)``, whose mean over n recorded samples is
    ``1 - (1 - p)^k - p^k``: group-relative policy gradients (Shao et al. 2024, arXiv 2402.03300) are zero for
    all other groups.

    Examples
    --------
    >>> contrast_curve([4, 4], [1, 4], [1, 2, 4]).tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]
    """
    recorded, correct = np.asarray(n), np.asarray(n_correct)
    some = pass_at_k_curve(recorded, correct, ks)
    failed = pass_at_k_curve(recorded, np.where(correct < 0, correct, recorded - correct), ks)
    return np.asarray((some + failed - 1.0).clip(0.0, 1.0))


def variance_curve(n: ArrayLike, n_correct: ArrayLike, ks: ArrayLike) -> FloatArray:
    """Estimate the variance of the rewards within a group of k, as a share of the greatest there is.

    Parameters
    ----------
    n, n_correct, ks
        As in `contrast_curve`.

    Returns
    -------
    ndarray of float64, shape (P, L)
        ``4 p (1 - p) (1 - 1/k)`` in [0, 1] without bias, 0 for groups of one; NaN where ``n < k`` or
        correctness is not known.

    Examples
    --------
    >>> variance_curve([4, 4], [2, 4], [1, 2, 4]).round(3).tolist()
    [[0.0, 0.667, 1.0], [0.0, 0.0, 0.0]]
    """
    recorded, correct, sizes = (np.asarray(each, dtype=np.float64) for each in (n, n_correct, ks))
    pass_at_k_curve(np.asarray(n), np.asarray(n_correct), ks)  # refuses what cannot be counts
    pairs = np.maximum(recorded * (recorded - 1), 1.0)
    spread = 4 * correct * (recorded - correct) / pairs
    value = spread[:, None] * (1 - 1 / sizes)[None]
    value[(recorded[:, None] < sizes) | (correct < 0)[:, None]] = np.nan
    return np.asarray(value)
