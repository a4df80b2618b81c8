"""Accuracy of sequential revision: W chains of S steps, selected within and across chains.

A whole chain is the unit that is drawn: W of the C recorded chains without replacement, and of each the first
S steps, as a revision depends on what came before it in its chain. The value of a grid of width × depth comes
out of one recording; how chains are sampled, and which grid point a prompt gets, is left to `planner` and
`policies`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arithmetic.arrays import FloatArray, IntArray
from difficulty.errors import InvalidInputError
from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.vote_pool import as_codes, as_values, as_widths, undefined_votes
from difficulty.estimators.weighted_vote import vote_in_pools, weighted_vote_accuracy

__all__ = [
    "RevisionSelection",
    "revision_accuracy",
]

_Number = TypeVar("_Number", np.int64, np.float64)

RevisionSelection: TypeAlias = Literal["last", "majority", "hierarchical", "best"]

_ALL_OF_TWELVE = 924
"""C(12, 6), the most subsets that 12 chains have: as many draws as this enumerate them."""


def revision_accuracy(
    correct: ArrayLike,
    answer: ArrayLike,
    score: ArrayLike | None,
    widths: ArrayLike,
    depths: ArrayLike,
    *,
    selection: RevisionSelection,
    n_draws: int = _ALL_OF_TWELVE,
    seed: int = 0,
) -> FloatArray:
    """Compute the accuracy of W chains of S revisions for a grid of widths and depths.

    Parameters
    ----------
    correct : array_like of int or float, shape (P, C, S)
        1 correct, 0 wrong, -1 unknown, for each step of each of C recorded chains; or floats that say what a
        step is worth on any scale, NaN unknown.
    answer : array_like of int, shape (P, C, S)
        Answer codes, -1 abstains, -2 is padding (a chain that is shorter or absent).
    score : array_like of float, shape (P, C, S), or None
        Verifier scores, needed by ``"best"`` and used by ``"hierarchical"``.
    widths, depths : array_like of int, shape (W,) and (D,)
        Chains, and steps per chain, each >= 1.
    selection : {"last", "majority", "hierarchical", "best"}
        ``"last"``: the last answer of each chain, then a majority vote over the chains. ``"majority"``: one
        vote over all steps of all chains. ``"hierarchical"``: with scores, the best-scored answer of each
        chain, then a vote over the chains weighted by these scores; without, a majority vote in each chain,
        then over the chains. ``"best"``: the best-scored step of all.
    n_draws, seed : int
        Subsets of chains, >= 2, and their seed, where there is no closed form; widths with at most `n_draws`
        subsets are enumerated.

    Returns
    -------
    numpy.ndarray of float64, shape (P, W, D)
        Expected accuracy in [0, 1]. NaN where a width exceeds the chains of a prompt, where a depth exceeds
        any of its chains, and where a label or score that takes part is missing.

    Raises
    ------
    InvalidInputError
        When shapes differ, a code, label or number is out of range, `selection` is unknown or needs scores.

    Notes
    -----
    Abstaining steps neither vote nor compete; ``"last"`` takes the last step that gave an answer. Ties inside
    a chain go to the answer given latest, as a revision saw the earlier ones; ties across chains, and between
    answers in one flat vote, are uniform. By default exact up to 12 chains, and for ``"last"``,
    ``"best"`` and the unscored ``"hierarchical"`` at any number of them.

    References
    ----------
    Snell et al., 2024, arXiv:2408.03314, section 6, for the selection within, then across chains. That
    the best-scored step stands for its chain is our reading.

    Examples
    --------
    Two chains that repair a wrong first answer, one that breaks a right one.

    >>> answer = [[[7, 4], [7, 4], [4, 5]]]
    >>> correct = [[[0, 1], [0, 1], [1, 0]]]
    >>> revision_accuracy(correct, answer, None, [1, 3], [1, 2], selection="last").round(3).tolist()
    [[[0.333, 0.667], [0.0, 1.0]]]
    """
    codes, labels = as_codes(answer), as_values(correct)
    if codes.ndim != 3 or codes.shape != labels.shape:
        raise InvalidInputError(
            f"answer and correct must share a shape (P, C, S), got {codes.shape}, {labels.shape}"
        )
    scores = None if score is None else np.asarray(score, dtype=np.float64)
    if scores is not None and scores.shape != codes.shape:
        raise InvalidInputError(f"score must have shape {codes.shape}, got {scores.shape}")
    if selection not in ("last", "majority", "hierarchical", "best"):
        raise InvalidInputError(
            f"selection must be 'last', 'majority', 'hierarchical' or 'best', got {selection!r}"
        )
    if selection == "best" and scores is None:
        raise InvalidInputError(
            "selection 'best' needs scores; record them or select by 'majority' or 'last'"
        )
    wide, deep = as_widths(widths), as_widths(depths)
    result = np.full((codes.shape[0], wide.size, deep.size), np.nan)
    length = (codes != -2).sum(axis=2)
    absent = length == 0
    for column, depth in enumerate(deep):
        # A chain that ended early would be drawn as if it had not: such prompts are undefined at this depth.
        rows = np.flatnonzero((absent | (length >= depth)).all(axis=1) & ~absent.all(axis=1))
        if depth > codes.shape[2] or rows.size == 0:
            continue
        answer, right = codes[rows, :, :depth], labels[rows, :, :depth]
        rated = None if scores is None else scores[rows, :, :depth]
        if selection == "majority":
            flat = answer.reshape(len(rows), -1), right.reshape(len(rows), -1)
            alike = np.ones(answer.shape)  # one vote over all steps of the drawn chains
            accuracy, _ = vote_in_pools(
                answer, alike, right, wide, undefined_votes(*flat), n_draws=n_draws, seed=seed
            )
        elif selection == "last" or rated is None:
            step = _latest(answer) if selection == "last" else _most_frequent(answer)
            accuracy = majority_vote_accuracy(_take(answer, step), _take(right, step), wide)
        else:
            step = _best_scored(answer, rated)
            winners, marks, worth = _take(answer, step), _take(right, step), _take(rated, step)
            if selection == "best":
                accuracy = best_of_n_accuracy(worth, marks, wide, answer=winners)
            else:
                accuracy = weighted_vote_accuracy(
                    winners, worth, marks, wide, n_draws=n_draws, seed=seed
                ).mean
            accuracy[((answer >= 0) & np.isnan(rated)).any(axis=(1, 2))] = np.nan
        result[rows, :, column] = accuracy
    return result


def _take(values: NDArray[_Number], step: IntArray) -> NDArray[_Number]:
    """Return (P, C): the value of each chain at its selected step."""
    taken: NDArray[_Number] = np.take_along_axis(values, step[:, :, None], axis=2)[:, :, 0]
    return taken


def _latest(answer: IntArray) -> IntArray:
    """Return (P, C): the last step that gave an answer, else the last step."""
    depth = answer.shape[2]
    position = np.where(answer >= 0, np.arange(depth), -1).max(axis=2)
    step: IntArray = np.where(position < 0, depth - 1, position)
    return step


def _most_frequent(answer: IntArray) -> IntArray:
    """Return (P, C): the latest step that gave the most frequent answer of the chain."""
    same = (answer[:, :, :, None] == answer[:, :, None, :]).sum(axis=3)
    return _last_maximum(np.where(answer >= 0, same, 0))


def _best_scored(answer: IntArray, score: FloatArray) -> IntArray:
    """Return (P, C): the latest step with the best score among those that gave an answer."""
    return _last_maximum(np.where((answer >= 0) & ~np.isnan(score), score, -np.inf))


def _last_maximum(values: NDArray[_Number]) -> IntArray:
    depth = values.shape[2]
    position: IntArray = depth - 1 - np.argmax(values[:, :, ::-1], axis=2)
    return position
