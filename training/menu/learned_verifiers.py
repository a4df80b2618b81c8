"""The learned verifiers of a training run: one per generator, measured on prompts that it did not see.

Each is kept, since a run may ask for it by name; it is offered to the policy only where picking by it was
shown to beat the vote and no other pick looks better. It assumes an objective of accuracy; fitting is left to
`policies.verifier.fit`, the curves of what is offered to `policies.menu.curves`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.course.allocate import summary_of
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.menu.curves import measure_curves
from policies.menu.signals import recorded_signals
from policies.verifier.fit import fit_correctness
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel, LearnedScorer
from policies.verifier.measures import ScoreMeasures, measure_scores
from policies.verifier.selection import PICKS, selection_accuracy
from training.frontier import bootstrap_weights, estimate, interval

WIDTHS: Final = (2, 4, 8, 16)
"""Samples at which picking is measured."""

_N_REPLICATES: Final = 2000
# Two-sided level of the interval of the gain over the vote: that at which the policy leaves the static
# fallback. Asking as much of the gain over other picks cost more than it saved: at 95 % it took .025 of the
# policy's accuracy from one of four splits of SmolLM2's arithmetic, and .030 from another.
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
        Generators for which picking by the score was shown to pay, and the strategy that picks best.
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
    2, 4, 8 and 16 as far as recorded, is above 0 by its 99 % interval (paired bootstrap over groups,
    cross-fitted scores), and it is not behind the best pick by what was recorded anyway, log-probability or
    score. Agreement alone ranks answers as the vote does and is never offered.
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
        found.record[name] = _record(fit.model, measure_scores(log.pool(name), fit.cross_fitted))
        if not fit.model.columns:
            continue
        rows, better = selection_rows(log, name, fit.cross_fitted, seed=seed)
        found.record[name]["selection"] = rows
        if better is not None:
            found.offered[name] = better
            found.record[name]["offered"] = better
    return found


def measure_learned_verifiers(bundle: PolicyBundle, log: SampleLog, *, seed: int = 0) -> dict[str, Any]:
    """Measure a bundle's learned verifiers on prompts that it was not trained on.

    Parameters
    ----------
    bundle : PolicyBundle
        With the verifiers.
    log : SampleLog
        Test prompts.
    seed : int
        Seed of sets and bootstrap.

    Returns
    -------
    dict
        By generator, the measures that training records, and whether plans may use it; of a generator whose
        samples the log does not mark or lack what the verifier reads, why there are none.
    """
    offered = dict.fromkeys(bundle.verifiers)
    for course, deployed in zip(bundle.table.courses, bundle.deployed, strict=True):
        if deployed and course.selection.signal == LEARNED:
            summed = summary_of(course)
            offered[summed.generator] = offered[summed.generator] or summed.strategy
    table: dict[str, Any] = {}
    for name, model in bundle.verifiers.items():
        scorer = LearnedScorer(models=(model,))
        try:
            measures = measure_scores(log.pool(name), scorer)
        except InvalidInputError as error:
            table[name] = {"left_out": str(error)}
            continue
        table[name] = _record(model, measures, offered=offered[name])
        if model.columns:
            table[name]["selection"], _ = selection_rows(log, name, scorer, seed=seed)
    return table


def selection_rows(
    log: SampleLog, generator: str, scorer: LearnedScorer, *, seed: int = 0
) -> tuple[list[dict[str, Any]], StrategyName | None]:
    """Return a table of what picking delivers, and the strategy that was shown to beat the vote.

    Parameters
    ----------
    log : SampleLog
        Prompts that the scores were not fitted on.
    generator : str
        Whose samples.
    scorer : LearnedScorer
        Scores them; its rows are those of the log.
    seed : int
        Seed of sets and bootstrap.

    Returns
    -------
    rows : list of dict
        One per width that is recorded: ``n``, accuracy of the vote and of each pick, each pick's gain over
        the vote with its 95 % interval (``gain_best_of_n`` and so on), and the best pick that needs no
        learned verifier: ``rival``, what it is worth, ``rival_value``.
    better : str or None
        The pick with the larger mean accuracy over all widths, where its mean gain over the vote is above 0
        by its 99 % interval, and that over the rival is above 0.
    """
    pool = log.pool(generator)
    picked = selection_accuracy(pool, scorer, WIDTHS, seed=seed)
    known = np.flatnonzero(~np.isnan(picked.vote).all(axis=1))
    recorded = np.flatnonzero(~np.isnan(picked.vote[known]).all(axis=0))
    if not recorded.size:
        return [], None
    rival, without = _rival(log, generator, known, recorded, seed)
    groups = np.array(log.near_duplicates().groups)[known].tolist()
    weights = bootstrap_weights(len(known), n_replicates=_N_REPLICATES, seed=seed, groups=groups)
    vote = picked.vote[np.ix_(known, recorded)]
    values = {pick: getattr(picked, pick)[np.ix_(known, recorded)] for pick in PICKS}
    rows: list[dict[str, Any]] = []
    for place, column in enumerate(recorded.tolist()):
        row: dict[str, Any] = {"n": WIDTHS[column], "vote": round(float(np.nanmean(vote[:, place])), 4)}
        for pick, value in values.items():
            gain = _weighted_mean(weights, value[:, place] - vote[:, place])
            row[pick] = round(float(np.nanmean(value[:, place])), 4)
            row[f"gain_{pick}"] = list(estimate("gain", gain, digits=4).values())
        row |= {"rival": rival, "rival_value": round(float(np.nanmean(without[:, place])), 4)}
        rows.append(row)
    best: StrategyName = "best_of_n"
    if np.nanmean(values["weighted_best_of_n"]) > np.nanmean(values[best]):
        best = "weighted_best_of_n"
    over_vote, over_rival = (
        np.mean([_weighted_mean(weights, column) for column in (values[best] - other).T], axis=0)
        for other in (vote, without)
    )
    pays = interval(over_vote[1:], level=_DECISION_LEVEL)[0] > 0 and over_rival[0] > 0
    return rows, best if pays else None


def _rival(
    log: SampleLog, generator: str, known: NDArray[np.intp], recorded: NDArray[np.intp], seed: int
) -> tuple[str, FloatArray]:
    """Return the best way to pick that needs no learned verifier, and its value, shape (P, W)."""
    widths = [WIDTHS[column] for column in recorded.tolist()]
    kinds: list[tuple[StrategyName, dict[str, str]]] = [("majority_vote", {})]
    kinds += [
        (pick, {"verifier": name}) for name in sorted(recorded_signals(log.pool(generator))) for pick in PICKS
    ]
    curves = measure_curves(
        log,
        [
            Allocation(generator=generator, strategy=strategy, width=width, params=params)
            for strategy, params in kinds
            for width in widths
        ],
        seed=seed,
    )
    tables = np.split(curves.value[known], len(kinds), axis=1)
    whole = [place for place, table in enumerate(tables) if not np.isnan(table).all(axis=0).any()]
    best = max(whole, key=lambda place: float(np.nanmean(tables[place])))
    strategy, params = kinds[best]
    return " by ".join([strategy, *params.values()]), tables[best]


def _weighted_mean(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return the mean over the prompts that have a value, in each replicate, shape (R,)."""
    there = ~np.isnan(values)
    mass = weights[:, there].sum(axis=1)
    total = weights[:, there] @ values[there]
    return np.asarray(np.divide(total, mass, out=np.full(len(mass), np.nan), where=mass > 0))


def _record(
    model: CorrectnessModel, measures: ScoreMeasures, *, offered: StrategyName | None = None
) -> dict[str, Any]:
    return {
        "reads": ["agreement", *model.columns],
        "trees": model.trees is not None,
        "brier": round(measures.brier, 5),
        "brier_constant": round(measures.base_brier, 5),
        "calibration_error": round(measures.calibration_error, 5),
        "auc_within_prompt": None if np.isnan(measures.auc) else round(measures.auc, 4),
        "selection": [],
        "offered": offered,
    }
