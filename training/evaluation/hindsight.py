"""Hindsight, told honestly: each prompt's course chosen with one half of its samples, scored on the other.

A few samples say little about a whole table, and the best of many noisy columns is a worse choice than a
policy's, so what one half says is shrunk towards the training prompts that it makes likely. Costs are those
that these training prompts had: who knows the cost of the very samples that are paid for knows too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.menu.halves import Half, half_pool
from policies.plan.objective import Objective
from policies.verifier.learned_verifier import CorrectnessModel
from training.evaluation.bed import Measured, Played, TestBed
from training.evaluation.measured import measure_courses

# Weight of the prompt's own numbers beside those of the prompts that resemble it. On recorded logs a quarter
# to three quarters beat both ends, by up to .06 of value at equal cost; on simulated ones, where the text
# tells all that there is to know, less is better.
_OWN: Final = 0.25
_CERTAIN: Final = 1e-4
# Prompts weighed at a time over some thousand training prompts each.
_CHUNK_ROWS: Final = 4096
_HALVES: Final[tuple[Half, Half]] = ("even", "odd")


def hindsight(
    bed: TestBed,
    log: SampleLog,
    model: CostModel,
    *,
    objective: Objective = "accuracy",
    verifiers: Mapping[str, CorrectnessModel] | None = None,
    seed: int = 0,
) -> Played | None:
    """Return what choosing on even samples costs and is worth on odd ones; None where halves are too small.

    Parameters
    ----------
    bed : TestBed
        P test prompts.
    log : SampleLog
        The same prompts.
    model : CostModel
        Prices a usage.
    objective : str
        As in `policies.menu.curves.measure_curves`.
    verifiers : mapping of str to CorrectnessModel, optional
        Learned verifiers by generator.
    seed : int
        Of orders and of estimates that draw.

    Notes
    -----
    Values are believed to be the mean of the even half's own and of the posterior mean over training prompts:
    the belief before sampling, times the likelihood of the even half's successes. Only courses that both
    halves can tell of every prompt are chosen among, so hindsight may lie below a policy: it bounds nothing
    then.
    """
    even, odd = (
        Measured.of(
            measure_courses(
                log, bed.subject.courses, objective=objective, verifiers=verifiers, half=half, seed=seed
            ),
            log,
            model,
        )
        for half in _HALVES
    )
    whole = ~(np.isnan(even.value).any(axis=0) | np.isnan(odd.value).any(axis=0))
    columns = np.flatnonzero(whole)
    if len(columns) < 2:
        return None
    weights = posterior(bed, log, seed=seed)
    value = (1 - _OWN) * weights @ bed.subject.value[:, columns] + _OWN * even.value[:, columns]
    cost = weights @ bed.subject.cost[:, columns]
    prices = bed.subject.policy.prices
    choice = np.stack([(value - price * cost).argmax(axis=1) for price in prices], axis=1)
    return replace(bed, measured=odd).realise(columns[choice])


def posterior(bed: TestBed, log: SampleLog, *, seed: int = 0) -> FloatArray:
    """Return weights over the training prompts after the even half of each prompt's samples, shape (P, T)."""
    success = np.nan_to_num(bed.subject.references.success(), nan=0.5).clip(_CERTAIN, 1 - _CERTAIN)
    n, right = (np.zeros((len(bed), len(bed.subject.references.generators))) for _ in range(2))
    for at, name in enumerate(bed.subject.references.generators):
        if name in log.generators:
            half = bed.subject.policy.telling.scale.share(
                half_pool(log.pool(name), "even", seed).value[:, ::2]
            )
            n[:, at], right[:, at] = (~np.isnan(half)).sum(axis=1), np.nansum(half, axis=1)
    weights = np.empty(bed.weights.shape)
    for start in range(0, len(bed), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        joint = right[rows] @ np.log(success).T + (n - right)[rows] @ np.log1p(-success).T
        joint += np.log(np.maximum(bed.weights[rows].astype(np.float64), 1e-300))
        likely = np.exp(joint - joint.max(axis=1, keepdims=True))
        weights[rows] = likely / likely.sum(axis=1, keepdims=True)
    return weights
