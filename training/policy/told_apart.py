"""Whether answers or scores tell right samples from wrong ones: within prompts, beyond what generators are.

Without that, no way to pick or to stop can gain, and what looks best on training prompts is lucky. Samples of
one prompt are compared with each other, so that this is known from far fewer prompts than what any course
gains; it assumes independent samples and leaves what to make of it to `training.policy.verdict`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray, FloatArray
from difficulty.log.sample_log import SampleLog
from training.policy.bench import paired


def told_apart(log: SampleLog, groups: NDArray[np.intp]) -> float:
    """Return by how many standard errors samples worth more look better than the others of their prompt.

    Parameters
    ----------
    log : SampleLog
        P prompts, valued as the objective says.
    groups : ndarray of intp, shape (P,)
        Counted from 0.

    Returns
    -------
    float
        Of whichever tells most: how many others gave the same answer, the score, the log-probability. 0 where
        nothing does.
    """
    pools = [log.pool(name) for name in log.generators]
    value = np.concatenate([pool.value for pool in pools], axis=1)
    owner = np.repeat(np.arange(len(pools)), [pool.value.shape[1] for pool in pools])
    agreeing = _agreeing(np.concatenate([pool.answer for pool in pools], axis=1), ~np.isnan(value))
    scores = [np.concatenate([pool.score for pool in pools], axis=1)]
    scores.append(np.concatenate([pool.mean_logprob for pool in pools], axis=1))
    found = 0.0
    for signal in (agreeing, *scores):
        seen = ~(np.isnan(value) | np.isnan(signal))
        product = _apart(value, seen, owner) * _apart(signal, seen, owner)
        mean, error = paired(product.sum(axis=1) / np.maximum(seen.sum(axis=1) - 1, 1), groups)
        found = max(found, mean / error if error > 0 else 0.0)
    return found


def _agreeing(answer: NDArray[np.int32], known: BoolArray) -> FloatArray:
    """Return the share of a prompt's other samples that gave the same answer, shape (P, M)."""
    n_answers = int(answer.max(initial=-1)) + 1
    given = known & (answer >= 0)
    key = np.arange(len(answer))[:, None] * n_answers + answer
    counts = np.bincount(key[given], minlength=len(answer) * n_answers)
    same = np.where(given, counts[np.where(given, key, 0)] - 1 if len(counts) else 0, 0)
    others = np.maximum(known.sum(axis=1, keepdims=True) - 1, 1)
    return np.where(known, same / others, np.nan)


def _apart(values: FloatArray, seen: BoolArray, owner: NDArray[np.intp]) -> FloatArray:
    """Return the ranks of values, less the mean of their generator, less the same of all of their prompt.

    In standard deviations of each generator; ranks, since one score may be a million times the others.
    """
    off = np.zeros(values.shape)
    for number in np.unique(owner[seen.any(axis=0)]):
        mine = seen & (owner == number)
        rank = np.unique(values[mine], return_inverse=True)[1].astype(np.float64)
        off[mine] = (rank - rank.mean()) / (rank.std() or 1.0)
    mean = off.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.where(seen, off - mean, 0.0)
