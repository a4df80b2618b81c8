"""A small model with test-time compute against a bigger one that answers once, at equal FLOPs, per
difficulty band.

The bigger model's extra pre-training is charged as in Snell et al.: with R inference tokens per
pre-training token, a model M times larger frees M + 3/R (M - 1) times the small model's inference FLOPs. It
assumes FLOPs per token of twice the active parameters; where a log has no token counts, samples of both
models are taken as equally long, and the result says so.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.baselines import TestBed
from training.frontier import interval

__all__ = ["flops_matched"]

FloatArray: TypeAlias = NDArray[np.float64]

# Inference tokens per pre-training token that Snell et al. consider, and infinity: inference alone.
_RATIOS: Final = (np.inf, 22.0, 0.79, 0.16)
_N_BANDS: Final = 5


def flops_matched(bed: TestBed, weights: FloatArray) -> dict[str, Any]:
    """Compare the smallest with the largest model of the menu.

    Parameters
    ----------
    bed : TestBed
        Test prompts.
    weights : ndarray of float64, shape (R, P)
        Bootstrap weights.

    Returns
    -------
    dict
        JSON values; empty where fewer than two sizes are known.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 7.
    """
    pair = _pair(bed)
    if pair is None:
        return {}
    small, large, sizes = pair
    tokens = bed.curves.output_tokens
    known = not (np.isnan(tokens[:, small[0]]).any() or np.isnan(tokens[:, large]).any())
    ratio = sizes[1] / sizes[0]
    if known:
        ratio *= float(tokens[:, large].mean() / tokens[:, small[0]].mean())
    allocations = bed.curves.allocations
    one = np.array([a.width == 1 and a.depth == 1 for a in allocations])
    order = np.argsort(-bed.curves.value[:, one].mean(axis=1), kind="stable")
    rows = []
    for inference_per_pretraining in _RATIOS:
        freed = ratio + 3 / inference_per_pretraining * (sizes[1] / sizes[0] - 1)
        column = max((c for c in small if allocations[c].width <= freed), key=lambda c: allocations[c].width)
        difference = bed.curves.value[:, column] - bed.curves.value[:, large]
        rows.append(
            {
                "inference_per_pretraining_token": None
                if np.isinf(inference_per_pretraining)
                else inference_per_pretraining,
                "samples_freed": round(freed, 2),
                "samples_used": allocations[column].width,
                "limited_by_log": bool(freed >= 2 * allocations[column].width),
                "all": _difference(difference, weights),
                "bands": [
                    _difference(difference[band], _renormalised(weights[:, band]))
                    for band in np.array_split(order, _N_BANDS)
                ],
            }
        )
    return {
        "small": allocations[small[0]].generator,
        "large": allocations[large].generator,
        "size_ratio": round(sizes[1] / sizes[0], 3),
        "tokens_recorded": known,
        "rows": rows,
    }


def _pair(bed: TestBed) -> tuple[list[int], int, tuple[float, float]] | None:
    """Return the small generator's columns by width, the large one's single sample, and both sizes."""
    generators = bed.bundle.generators
    singles = {
        a.generator: column
        for column, a in enumerate(bed.curves.allocations)
        if a.width == 1 and a.depth == 1 and a.traits.needs_samples_only and generators[a.generator].size
    }
    sizes = {name: float(generators[name].size or 0) for name in singles}
    if len(set(sizes.values())) < 2:
        return None

    def best(size: float) -> str:
        names = [name for name in singles if sizes[name] == size]
        return max(names, key=lambda name: float(bed.bundle.curves.value[:, singles[name]].mean()))

    little, big = best(min(sizes.values())), best(max(sizes.values()))
    columns = [
        column
        for column, a in enumerate(bed.curves.allocations)
        if a.generator == little and a.traits.needs_samples_only and a.depth == 1
    ]
    columns.sort(key=lambda column: bed.curves.allocations[column].width)
    return columns, singles[big], (sizes[little], sizes[big])


def _difference(difference: FloatArray, weights: FloatArray) -> dict[str, Any]:
    replicates = weights @ difference
    low, high = interval(replicates[1:])
    return {"difference": round(float(replicates[0]), 4), "interval": [round(low, 4), round(high, 4)]}


def _renormalised(weights: FloatArray) -> FloatArray:
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1 / weights.shape[1])
