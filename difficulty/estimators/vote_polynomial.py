"""Generating polynomials of a plurality vote: how rivals can share the remaining draws without overtaking.

A rival's polynomial has the weight of s votes as its coefficient of x^s; weights are binomial for a recorded
pool and Poisson for independent draws. Coefficients must be non-negative, which keeps every sum free of
cancellation. What the polynomials mean, and how they combine to an accuracy, is left to
`difficulty.estimators.majority_vote`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_POOL = 1000
"""Most samples in a pool: C(1000, 500) is 2.7e299, the last round size whose binomials float64 can hold."""


def tied_product(coefficients: NDArray[np.float64], votes: int, degree: int) -> NDArray[np.float64]:
    """Multiply the rivals' polynomials, giving each tie at `votes` its uniform share.

    Parameters
    ----------
    coefficients : numpy.ndarray of float64, shape (B, J, votes + 1)
        Weight of 0 to `votes` votes for each of J rivals in B cases.
    votes : int
        Votes of the leader, >= 1.
    degree : int
        Highest power of x to keep, >= 0.

    Returns
    -------
    numpy.ndarray of float64, shape (B, D) with D <= degree + 1
        Coefficients of ``∫_0^1 Π_j (Σ_{s<votes} a_js x^s + u a_j,votes x^votes) du``; powers beyond D are
        zero.

    Notes
    -----
    T rivals that tie contribute ``u^T``, whose integral is the leader's share 1/(1+T). Gauss-Legendre
    quadrature with ``ceil((T_max + 1) / 2)`` nodes is exact for it.

    Examples
    --------
    One rival with one sample, leader with one vote: the rival stays away, or ties and halves the win.

    >>> tied_product(np.array([[[1.0, 1.0]]]), votes=1, degree=3).tolist()
    [[1.0, 0.5]]
    """
    n_cases, n_rivals, _ = coefficients.shape
    most_ties = min(n_rivals, degree // votes)
    nodes, weights = _unit_nodes(most_ties // 2 + 1)
    size = min(degree, n_rivals * votes) + 1
    product = np.zeros((n_cases, len(nodes), size))
    product[:, :, 0] = 1.0
    filled = 1
    for rival in range(n_rivals):
        factor = np.repeat(coefficients[:, rival, None, : min(votes, degree) + 1], len(nodes), axis=1)
        if factor.shape[2] > votes:
            factor[:, :, votes] *= nodes
        if rival == 0:
            filled = factor.shape[2]
            product[:, :, :filled] = factor
            continue
        grown = np.zeros_like(product)
        for s in range(factor.shape[2]):
            stop = min(size, filled + s)
            grown[:, :, s:stop] += factor[:, :, s, None] * product[:, :, : stop - s]
        product, filled = grown, min(size, filled + votes)
    shared: NDArray[np.float64] = np.matmul(weights, product)
    return shared


@lru_cache(maxsize=128)
def _unit_nodes(n_nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Gauss-Legendre nodes and weights on [0, 1]; exact up to degree ``2 n_nodes - 1``."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1.0) / 2.0, weights / 2.0


@lru_cache(maxsize=16)
def binomials(largest: int) -> NDArray[np.float64]:
    """Tabulate C(n, k) in float64 for n and k from 0 to `largest` (0 where k > n).

    Parameters
    ----------
    largest : int
        Largest n, 0 to `MAX_POOL`.

    Returns
    -------
    numpy.ndarray of float64, shape (largest + 1, largest + 1), read-only

    Examples
    --------
    >>> binomials(4)[4].tolist()
    [1.0, 4.0, 6.0, 4.0, 1.0]
    """
    table = np.zeros((largest + 1, largest + 1))
    table[:, 0] = 1.0
    for row in range(1, largest + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    table.setflags(write=False)
    return table
