"""The hindsight choice: each prompt's allocation chosen with one half of its samples, scored on the other.

A few samples say little about a whole menu, and the best of many noisy curves is a worse choice than a
policy's. So what one half says about a prompt is shrunk towards the training prompts that it makes likely. It
assumes halves that share no sample; what the bound is compared with is left to
`training.evaluation.comparison`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.log.sample_log import SampleLog
from policies.menu.curves import CurveTable
from policies.solver.prices import choose_at_prices
from training.evaluation.baselines import Course, TestBed

__all__ = ["half_sizes", "hindsight", "posterior"]

FloatArray: TypeAlias = NDArray[np.float64]

# Weight of the prompt's own curves beside those of the prompts that resemble it. On recorded logs a quarter
# to three quarters beat both ends, by up to .06 of value at equal cost; on simulated ones, where the text
# tells all that there is to know, less is better.
_OWN: Final = 0.25
_CERTAIN: Final = 1e-4


def hindsight(bed: TestBed, even: CurveTable, odd: CurveTable, n_even: NDArray[np.int64]) -> Course:
    """Return the course of choosing each prompt's allocation on the even half, scored on the odd one.

    Parameters
    ----------
    bed : TestBed
        P test prompts; their costs are known to the choice.
    even, odd : CurveTable
        Curves measured on disjoint halves of each prompt's samples.
    n_even : ndarray of int64, shape (P, G)
        Labelled samples of the even half, from `half_sizes`.

    Notes
    -----
    Values are believed to be the mean of the even half's own curves and of the posterior mean over reference
    prompts: the policy's belief before sampling, times the likelihood of the even half's successes under each
    reference prompt's success rates.
    """
    usable = ~(np.isnan(odd.value).any(axis=0) | np.isnan(even.value).any(axis=0))
    columns = np.flatnonzero(usable)
    weights = posterior(bed, even, n_even)
    believed = (1 - _OWN) * weights @ bed.bundle.curves.value[:, columns] + _OWN * even.value[:, columns]
    choice = columns[choose_at_prices(believed, bed.cost[:, columns], bed.prices)]
    return bed.realise(choice, odd.value)


def posterior(bed: TestBed, even: CurveTable, n_even: NDArray[np.int64]) -> FloatArray:
    """Return weights over the reference prompts after the even half, shape (P, T); rows sum to 1."""
    references = bed.bundle.references
    prior = bed.bundle.policy.weigher(references.coordinates)(bed.coordinates).astype(np.float64)
    success = np.nan_to_num(references.success(), nan=0.5).clip(_CERTAIN, 1 - _CERTAIN)
    rate = np.zeros(n_even.shape)
    for column, allocation in enumerate(bed.curves.allocations):
        if allocation.n == 1 and allocation.generator in references.generators:
            rate[:, references.generators.index(allocation.generator)] = even.value[:, column]
    n = np.where(np.isnan(rate), 0, n_even)
    right = n * np.nan_to_num(rate)
    likelihood = right @ np.log(success).T + (n - right) @ np.log1p(-success).T
    joint = np.log(np.maximum(prior, 1e-300)) + likelihood
    weights = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def half_sizes(log: SampleLog, generators: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the labelled samples in the even half of each prompt, shape (P, G)."""
    return np.stack([(log.pool(name).correct[:, ::2] >= 0).sum(axis=1) for name in generators], axis=1)
