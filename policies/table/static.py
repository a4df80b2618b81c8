"""Courses that decide everything before the first sample, with the exact values that their samples allow.

Votes, best-of-N, coverage, chains and recorded searches have estimators that average over all ways to draw;
what has none is left to `policies.table.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from difficulty.arithmetic.rows import row_mean
from difficulty.log.sample_log import SampleLog
from policies.course.allocate import course_of
from policies.course.allocation import Allocation
from policies.menu.curves import measure_curves
from policies.menu.halves import Half
from policies.plan.objective import Objective
from policies.table.reading import is_scored
from policies.table.table import CourseTable
from policies.verifier.learned_verifier import LearnedScorer


def static_table(
    log: SampleLog,
    allocations: Sequence[Allocation],
    *,
    objective: Objective = "accuracy",
    learned: Mapping[str, LearnedScorer] | None = None,
    half: Half = "all",
    seed: int = 0,
) -> CourseTable:
    """Measure allocations exactly, as columns of one step.

    What a reward model read is NaN where not recorded (`policies.table.reading.with_reading`).

    Parameters
    ----------
    log : SampleLog
        P prompts.
    allocations : sequence of Allocation
        From `policies.menu.build.build_menu`.
    objective : str
        As in `policies.menu.curves.measure_curves`.
    learned : mapping of str to LearnedScorer, optional
        Learned verifiers by generator.
    half : {"all", "even", "odd"}
        All samples, or one of two disjoint halves of each pool.
    seed : int
        Of the estimates that draw.
    """
    curves = measure_curves(log, allocations, objective=objective, half=half, seed=seed, learned=learned)
    courses = [course_of(allocation) for allocation in allocations]
    table = CourseTable.empty(courses, len(log.prompts))
    known = ~np.isnan(curves.value)
    read = np.full(known.shape, np.nan) if curves.verifier_tokens is None else curves.verifier_tokens
    for at, course in enumerate(courses):
        pool = log.pool(course.generators[0])
        chained = course.steps[0].kind == "revise"
        requests = float(len(course.steps)) if chained else 1.0
        sent = curves.prompt_tokens[:, at]
        table.samples[:, at] = np.where(known[:, at], curves.samples[:, at], np.nan)
        table.requests[:, at] = np.where(known[:, at], requests, np.nan)
        table.output_tokens[:, at] = curves.output_tokens[:, at]
        if course.steps[0].kind == "sample":
            own = pool.own_prompt_tokens
            table.resent_tokens[:, at] = 0.0 if own is None else row_mean(own) * table.samples[:, at]
        else:
            table.resent_tokens[:, at] = sent - pool.shared_prompt_tokens * requests
        table.cached_tokens[:, at] = curves.cached_prompt_tokens[:, at]
        table.verifier_tokens[:, at] = read[:, at] if is_scored(course) else 0.0
        table.rounds[:, at] = np.where(known[:, at], len(course.steps), np.nan)
    table.value[:] = curves.value
    return table
