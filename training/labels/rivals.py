"""Which generators labels cannot tell apart, and prompts to grade so that they can.

Generators that repeat each other's errors agree, and seem better than they are: labels alone place two of
them only roughly. Verdicts on prompts that were drawn at random place them with an interval. What is made of
it is left to who reads it; the policy is learned all the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import stats

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.label_signals import Labels, LabelSignals
from difficulty.log.sample_log import SampleLog
from difficulty.scale import Scale
from training.frontier import bootstrap_weights
from training.labels.rectify import rectified

# How far the gap between two generators may be off by labels alone: 70 of 74 gaps between generators of one
# log were within it (CRUXEval-O, GSM8K and reasoning-gym, `notebooks/LOG.md`, 2026-11-29).
_OFF: Final = 0.16
# Graded prompts from which on they count here; an interval from fewer is too narrow.
_FEWEST: Final = 20
# Graded prompts that mostly settle it.
_ENOUGH: Final = 100
_REPLICATES: Final = 500
_DIGITS: Final = 4


def rivals(log: SampleLog, by: Labels, *, seed: int = 0) -> dict[str, Any]:
    """Return who is best by labels and who may be better, as JSON values; empty for one generator.

    Parameters
    ----------
    log : SampleLog
        P prompts, some of them graded, or none.
    by : {"agreement", "verifier", "judge"}
        What labels rest on.
    seed : int
        Of the bootstrap and of the prompts to grade.

    Returns
    -------
    dict
        ``"best"`` by single samples; ``"unsettled"``, those of whom it is not known that they are worse:
        ``"generator"``, how far it is ``"behind"``, and the 95 % ``"interval"`` of that; ``"grade_first"``,
        ids of prompts drawn at random, as many as make a hundred with the ``"n_graded"`` that are graded.

    Notes
    -----
    With graded prompts the gap is mended by them (`training.labels.rectify`), whatever labels are worth;
    without, labels may be off by what they were on other logs. Prompts on which contenders differ settle it
    no sooner than those drawn by lot, and what is corrected by them is right for fewer others.
    """
    signals = log.label_signals(by)
    if len(signals.generators) < 2:
        return {}
    label = _means(signals, Scale.of(signals.signal).share(signals.signal), signals.generators)
    verdict = np.where(signals.correct >= 0, signals.correct, np.nan)
    truth = _means(signals, verdict.astype(np.float64), signals.generators)
    weights = bootstrap_weights(
        len(label), n_replicates=_REPLICATES, seed=seed, groups=log.near_duplicates().groups
    )
    graded = ~np.isnan(truth).all(axis=1)
    means = [_mended(mine, so, weights)[0] for mine, so in zip(label.T, truth.T, strict=True)]
    best = int(np.nanargmax(means))
    gaps = [
        _mended(label[:, best] - mine, truth[:, best] - so, weights)
        for mine, so in zip(label.T, truth.T, strict=True)
    ]
    unsettled = [
        {
            "generator": name,
            "behind": round(gap, _DIGITS),
            "interval": [round(low, _DIGITS), round(high, _DIGITS)],
        }
        for at, (name, (gap, low, high)) in enumerate(zip(signals.generators, gaps, strict=True))
        if at != best and low <= 0
    ]
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~graded))
    more = max(_ENOUGH - int(graded.sum()), 0) if unsettled else 0
    return {
        "best": signals.generators[best],
        "n_graded": int(graded.sum()),
        "unsettled": sorted(unsettled, key=lambda row: row["behind"]),
        "grade_first": [log.prompts[row].id for row in order[:more]],
    }


def _means(signals: LabelSignals, value: FloatArray, generators: tuple[str, ...]) -> FloatArray:
    """Return means over each generator's samples of each prompt, shape (P, G); NaN where none is known."""
    size = int(signals.prompt.max()) + 1, len(generators)
    value = np.where(signals.silent & ~np.isnan(value), 0.0, value)
    known = ~np.isnan(value)
    cell = (signals.prompt * size[1] + signals.generator)[known]
    total = np.bincount(cell, weights=value[known], minlength=size[0] * size[1])
    n = np.bincount(cell, minlength=size[0] * size[1])
    return np.where(n > 0, total / np.maximum(n, 1), np.nan).reshape(size)


def _mended(label: FloatArray, truth: FloatArray, weights: FloatArray) -> tuple[float, float, float]:
    """Return a mean over the prompts that have labels, and its 95 % interval."""
    known = ~np.isnan(label)
    if not known.any():
        return np.nan, np.nan, np.nan
    n = int((~np.isnan(truth[known])).sum())
    if n < _FEWEST:
        mean = float(label[known].mean())
        return mean, mean - _OFF, mean + _OFF
    found = rectified(label[known], truth[known], weights[:, known])
    wider = float(stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975)) * np.sqrt(n / (n - 1))
    low, high = (float(found.mean + wider * (end - found.mean)) for end in found.interval)
    return found.mean, low, high
