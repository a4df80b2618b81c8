"""Random orders of recorded samples for replay, balanced so that few of them measure well.

A replay draws a prompt's samples in several orders and averages. Orders that are independent put some samples
first more often than others, and on a hundred prompts that noise is as large as the gains that are measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
    Orders come in blocks. Within one, an order is the order before it with every sample replaced by its
    successor in a random cycle (a cyclic Latin square with shuffled columns), so that in a block of as many
    orders as a prompt has samples each is first, second ... equally often; of fewer orders, the successor
    some places on. Every single order is uniformly random.

    Shuffling the columns matters: the first k samples of rotations of one order are windows that overlap, and
    of many orders few tell anything new. On recorded logs the standard deviation of votes and coverage over
    seeds falls by a third to three quarters at k from 4 to half of the pool (HumanEval, 126 orders of 100
    samples, coverage at 24: .0046 to .0010; independent orders: .0018).

    Examples
    --------
    >>> orders = balanced_orders(np.ones((1, 3), dtype=bool), n_orders=3, seed=0)[0]
    >>> sorted(orders[:, 0].tolist()), sorted(orders[0].tolist())
    ([0, 1, 2], [0, 1, 2])
    """
    n_prompts, width = usable.shape
    n = np.maximum(usable.sum(axis=1), 1)
    block = np.minimum(n_orders, n)
    rng = np.random.default_rng(seed)
    columns = np.arange(width)
    cycle, places = np.empty((2, n_prompts, width), dtype=np.intp)
    orders = np.empty((n_prompts, n_orders, width), dtype=np.intp)
    for order in range(n_orders):
        turn = order % block
        fresh = np.flatnonzero(turn == 0)
        cycle[fresh] = _shuffled(usable[fresh], rng)
        places[fresh] = _shuffled(columns < n[fresh, None], rng)
        shift = (turn * n // block)[:, None]
        turned = np.where(columns < n[:, None], (places + shift) % n[:, None], columns)
        orders[:, order] = np.take_along_axis(cycle, turned, axis=1)
    return orders


def _shuffled(usable: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the columns of each row in random order, the usable ones first, shape (P, M)."""
    return np.argsort(np.where(usable, rng.random(usable.shape), 2.0), axis=1, kind="stable")
