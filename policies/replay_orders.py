"""Random orders of recorded samples for replay, balanced so that few of them measure well.

A replay draws a prompt's samples in several orders and averages. Orders that are independent put some samples
first more often than others, and on a hundred prompts that noise is as large as the gains that are measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["balanced_orders"]


def balanced_orders(usable: NDArray[np.bool_], *, n_orders: int, seed: int) -> NDArray[np.intp]:
    """Return random orders of each prompt's samples, shape (P, R, M), unusable columns last.

    Parameters
    ----------
    usable : ndarray of bool, shape (P, M)
        Samples that may be drawn.
    n_orders : int
        R, at least 1.
    seed : int
        Equal seeds and shapes give equal orders.

    Notes
    -----
    Orders come in blocks of rotations of one random permutation, spread evenly, so that within a block of M
    orders each sample is first, second ... equally often. Every single order is uniformly random.

    Examples
    --------
    >>> orders = balanced_orders(np.ones((1, 3), dtype=bool), n_orders=3, seed=0)[0]
    >>> sorted(orders[:, 0].tolist()), sorted(orders[0].tolist())
    ([0, 1, 2], [0, 1, 2])
    """
    n_prompts, width = usable.shape
    n = np.maximum(usable.sum(axis=1), 1)[:, None]
    block = min(n_orders, max(width, 1))
    rng = np.random.default_rng(seed)
    columns = np.arange(width)
    permutation = np.empty((n_prompts, width), dtype=np.intp)
    orders = np.empty((n_prompts, n_orders, width), dtype=np.intp)
    for order in range(n_orders):
        if order % block == 0:
            keys = np.where(usable, rng.random((n_prompts, width)), 2.0)
            permutation = np.argsort(keys, axis=1, kind="stable")
        shift = (order % block) * n // block
        rotated = np.where(columns < n, (columns + shift) % n, columns)
        orders[:, order] = np.take_along_axis(permutation, rotated, axis=1)
    return orders
