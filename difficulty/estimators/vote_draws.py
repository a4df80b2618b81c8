"""Votes over drawn subsets of a recorded pool, for selectors that have no closed form.

Subsets are drawn without replacement and depend on the seed, the pool size and the width alone, so that
strategies and prompts see common random numbers and their paired differences have little noise. Small cases
are enumerated instead; which samples vote with which weight is left to `difficulty.estimators.weighted_vote`
and `difficulty.estimators.revision_chains`.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray, IntArray
from difficulty.errors import InvalidInputError

_BLOCK = 1 << 16  # totals held at a time, 512 KB: the fastest of 2^14 to 2^22 where we measured


def subsets(n_samples: int, width: int, n_draws: int, seed: int) -> IntArray:
    """Draw subsets of a pool: the shared source of common random numbers.

    Parameters
    ----------
    n_samples : int
        Samples in the pool, M >= 1.
    width : int
        Samples per subset, 1 to M.
    n_draws : int
        Subsets, D >= 1; more draws begin with the same ones.
    seed : int
        Seed >= 0.

    Returns
    -------
    numpy.ndarray of int64, shape (D, width)
        Distinct positions in each row. A wider draw with the same seed and pool begins with the narrower one.

    Raises
    ------
    InvalidInputError
        When a number is out of range.

    Examples
    --------
    >>> wide, narrow = subsets(10, 4, 3, seed=0), subsets(10, 2, 3, seed=0)
    >>> bool((wide[:, :2] == narrow).all())
    True
    """
    if not 1 <= width <= n_samples or n_draws < 1 or seed < 0:
        raise InvalidInputError(
            "subsets need 1 <= width <= n_samples, n_draws >= 1 and seed >= 0, "
            f"got width={width}, n_samples={n_samples}, n_draws={n_draws}, seed={seed}"
        )
    keys = np.random.default_rng([seed, n_samples]).random((n_draws, n_samples))
    order: IntArray = np.argsort(keys, axis=1, kind="stable")[:, :width].astype(np.int64)
    return order


def all_subsets(n_samples: int, width: int, limit: int) -> IntArray | None:
    """Enumerate all subsets of a pool, if they are at most `limit`.

    Parameters
    ----------
    n_samples : int
        Samples in the pool, M >= 1.
    width : int
        Samples per subset, 1 to M.
    limit : int
        Most subsets to enumerate.

    Returns
    -------
    numpy.ndarray of int64, shape (C(M, width), width), or None
        Rising positions in each row; None where there are more than `limit`.

    Examples
    --------
    >>> all_subsets(3, 2, limit=10).tolist()
    [[0, 1], [0, 2], [1, 2]]
    >>> all_subsets(100, 50, limit=10)
    """
    if comb(n_samples, width) > limit:
        return None
    return np.array(list(combinations(range(n_samples), width)), dtype=np.int64)


def tally(
    answer: IntArray, weight: FloatArray, correct: FloatArray, draws: IntArray, checkpoints: IntArray
) -> FloatArray:
    """Compute how right the winner is of votes that grow draw by draw.

    Parameters
    ----------
    answer : numpy.ndarray of int64, shape (P, M)
        Answer codes; -1 abstains.
    weight : numpy.ndarray of float64, shape (P, M)
        Weight of each sample's vote; ignored where it abstains.
    correct : numpy.ndarray of float64, shape (P, M)
        Correctness of each sample, 0 to 1; an answer's is the mean over the pool.
    draws : numpy.ndarray of int64, shape (D, V)
        Positions in the order in which they vote.
    checkpoints : numpy.ndarray of int64, shape (L,)
        Rising numbers of votes after which the winner is judged, each 1 to V.

    Returns
    -------
    numpy.ndarray of float64, shape (P, D, L)
        Mean correctness of the tied leaders, in [0, 1]; 0 where nobody has voted.

    Notes
    -----
    Totals are compensated (Neumaier, 1974) and thereby as good as rounded once, so that equal totals are
    equal whatever the order of the votes, as with `math.fsum`.

    Examples
    --------
    >>> answer, weight = np.array([[0, 1, 1]]), np.array([[0.9, 0.4, 0.4]])
    >>> tally(answer, weight, (answer == 1) * 1.0, np.array([[0, 1, 2]]), np.array([1, 3]))
    array([[[0., 0.]]])
    """
    n_prompts, n_draws = answer.shape[0], draws.shape[0]
    codes = dense_codes(answer)
    n_answers = int(codes.max(initial=0)) + 1
    result = np.zeros((n_prompts, n_draws, checkpoints.size))
    step = max(1, _BLOCK // max(1, n_draws * n_answers))
    for start in range(0, n_prompts, step):
        rows = slice(start, start + step)
        code, weights = codes[rows], weight[rows]
        # Column 0 collects the abstentions and never leads.
        prompt = np.arange(len(code))[:, None]
        n_members = np.zeros((len(code), n_answers))
        worth = np.zeros_like(n_members)
        np.add.at(n_members, (prompt, code), 1.0)
        np.add.at(worth, (prompt, code), correct[rows])
        worth /= np.maximum(n_members, 1.0)

        total = np.full(len(code) * n_draws * n_answers, -np.inf)
        low = np.zeros_like(total)
        case = np.arange(len(code) * n_draws) * n_answers
        vote = 0
        for column, stop in enumerate(checkpoints):
            for position in draws.T[vote:stop]:
                key = code.take(position, axis=1).ravel() + case
                added = weights.take(position, axis=1).ravel()
                before = total.take(key)
                before[np.isneginf(before)] = 0.0
                after = before + added
                bigger = np.where(np.abs(before) >= np.abs(added), before, added)
                smaller = np.where(bigger == before, added, before)
                low[key] += (bigger - after) + smaller
                total[key] = after
            vote = int(stop)
            lead = (total + low).reshape(len(code), n_draws, n_answers)[:, :, 1:]
            best = lead.max(axis=2, keepdims=True, initial=-np.inf)
            leads = (lead == best) & np.isfinite(best)
            right = np.einsum("pdk,pk->pd", leads, worth[:, 1:])
            result[rows, :, column] = right / np.maximum(leads.sum(axis=2), 1)
    return result


def dense_codes(answer: NDArray[np.signedinteger[Any]]) -> IntArray:
    """Renumber the codes of each row as 1, 2, ...; what abstains becomes 0."""
    order = np.argsort(answer, axis=1, kind="stable")
    ordered = np.take_along_axis(answer, order, axis=1)
    fresh = ordered >= 0
    fresh[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    code = np.empty(answer.shape, dtype=np.int64)
    np.put_along_axis(code, order, np.cumsum(fresh, axis=1), axis=1)
    return code
