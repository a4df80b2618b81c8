"""A small model with test-time compute against a bigger one that answers once, at equal FLOPs, per
difficulty band.

The bigger model's extra pre-training is charged as in Snell et al.: with R inference tokens per
pre-training token, a model M times larger frees M + 3/R (M - 1) times the small model's inference FLOPs. It
assumes FLOPs per token of twice the active parameters; where a log has no token counts, samples of both
models are taken as equally long, and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.generator import Generator
from policies.table.table import CourseTable
from training.evaluation.bed import TestBed
from training.evaluation.comparison import on
from training.frontier import estimate, number
from training.policy import masks

# Inference tokens per pre-training token that Snell et al. consider, and infinity: inference alone.
_RATIOS: Final = (np.inf, 22.0, 0.79, 0.16)
_N_BANDS: Final = 5


def flops_matched(
    bed: TestBed, table: CourseTable, generators: Mapping[str, Generator], weights: FloatArray
) -> dict[str, Any]:
    """Compare the smallest with the largest model of the table.

    Parameters
    ----------
    bed : TestBed
        Test prompts; those that lack one of the compared courses are left out.
    table : CourseTable
        Their courses as measured, with tokens.
    generators : mapping of str to Generator
        With sizes, where they are known.
    weights : ndarray of float64, shape (R, P)
        Bootstrap weights.

    Returns
    -------
    dict
        JSON values; empty where fewer than two sizes are known. Charges that do not pay for one sample of the
        small model have no row, and without any row it is empty.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 7.
    """
    pair = _pair(bed, generators)
    if pair is None:
        return {}
    small, large, sizes = pair
    courses = bed.subject.courses
    rows = np.asarray(~np.isnan(bed.measured.value[:, [*small, large]]).any(axis=1))
    if not rows.any():
        return {}
    value, by = bed.measured.value[rows], on(weights, rows)
    tokens = table.slots.total(table.output_tokens.astype(np.float64))[rows]
    short, long = tokens[:, small[0]].mean(), tokens[:, large].mean()
    # Where not one token is counted, nothing is recorded either.
    known, ratio = bool(short > 0 and long > 0), sizes[1] / sizes[0]
    if known:
        ratio *= float(long / short)
    order = np.argsort(-value[:, [small[0], large]].mean(axis=1), kind="stable")
    lines = []
    for inference_per_pretraining in _RATIOS:
        freed = ratio + 3 / inference_per_pretraining * (sizes[1] / sizes[0] - 1)
        if freed < 1:  # not one sample of the small model, which writes so much more
            continue
        column = max((c for c in small if courses[c].n <= freed), key=lambda c: courses[c].n)
        difference = value[:, column] - value[:, large]
        lines.append(
            {
                "inference_per_pretraining_token": number(inference_per_pretraining),
                "samples_freed": round(freed, 2),
                "samples_used": courses[column].n,
                "limited_by_log": bool(freed >= 2 * courses[column].n),
                "all": _difference(difference, by),
                "bands": [
                    _difference(difference[band], on(by, band))
                    for band in np.array_split(order, _N_BANDS)
                    if len(band)
                ],
            }
        )
    if not lines:
        return {}
    return {
        "small": courses[small[0]].generators[0],
        "large": courses[large].generators[0],
        "size_ratio": round(sizes[1] / sizes[0], 3),
        "tokens_recorded": known,
        "n_prompts": int(rows.sum()),
        "rows": lines,
    }


def _pair(
    bed: TestBed, generators: Mapping[str, Generator]
) -> tuple[list[int], int, tuple[float, float]] | None:
    """Return the small generator's votes by width, the large one's single sample, and both sizes."""
    courses = bed.subject.courses
    singles: dict[str, int] = {}
    for column in np.flatnonzero(masks.single(courses)).tolist():
        name = courses[column].generators[0]
        if name in generators and generators[name].size and not np.isnan(bed.measured.value[:, column]).all():
            singles.setdefault(name, column)
    sizes = {name: float(generators[name].size or 0) for name in singles}
    if len(set(sizes.values())) < 2:
        return None

    def best(size: float) -> str:
        names = [name for name in singles if sizes[name] == size]
        return max(names, key=lambda name: float(bed.subject.value[:, singles[name]].mean()))

    little, big = best(min(sizes.values())), best(max(sizes.values()))
    selection = courses[singles[little]].selection
    votes = masks.static(courses) & np.array(
        [
            course.generators == (little,)
            and course.selection == selection
            and course.steps[0].kind == "sample"
            for course in courses
        ]
    )
    told = ~np.isnan(bed.measured.value).all(axis=0)
    columns = sorted(np.flatnonzero(votes & told).tolist(), key=lambda column: courses[column].n)
    return columns, singles[big], (sizes[little], sizes[big])


def _difference(difference: FloatArray, weights: FloatArray) -> dict[str, Any]:
    return estimate("difference", weights @ difference, under="interval", digits=4)
