"""Folds that never cut a group of prompts.

It assumes that near-duplicates and prompts of one family carry the same group; how groups are found is left
to `difficulty.log.near_duplicates`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def group_folds(groups: NDArray[np.str_], *, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Assign each prompt to a fold so that a group is never cut.

    Parameters
    ----------
    groups : ndarray of str, shape (P,)
        Group of each prompt.
    n_folds : int
        At least 2; fewer are used when there are fewer groups.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    ndarray of intp, shape (P,)
        Fold of each prompt.

    Examples
    --------
    >>> group_folds(np.array(["a", "a", "b"]), n_folds=2, seed=0).shape
    (3,)
    """
    names, inverse = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % min(n_folds, max(len(names), 1)))[inverse]
