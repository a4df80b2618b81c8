"""Who gets what: fifths of observed difficulty, what each is given and gains, and which courses are drawn.

Observed difficulty is the measured success of one sample, so that a policy cannot look good by giving up on
what only looks hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from policies.course.course import Course
from training.evaluation.bed import TestBed
from training.evaluation.promises import Planned
from training.policy import masks

_N_BANDS: Final = 5


def kind_of(course: Course) -> str:
    """Name the kind of a course in a few words: which generators, and how they are drawn.

    Examples
    --------
    >>> from policies.course.course import waves
    >>> from policies.course.stop import Agreement
    >>> kind_of(Course(steps=waves("tiny", (1,)))), kind_of(Course(steps=waves("tiny", (8,))))
    ('tiny once', 'tiny vote')
    >>> kind_of(Course(steps=waves("tiny", (2, 2)), stop=Agreement(count=2)))
    'tiny vote, stops early'
    """
    names = " + ".join(course.generators)
    last = course.steps[-1]
    if course.n == 1:
        how = " once"
    elif last.kind == "search":
        how = f" {last.strategy}"
    else:
        how = f"{' revised,' if last.kind == 'revise' else ''} {str(course.selection).replace('_', ' ')}"
    return names + how + ("" if course.one_shot else ", stops early")


def allocation_table(plans: Sequence[Planned], bed: TestBed) -> dict[str, Any]:
    """Return what each band gets at the middle budget, and what is given at every budget.

    Parameters
    ----------
    plans : sequence of Planned
        Of the same prompts, one per budget, rising.
    bed : TestBed
        P test prompts.

    Returns
    -------
    dict
        ``"budget"`` and ``"bands"``, easiest first: success of one sample, cost and value of the plans,
        value of the best static course that costs no more; ``"allocations"``, per budget: mean samples per
        band, and the share of each kind of course. Prompts whose one sample or plan is not known are left
        out.
    """
    courses = bed.subject.courses
    once = masks.single(courses)
    measured = bed.measured.value[:, once]
    counted = ~np.isnan(measured)
    n = counted.sum(axis=1)
    truth = np.divide(np.nansum(measured, axis=1), n, out=np.full(len(bed), np.nan), where=n > 0)
    middle = plans[len(plans) // 2]
    static = bed.subject.hull(masks.static(courses))
    affordable = [
        column for column in static if np.nanmean(bed.measured.cost[:, column]) <= middle.budget * (1 + 1e-6)
    ]
    single = affordable[-1] if affordable else static[0]
    known = ~(np.isnan(truth) | np.isnan(middle.value) | np.isnan(bed.measured.value[:, single]))
    bands = [
        {
            "band": number,
            "n_prompts": len(rows),
            "one_sample": round(float(truth[rows].mean()), 4),
            "cost": round(float(middle.cost[rows].mean()), 9),
            "value": round(float(middle.value[rows].mean()), 4),
            "static_value": round(float(bed.measured.value[rows, single].mean()), 4),
        }
        for number, rows in _bands(truth, known)
    ]
    return {
        "budget": middle.budget,
        "bands": bands,
        "allocations": [_given(plan, bed, truth) for plan in plans],
    }


def _bands(truth: NDArray[np.float64], known: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.intp]]]:
    rows = np.flatnonzero(known)
    order = rows[np.argsort(-truth[rows], kind="stable")]
    return [(at, part) for at, part in enumerate(np.array_split(order, _N_BANDS), start=1) if len(part)]


def _given(plan: Planned, bed: TestBed, truth: NDArray[np.float64]) -> dict[str, Any]:
    samples = bed.measured.samples[np.arange(len(bed)), plan.column]
    known = ~(np.isnan(truth) | np.isnan(samples))
    kinds = [kind_of(bed.subject.courses[column]) for column in plan.column]
    return {
        "budget": plan.budget,
        "mean_samples_per_band": [round(float(samples[rows].mean()), 3) for _, rows in _bands(truth, known)],
        "share": {kind: round(kinds.count(kind) / len(kinds), 4) for kind in sorted(set(kinds))},
    }
