"""The courses of a new generator: which are kept, and what is foretold of them on the reference prompts.

They are measured on the labelled prompts and spread by the process of `training.extension.factors`; lengths
that were not drawn follow those of the other generators in proportion. What plans may use is left to
`training.extension.offers`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_mean
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.course.course import Course
from policies.course.selection import NO_SIGNAL
from policies.table.table import CourseTable
from training.extension.factors import Fit
from training.policy.columns import Columns, screen

_MOST_COURSES: Final = 40


def picks_without_scores(course: Course) -> bool:
    """Say whether a course picks its answer without scores."""
    return course.selection.signal == NO_SIGNAL


def kept(columns: Columns) -> NDArray[np.intp]:
    """Return the courses of samples, picked without scores, that are near the best at some price."""
    plain = np.array(
        [
            picks_without_scores(course) and all(step.kind == "sample" for step in course.steps)
            for course in columns.table.courses
        ]
    )
    near = [at for at in screen(columns, None).tolist() if plain[at]]
    if len(near) <= _MOST_COURSES:
        return np.array(near, dtype=np.intp)
    worth = columns.value.mean(axis=0) - columns.prices[:, None] * columns.cost.mean(axis=0)
    best = np.sort(worth[:, near].argsort(axis=1)[:, ::-1][:, :2].ravel())
    one_shot = [place for place, at in enumerate(near) if columns.table.courses[at].one_shot]
    chosen = list(dict.fromkeys([*best.tolist(), *one_shot]))[:_MOST_COURSES]
    return np.array(sorted(near[place] for place in chosen), dtype=np.intp)


def foretold(bundle: PolicyBundle, log: SampleLog, name: str, columns: Columns, fit: Fit) -> CourseTable:
    """Return the table of the new courses on the reference prompts."""
    size, measured = len(fit.factors.success), columns.table
    table = CourseTable.empty(measured.courses, size)

    def spread(values: NDArray[np.floating]) -> FloatArray:
        target = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(target)
        mean = np.where(known, target, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        target = np.where(known, target, mean)
        return fit.spread(target)

    table.value[:] = spread(columns.value).clip(0.0, 1.0)
    for field in ("rounds", "samples", "requests"):
        getattr(table, field)[:] = spread(getattr(measured, field))
    table.output_tokens[:] = table.samples * _lengths(bundle, log, name, fit)[:, None]
    for field in ("resent_tokens", "cached_tokens", "verifier_tokens"):
        getattr(table, field)[:] = 0.0
    return table


def _lengths(bundle: PolicyBundle, log: SampleLog, name: str, fit: Fit) -> FloatArray:
    """Return output tokens per sample on the references: its own, else those of the others, in proportion."""
    own = row_mean(log.pool(name).output_tokens)
    others = row_mean(bundle.references.output_tokens)
    size = len(others)
    if np.isnan(own).all() or np.isnan(others).all():
        return np.full(size, np.nan if np.isnan(own).all() else float(np.nanmean(own)))
    others = np.where(np.isnan(others), np.nanmean(others), others)
    expected = np.square(fit.places.leaves) @ others
    known = ~np.isnan(own)
    lengths = np.asarray(others * own[known].sum() / expected[known].sum())
    drawn = known & (fit.places.matched >= 0)
    lengths[fit.places.matched[drawn]] = own[drawn]
    return lengths
