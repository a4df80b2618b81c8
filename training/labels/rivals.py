"""Which generators labels cannot tell apart, what that may cost, and prompts to grade so that they can.

Generators that repeat each other's errors agree, and seem better than they are: labels alone place two of
them only roughly. Verdicts on prompts that were drawn at random place them with an interval. What is made of
it is left to who reads it; the policy is learned all the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.label_signals import Labels, LabelSignals
from difficulty.log.sample_log import SampleLog
from difficulty.scale import Scale
from training.frontier import bootstrap_weights
from training.labels.rectify import rectified

# How far the gap between two generators may be off by labels alone: 70 of 74 gaps between generators of one
# log were within it (CRUXEval-O, GSM8K and reasoning-gym, `notebooks/LOG.md`, 2026-11-29).
_OFF: Final = 0.16
# How far means of labels by agreement were off, at most: -.22 to .20 for single samples and votes of six logs
# with one right answer to a question; CRUXEval-I, where many are right, -.43.
_MEAN_OFF: Final = 0.22
# What labels cost beyond the choice of the generator, in numbers of samples and in stopping: at most .012 in
# sixteen trainings on four logs (`notebooks/LOG.md`, 2026-11-29).
_ELSE: Final = 0.015
# A gap of one prompt may lie anywhere between; as wide apart as 0 and 1, as for a mean.
_GAPS: Final = (-0.5, 0.5)
# Graded prompts from which on they count here; an interval from fewer is too wide to tell anything.
_FEWEST: Final = 20
# Graded prompts that mostly settle it.
_ENOUGH: Final = 100
_REPLICATES: Final = 500
_DIGITS: Final = 4


def rivals(log: SampleLog, by: Labels, *, seed: int = 0) -> dict[str, Any]:
    """Return who is best by labels, who may be better, and how far off labels may be, as JSON values.

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
        ids of prompts drawn at random, as many as make a hundred with the ``"n_graded"`` that are graded;
        ``"right"``: how often single samples of the best are right by its ``"labels"``, and the 95 %
        ``"interval"`` of the truth; ``"may_lose"``: by how much more a policy that knew verdicts may be
        right. None where nobody knows: without graded prompts, of other labels than agreement.

    Notes
    -----
    With graded prompts means are mended by them (`training.labels.rectify`), whatever labels are worth;
    without, labels may be off by what they were on other logs. What a policy loses that was learned from
    labels is mostly that it draws from the wrong generator: how much better a rival may be, and a little.
    Prompts on which contenders differ settle it no sooner than those drawn by lot, and what is corrected by
    them is right for fewer others.
    """
    signals = log.label_signals(by)
    label = _means(signals, Scale.of(signals.signal).share(signals.signal), signals.generators)
    verdict = np.where(signals.correct >= 0, signals.correct, np.nan)
    truth = _means(signals, verdict.astype(np.float64), signals.generators)
    weights = bootstrap_weights(
        len(label), n_replicates=_REPLICATES, seed=seed, groups=log.near_duplicates().groups
    )
    graded = ~np.isnan(truth).all(axis=1)
    n_graded = int(graded.sum())
    known = n_graded >= _FEWEST or by == "agreement"
    means = [_mended(mine, so, weights)[0] for mine, so in zip(label.T, truth.T, strict=True)]
    best = int(np.nanargmax(means))
    gaps = [
        _mended(label[:, best] - mine, truth[:, best] - so, weights)
        for mine, so in zip(label.T, truth.T, strict=True)
    ]
    more_right = [-low for at, (_, low, _) in enumerate(gaps) if at != best]
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
    more = max(_ENOUGH - n_graded, 0) if unsettled or n_graded < _FEWEST else 0
    right = _mended(label[:, best], truth[:, best], weights, off=_MEAN_OFF, ends=(0.0, 1.0))[1:]
    return {
        "best": signals.generators[best],
        "n_graded": n_graded,
        "right": {
            "labels": round(float(np.nanmean(label[:, best])), _DIGITS),
            "interval": [round(float(np.clip(end, 0.0, 1.0)), _DIGITS) for end in right] if known else None,
        },
        "may_lose": round(max([0.0, *more_right]) + _ELSE, _DIGITS) if known else None,
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


def _mended(
    label: FloatArray,
    truth: FloatArray,
    weights: FloatArray,
    *,
    off: float = _OFF,
    ends: tuple[float, float] = _GAPS,
) -> tuple[float, float, float]:
    """Return a mean over the prompts that have labels, and its 95 % interval: `off` either way by these."""
    known = ~np.isnan(label)
    if not known.any():
        return np.nan, np.nan, np.nan
    n = int((~np.isnan(truth[known])).sum())
    if n < _FEWEST:
        mean = float(label[known].mean())
        return mean, mean - off, mean + off
    found = rectified(label[known], truth[known], weights[:, known], ends=ends)
    return found.mean, *found.interval
