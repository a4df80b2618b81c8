"""Fit what is told of plans: realised value and cost, out of fold, against what made the choice."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.choice.telling import Telling
from training.policy.bench import Bench, paired
from training.policy.offers import Believed, choose
from training.policy.population import best_static

__all__ = ["fit_telling"]

FloatArray: TypeAlias = NDArray[np.float64]

# Prompts whose worth of evidence stands behind a slope of 1 before any is seen.
_PRIOR: Final = 10.0
_MOST: Final = 1.5


def fit_telling(bench: Bench, believed: Believed, offered: NDArray[np.bool_]) -> Telling:
    """Return what choices on offer bring, by level.

    Parameters
    ----------
    bench : Bench
        P training prompts.
    believed : Believed
        Their beliefs out of fold.
    offered : ndarray of bool, shape (L, C)
        Courses on offer at each price.

    Notes
    -----
    What a level gains over the static mix of equal cost is shrunk by its uncertainty (James-Stein, positive
    part), so that a lucky level does not look better than one that costs more and is sure. Slopes are shrunk
    towards 1 as if ten more prompts had been right, and lie in [0, 1.5]: a line is enough, and on fewer than
    a thousand prompts it is better than isotonic regression (`notebooks/LOG.md`, 2026-11-29).
    """
    taken = choose(believed, offered, bench.prices)
    rows = np.arange(len(bench))[:, None]
    expected, realised = believed.value[rows, taken].astype(float), bench.value[rows, taken].astype(float)
    cost, spent = believed.cost[rows, taken].astype(float), bench.cost[rows, taken].astype(float)
    mean, value = expected.mean(axis=0), realised.mean(axis=0)
    told = _shrunk(bench, realised, spent)
    centred = expected - mean
    variance = (centred**2).mean(axis=0)
    prior = _PRIOR / len(bench) * max(float(bench.value.var(axis=0).mean()), 1e-9)
    slope = ((centred * (realised - value)).mean(axis=0) + prior) / (variance + prior)
    slope = slope.clip(0.0, _MOST)
    noise = (realised - value - slope * centred).std(axis=0)
    ratio = spent.mean(axis=0) / np.maximum(cost.mean(axis=0), 1e-300)
    return Telling(
        expected=mean, value=told, slope=slope, noise=noise, cost=np.maximum(ratio, 1e-6), scale=bench.scale
    )


def _shrunk(bench: Bench, realised: FloatArray, spent: FloatArray) -> FloatArray:
    """Return the mean of each level, its gain over the static mix of equal cost shrunk, shape (L,)."""
    columns = np.unique(best_static(bench))
    value, cost = bench.value[:, columns].astype(float), bench.cost[:, columns].astype(float)
    order = np.argsort(cost.mean(axis=0))
    value, paid = value[:, order], cost.mean(axis=0)[order]
    told = np.empty(realised.shape[1])
    for level, asked in enumerate(spent.mean(axis=0)):
        above = min(int(np.searchsorted(paid, asked)), len(paid) - 1)
        below = max(above - 1, 0)
        apart = paid[above] - paid[below]
        share = min(max((asked - paid[below]) / apart, 0.0), 1.0) if apart > 0 else 1.0
        mix = (1 - share) * value[:, below] + share * value[:, above]
        gain, error = paired(realised[:, level] - mix, bench.groups)
        kept = max(1 - (error / gain) ** 2, 0.0) if gain > 0 else 1.0
        told[level] = mix.mean() + kept * gain
    return told
