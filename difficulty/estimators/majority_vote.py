"""Accuracy of a majority vote over N samples, exactly, from recorded answers or a given distribution.

N samples are drawn from the pool without replacement (or independently from the distribution), ties are
broken uniformly among the leading answers, abstentions do not vote, and a vote in which all abstain is wrong.
Votes weighted by a score are left to `difficulty.estimators.weighted_vote`, shrinkage of noisy curves to
whoever fits a policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import FloatArray, IntArray
from difficulty.errors import InvalidInputError
from difficulty.estimators.vote_polynomial import MAX_POOL, binomials, tied_product
from difficulty.estimators.vote_pool import as_codes, as_values, as_widths, undefined_votes

__all__ = ["majority_vote_accuracy"]


_BLOCK = 1 << 18  # numbers held at a time, 2 MB: the fastest of 2^14 to 2^22 where we measured


def majority_vote_accuracy(answer: ArrayLike, correct: ArrayLike, widths: ArrayLike) -> FloatArray:
    """Compute the accuracy of a majority vote over N samples of each recorded pool.

    Parameters
    ----------
    answer : array_like of int, shape (P, M)
        Code of each sample's answer, >= 0; -1 abstains (no vote), -2 is padding (no sample).
    correct : array_like of int or float, shape (P, M)
        1 correct, 0 wrong, -1 unknown; ignored at padding and abstentions (but see Notes). Floats say what a
        sample is worth on any scale, NaN unknown; a vote in which all abstain is worth 0.
    widths : array_like of int, shape (L,)
        Samples that vote, each >= 1.

    Returns
    -------
    numpy.ndarray of float64, shape (P, L)
        Expected accuracy in [0, 1], or value, over all subsets of N samples and over ties. NaN where a width
        exceeds the samples of the pool, where the correctness of a voting sample is unknown, or where an
        abstention is marked correct.

    Raises
    ------
    InvalidInputError
        When shapes differ, a code is below -2, a correctness is not -1, 0 or 1, a width is below 1, or M
        exceeds 1,000.

    Notes
    -----
    Let answer c occur m_c times among the M samples. It wins with t votes with probability::

        C(m_c, t) [x^(N-t)] ∫_0^1 (1+x)^A Π_{j≠c} ( Σ_{s<t} C(m_j, s) x^s + u C(m_j, t) x^t ) du / C(M, N)

    with A abstentions; the integral gives the share 1/(1 + ties), and Gauss-Legendre nodes make it exact. All
    terms are positive, so nothing cancels; agreement with enumeration is at the level of rounding. Pools with
    the same counts are computed once. An answer's correctness is the mean over its samples, as labels may
    differ inside one class. A correct sample without an answer means that answers were not recorded (graded
    code, bare counts): then such pools, and pools without any answer, are NaN.

    References
    ----------
    Wang et al., 2023, "Self-Consistency Improves Chain of Thought Reasoning", arXiv:2203.11171. The closed
    form is ours.

    Examples
    --------
    >>> majority_vote_accuracy([[7, 7, 3, -1]], [[1, 1, 0, 0]], [1, 2, 3, 4]).round(4).tolist()
    [[0.5, 0.6667, 0.75, 1.0]]
    """
    codes, labels, drawn = as_codes(answer), as_values(correct), as_widths(widths)
    if codes.ndim != 2 or codes.shape != labels.shape:
        raise InvalidInputError(
            f"answer and correct must share a shape (P, M), got {codes.shape} and {labels.shape}"
        )
    if codes.shape[1] > MAX_POOL:
        raise InvalidInputError(
            f"a pool may hold at most {MAX_POOL} samples, got {codes.shape[1]}; use part of it"
        )
    n_prompts, n_columns = codes.shape
    accuracy = np.zeros((n_prompts, drawn.size))
    n_samples = (codes != -2).sum(axis=1)
    unknown = undefined_votes(codes, labels)
    accuracy[unknown] = np.nan
    accuracy[drawn[None, :] > n_samples[:, None]] = np.nan

    # Runs of equal answers in each sorted row are the classes: size and summed correctness per class.
    order = np.argsort(codes, axis=1, kind="stable")
    codes = np.take_along_axis(codes, order, axis=1)
    labels = np.take_along_axis(labels, order, axis=1)
    starts = np.ones(codes.shape, dtype=np.bool_)
    starts[:, 1:] = codes[:, 1:] != codes[:, :-1]
    run = np.cumsum(starts.ravel()) - 1
    size = np.bincount(run)
    n_right = np.bincount(run, weights=np.nan_to_num(labels).ravel())
    first = np.flatnonzero(starts.ravel())
    row, code = first // max(n_columns, 1), codes.ravel()[first]

    voting = code >= 0
    counts = np.zeros((n_prompts, n_columns), dtype=np.int64)
    counts[row[voting], (first % max(n_columns, 1))[voting]] = size[voting]
    counts = -np.sort(-counts, axis=1)
    n_abstain = (codes == -1).sum(axis=1)

    wanted = voting & (n_right != 0) & ~unknown[row] & (drawn.min(initial=1) <= n_samples[row])
    if not wanted.any() or drawn.size == 0:
        return accuracy
    signature, pattern = np.unique(np.column_stack([n_abstain, counts]), axis=0, return_inverse=True)
    tasks = np.column_stack([pattern.reshape(-1)[row[wanted]], size[wanted]])
    tasks, task = np.unique(tasks, axis=0, return_inverse=True)
    chance = _win_chance(signature[tasks[:, 0], 1:], tasks[:, 1], signature[tasks[:, 0], 0], drawn)
    weight = n_right[wanted] / size[wanted]
    np.add.at(accuracy, row[wanted], weight[:, None] * chance[task.reshape(-1)])
    # The chances of exclusive events sum to 1 up to rounding, which may lie above.
    return np.asarray(np.minimum(accuracy, max(1.0, float(np.nan_to_num(labels).max(initial=1.0)))))


def _win_chance(counts: IntArray, own: IntArray, n_abstain: IntArray, widths: IntArray) -> FloatArray:
    """Return (T, L): the chance that a class of `own` samples wins, per task.

    `counts` (T, K) are the class sizes of the task's pool, the class itself among them.
    """
    n_tasks = len(own)
    n_samples = counts.sum(axis=1) + n_abstain
    others = counts.copy()
    others[np.arange(n_tasks), np.argmax(counts == own[:, None], axis=1)] = 0
    others = -np.sort(-others, axis=1)
    table = binomials(int(n_samples.max()))
    chance = np.zeros((n_tasks, widths.size))
    for votes in range(1, int(min(own.max(), widths.max())) + 1):
        (tasks,) = np.nonzero(own >= votes)
        columns = np.flatnonzero(widths >= votes)
        degree = int(min(widths.max(), n_samples[tasks].max())) - votes
        # Who holds fewer than `votes` samples, or is left fewer draws, is no rival.
        rivals = (
            np.where(others[tasks] >= votes, others[tasks], 0) if votes <= degree else others[tasks][:, :0]
        )
        n_rivals = (rivals > 0).sum(axis=1)
        free = n_samples[tasks] - own[tasks] - rivals.sum(axis=1)
        by_rivals = np.argsort(n_rivals, kind="stable")
        per_block = max(1, _BLOCK // (columns.size * (degree + 1)))
        for block in np.array_split(by_rivals, -(-len(tasks) // per_block)):
            width = int(n_rivals[block].max(initial=0))
            product = tied_product(table[rivals[block, :width], : votes + 1], votes, degree)
            left = widths[columns][:, None] - votes - np.arange(product.shape[1])
            ways = table[free[block][:, None, None], np.clip(left, 0, len(table) - 1)] * (left >= 0)
            won = np.matmul(ways, product[:, :, None])[:, :, 0]
            scaled = won * table[own[tasks[block]], votes][:, None]
            chance[np.ix_(tasks[block], columns)] += scaled
    with np.errstate(invalid="ignore", divide="ignore"):
        chance /= table[n_samples[:, None], np.minimum(widths, table.shape[1] - 1)]
    chance[widths[None, :] > n_samples[:, None]] = np.nan
    return np.minimum(chance, 1.0)
