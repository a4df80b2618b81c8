"""Add to what was learned how sure its answers are, and the panels that tell it best.

It assumes the beliefs out of fold that chose the policy. Fitting is left to `training.answering.fit`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.log.sample_log import SampleLog
from policies.answering.answering import Answering
from policies.table.measure import measure
from policies.table.recorded import Recorded
from policies.table.table import CourseTable
from training.answering.fit import fit_answering, panels_of
from training.policy.gaps import filled
from training.policy.learn import Learned
from training.policy.offers import Believed, choose


def with_answering(
    log: SampleLog,
    learned: Learned,
    *,
    sharp: NDArray[np.float32] | None = None,
    groups: NDArray[np.str_],
    seed: int = 0,
) -> tuple[Learned, Answering | None]:
    """Return what was learned with the columns of panels, which no plan takes by itself, and how sure it is.

    Parameters
    ----------
    log : SampleLog
        P training prompts.
    learned : Learned
        From the same log.
    sharp : ndarray of float32, shape (P, P), optional
        Narrower weights out of fold, by which plans tell what they bring; None where there are none.
    groups : ndarray, shape (P,)
        Near-duplicates share one.
    seed : int
        Of orders, ties and trees.

    Returns
    -------
    tuple
        What was learned, and None in place of the second where too little is known.
    """
    bench = learned.bench
    believed = Believed.by(bench.weights, learned.value, learned.cost)
    chosen = choose(believed, learned.policy.offered, learned.policy.prices)
    priced = {name for course in learned.table.courses for name in course.generators}
    wanted = [course for course in panels_of(log) if priced.issuperset(course.generators)]
    more = [course for course in wanted if course not in learned.table.courses]
    rows = np.arange(len(chosen))[:, None]
    told = learned.policy.telling.tell(
        learned.value.mean(axis=0, dtype=np.float64)[chosen],
        believed.value[rows, chosen].astype(np.float64),
        None if sharp is None else row_product(sharp, learned.value)[rows, chosen].astype(np.float64),
    )
    whole = learned
    if more:
        panels = measure(log, Recorded.of(log, seed=seed), [], more, seed=seed)
        known = np.flatnonzero(~np.isnan(panels.value).all(axis=0))
        panels = panels.columns(known)
        none = np.zeros(len(known), dtype=bool)
        offered = np.concatenate(
            [learned.policy.offered, np.broadcast_to(none, (len(learned.policy.prices), len(known)))], axis=1
        )
        whole = replace(
            learned,
            table=CourseTable.joined([learned.table, panels]),
            value=np.concatenate([learned.value, filled(panels.value, lower=0.0, upper=1.0)], axis=1),
            cost=np.concatenate([learned.cost, np.full_like(panels.value, np.nan)], axis=1),
            deployed=np.concatenate([learned.deployed, none]),
            policy=replace(learned.policy, offered=offered),
        )
    answering = fit_answering(
        log,
        whole.table.courses,
        chosen,
        told=told.clip(0.0, 1.0),
        panels=[at for at, course in enumerate(whole.table.courses) if course in wanted],
        rates=_rates(log, bench.weights),
        folds=bench.folds,
        groups=groups,
        seed=seed,
    )
    return (learned, None) if answering is None else (whole, answering)


def _rates(log: SampleLog, weights: NDArray[np.float32]) -> FloatArray:
    """Return the success rates of one sample that beliefs out of fold promise, shape (P, G)."""
    counts = log.counts()
    references = ReferencePrompts(
        generators=tuple(log.generators),
        n=counts.n,
        n_correct=counts.n_correct,
        output_tokens=np.full(counts.n.shape, np.nan),
    )
    success = references.success()
    known = ~np.isnan(success)
    return row_product(weights, np.where(known, success, 0.0), weight=known).astype(np.float64)
