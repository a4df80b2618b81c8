"""The learned verifiers of a training run: one per generator, measured on prompts that it did not see.

Each is kept, since a run may ask for it by name; it is offered to the policy only where picking by it was
shown to beat the plain vote. It assumes an objective of accuracy; fitting is left to
`policies.learned_verifier_fit`, the curves of what is offered to `policies.curves`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.sample_log import SampleLog
from policies.allocation import StrategyName
from policies.learned_selection import PICKS, SelectionAccuracy, selection_accuracy
from policies.learned_verifier import CorrectnessModel, LearnedScorer
from policies.learned_verifier_fit import CorrectnessFit, fit_correctness
from training.frontier import bootstrap_weights, interval

__all__ = ["LearnedVerifiers", "fit_learned_verifiers", "selection_rows"]

FloatArray: TypeAlias = NDArray[np.float64]

WIDTHS: Final = (2, 4, 8, 16)
"""Samples at which picking is measured."""

_N_REPLICATES: Final = 2000
# Two-sided level of the interval of the mean gain over the vote whose lower end must lie above 0: that at
# which the policy leaves the static fallback, since here, too, several candidates are looked at.
_DECISION_LEVEL: Final = 0.99


class LearnedVerifiers(NamedTuple):
    """What the stage found, by generator.

    Attributes
    ----------
    models : dict of str to CorrectnessModel
        Fitted on all prompts.
    cross_fitted : dict of str to LearnedScorer
        For the prompts of the log, in its order.
    offered : dict of str to str
        Generators for which picking by the score beat the vote, and the strategy that picks best.
    record : dict
        Measures of each, or why there is none; JSON values.
    """

    models: dict[str, CorrectnessModel]
    cross_fitted: dict[str, LearnedScorer]
    offered: dict[str, StrategyName]
    record: dict[str, Any]


def fit_learned_verifiers(log: SampleLog, *, seed: int = 0) -> LearnedVerifiers:
    """Fit and measure a learned verifier for each generator that has what it takes.

    Parameters
    ----------
    log : SampleLog
        Training prompts.
    seed : int
        Seed of folds, sets and bootstrap.

    Notes
    -----
    The verifier of a generator is offered when the mean gain of its better rule over the plain vote, over N =
    2, 4, 8 and 16 as far as recorded, is above 0 by its 99 % interval (paired bootstrap over prompts,
    cross-fitted scores). Agreement alone ranks answers as the vote does and is never offered.
    """
    found = LearnedVerifiers({}, {}, {}, {})
    for name in log.generators:
        try:
            fit = fit_correctness(log, name, seed=seed)
        except InvalidInputError as error:
            found.record[name] = {"left_out": str(error)}
            continue
        found.models[name] = fit.model
        found.cross_fitted[name] = fit.cross_fitted
        found.record[name] = _measures(fit)
        if not fit.model.columns:
            continue
        picked = selection_accuracy(log.pool(name), fit.cross_fitted, WIDTHS, seed=seed)
        rows, better = selection_rows(picked, seed=seed)
        found.record[name]["selection"] = rows
        if better is not None:
            found.offered[name] = better
            found.record[name]["offered"] = better
    return found


def selection_rows(
    picked: SelectionAccuracy, *, seed: int = 0
) -> tuple[list[dict[str, Any]], StrategyName | None]:
    """Return a table of what picking delivers, and the strategy that was shown to beat the vote.

    Parameters
    ----------
    picked : SelectionAccuracy
        On prompts that the scores were not fitted on.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    rows : list of dict
        One per width that is recorded: ``n``, accuracy of the vote and of each pick, and each pick's gain
        over the vote with its 95 % interval (``gain_best_of_n`` and so on).
    better : str or None
        The pick with the larger mean gain over all widths, where its 99 % interval lies above 0.
    """
    rows: list[dict[str, Any]] = []
    gains: dict[str, list[FloatArray]] = {pick: [] for pick in PICKS}
    known = ~np.isnan(picked.vote).all(axis=1)
    weights = bootstrap_weights(int(known.sum()), n_replicates=_N_REPLICATES, seed=seed)
    for place, width in enumerate(picked.widths):
        vote = picked.vote[known, place]
        if np.isnan(vote).all():
            continue
        row: dict[str, Any] = {"n": width, "vote": round(float(np.nanmean(vote)), 4)}
        for pick in PICKS:
            value = getattr(picked, pick)[known, place]
            gain = _weighted_mean(weights, value - vote)
            gains[pick].append(gain)
            low, high = interval(gain[1:])
            row[pick] = round(float(np.nanmean(value)), 4)
            row[f"gain_{pick}"] = [round(float(gain[0]), 4), [round(low, 4), round(high, 4)]]
        rows.append(row)
    better: StrategyName | None = None
    if rows:
        means = {pick: np.mean(gains[pick], axis=0) for pick in PICKS}
        best: StrategyName = "best_of_n" if means[PICKS[0]][0] > means[PICKS[1]][0] else "weighted_best_of_n"
        if interval(means[best][1:], level=_DECISION_LEVEL)[0] > 0:
            better = best
    return rows, better


def _weighted_mean(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return the mean over the prompts that have a value, in each replicate, shape (R,)."""
    there = ~np.isnan(values)
    mass = weights[:, there].sum(axis=1)
    total = weights[:, there] @ values[there]
    return np.asarray(np.divide(total, mass, out=np.full(len(mass), np.nan), where=mass > 0))


def _measures(fit: CorrectnessFit) -> dict[str, Any]:
    model = fit.model
    return {
        "reads": ["agreement", *model.columns],
        "trees": bool(model.trees),
        "brier": round(model.brier, 5),
        "brier_constant": round(model.base_brier, 5),
        "calibration_error": round(model.calibration_error, 5),
        "auc_within_prompt": None if np.isnan(fit.auc) else round(fit.auc, 4),
        "selection": [],
        "offered": None,
    }
