"""From a sample log to a policy bundle: curves, predictor, tuned policy, verdict.

Everything learned is cross-fitted by group; the bundle falls back to the best static mix where nothing was
shown to beat it. What the policy is worth on prompts that it never saw is told by `training.evaluate`, not
here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.errors import InvalidInputError
from difficulty.features.hidden_states import HiddenStates
from difficulty.features.prompt_features import PromptFeatures
from difficulty.log.near_duplicates import content_hash
from difficulty.log.sample_log import SampleLog
from difficulty.predictor.calibration import explained_share
from difficulty.predictor.difficulty_predictor import DifficultyPredictor, group_folds
from difficulty.prompt import Prompt
from planner.bundle.folder import open_folder
from planner.bundle.policy_bundle import PolicyBundle, prompt_hash
from planner.planning.pricing import Pricing
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.menu.build import build_menu
from policies.menu.curves import CurveTable, measure_curves, row_mean
from policies.plan.objective import Objective, check_objective
from training.adaptive.fit import Search
from training.adaptive.stage import Stopping, fit_stopping, stopping_prices
from training.frontier import bootstrap_weights, interval
from training.menu.crossfit import CrossFit
from training.menu.learned_verifiers import LearnedVerifiers, fit_learned_verifiers
from training.menu.menu_choice import tune_menu
from training.menu.menu_pricing import price_menu
from training.menu.reward_reading import how_readings_are_known
from training.menu.study_name import study_name
from training.menu.tuning import Scorer, Tuned

__all__ = ["train"]

FloatArray: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, int, int], None]

_N_PRICES: Final = 60
# One trial of the adaptive policy replays a ladder and fits its rule: it takes as long as many of the others.
_TRIALS_PER_ADAPTIVE_TRIAL: Final = 4
_N_FOLDS: Final = 5
_MIN_PROMPTS: Final = 20
# A few samples without a token count do not make a log one without token counts.
_RECORDED: Final = 0.95
# Reference prompts that a bundle keeps: planning time and memory grow with them, precision hardly does.
_MAX_REFERENCES: Final = 2000


@on_one_thread
def train(
    log: SampleLog,
    out: str | os.PathLike[str],
    *,
    n_trials: int = 200,
    seed: int = 0,
    objective: Objective = "accuracy",
    unit: str | None = None,
    storage: str | os.PathLike[str] | None = None,
    hidden_states: HiddenStates | None = None,
    cost_model: CostModel | None = None,
    adaptive: bool = True,
    ablations: bool = False,
    learned_verifier: bool = True,
    progress: Progress | None = None,
) -> PolicyBundle:
    """Fit the difficulty predictor, tune the policy and write the bundle.

    Parameters
    ----------
    log : SampleLog
        Training prompts; keep test prompts out of it (`SampleLog.split`).
    out : str or path
        Folder of the bundle.
    n_trials : int
        Optuna trials of the one-shot policy, at least 1; the adaptive policy gets a quarter as many.
    seed : int
        Seed of folds, boosting, sampler and bootstrap; equal logs and seeds give equal bundles.
    objective : {"accuracy", "coverage"}
        What the deployed selector delivers, or at least one correct sample where a checker is available.
    unit : str, optional
        Unit of cost that the policy is tuned in: by default ``output_tokens`` where (almost) every sample
        of every generator records them, else ``samples``.
    storage : str or path, optional
        Journal file or Optuna RDB URL: resumable, and shared by several workers.
    hidden_states : HiddenStates, optional
        Adds hidden states of a causal language model to the features of training. Planning then needs them
        too.
    cost_model : CostModel, optional
        Prices beyond those in the log's header (energy, verifier sizes); its unit is replaced by `unit`.
    adaptive : bool
        Also fit the policy that reacts to what has been drawn, where the log has single samples.
    ablations : bool
        Also fit that policy with one part switched off (prior, escalation, futility, routing), for
        `evaluate` to show.
    learned_verifier : bool
        Also fit a learned verifier per generator, and let the policy pick by it where it was shown to beat
        the vote (`training.menu.learned_verifiers`); never under ``"coverage"``, which needs a checker.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    PolicyBundle
        What was written.

    Raises
    ------
    InvalidInputError
        When the log has too few labelled prompts, `n_trials` is below 1, or another training writes to `out`.
    InvalidBundleError
        When `out` holds files that are not a bundle's, or links.
    UnknownUnitError
        When the unit cannot be priced from this log.
    """
    with open_folder(out) as folder:
        bundle = _learn(
            log,
            n_trials=n_trials,
            seed=seed,
            objective=objective,
            unit=unit,
            storage=storage,
            hidden_states=hidden_states,
            cost_model=cost_model,
            adaptive=adaptive,
            ablations=ablations,
            learned_verifier=learned_verifier,
            tell=progress or (lambda stage, done, total: None),
        )
        bundle.save_into(folder)
    return bundle


def _learn(
    log: SampleLog,
    *,
    n_trials: int,
    seed: int,
    objective: Objective,
    unit: str | None,
    storage: str | os.PathLike[str] | None,
    hidden_states: HiddenStates | None,
    cost_model: CostModel | None,
    adaptive: bool,
    ablations: bool,
    learned_verifier: bool,
    tell: Progress,
) -> PolicyBundle:
    """Learn all parts of a bundle; parameters as for `train`."""
    check_objective(objective)
    unit = check_unit(unit or _default_unit(log))
    verifiers = LearnedVerifiers({}, {}, {}, {})
    if learned_verifier and objective == "accuracy":
        tell("verifier", 0, 1)
        verifiers = fit_learned_verifiers(log, seed=seed)
        tell("verifier", 1, 1)
    tell("curves", 0, 1)
    menu = build_menu(log, objective=objective, learned=verifiers.offered)
    curves = measure_curves(log, menu, seed=seed, learned=verifiers.cross_fitted)
    pricing = _pricing(log, unit, cost_model)
    curves, cost, dropped = price_menu(curves, pricing)
    rows = np.flatnonzero(~np.isnan(curves.value).any(axis=1) & ~np.isnan(cost).any(axis=1))
    if len(rows) < _MIN_PROMPTS:
        raise InvalidInputError(
            f"only {len(rows)} prompts have samples of every generator and enough of them; at least "
            f"{_MIN_PROMPTS} are needed to train a policy: record more prompts, or leave out generators "
            f"with few lines "
            "(SampleLog.select_generators)"
        )
    tell("curves", 1, 1)
    curves, cost = curves.take(rows), cost[rows]
    kept = log.select([log.prompts[row].id for row in rows])
    features, predictor, coordinates, folds = _fit_predictor(kept, hidden_states, seed, tell)
    crossfit = CrossFit.of(coordinates, folds, curves.value, cost, n_prices=_N_PRICES)
    study = study_name(
        log,
        objective=objective,
        unit=unit,
        seed=seed,
        verifiers=verifiers,
        cost_model=cost_model,
        hidden_states=hidden_states,
    )
    tuned, allowed = tune_menu(
        crossfit,
        curves.allocations,
        n_trials=n_trials,
        seed=seed,
        storage=storage,
        study_name=f"policy-{study}",
        progress=lambda done, total: tell("trials", done, total),
    )
    stopping = None
    if adaptive:
        tell("stopping", 0, 1)
        stopping = fit_stopping(
            kept,
            pricing.cost_model,
            coordinates=coordinates,
            folds=folds,
            prices=stopping_prices(curves.value.mean(axis=0), cost.mean(axis=0)),
            objective=objective,
            seed=seed,
            # Those with an allocation on the menu could be priced.
            generators=list(dict.fromkeys(item.generator for item in curves.allocations)),
            ablations=ablations,
            # Where picking by them was not shown to pay for any generator, they would be noise.
            judges={name: scorer.take(rows) for name, scorer in verifiers.cross_fitted.items()}
            if verifiers.offered
            else None,
            search=Search(
                n_trials=n_trials // _TRIALS_PER_ADAPTIVE_TRIAL,
                storage=storage,
                study_name=f"stopping-{study}",
                progress=lambda done, total: tell("stopping trials", done, total),
            ),
        )
        tell("stopping", 1, 1)
    bundle = _bundle(
        log,
        kept,
        curves,
        allowed,
        coordinates,
        features,
        predictor,
        tuned,
        stopping,
        unit,
        objective,
        seed,
    )
    bundle = replace(
        bundle, verifiers={name: model for name, model in verifiers.models.items() if name in kept.generators}
    )
    bundle.training.update(  # type: ignore[attr-defined]
        n_trials=n_trials,
        verdict=_verdict(tuned),
        placebo=_placebo(crossfit, tuned, allowed, curves, seed),
        learned_verifier=verifiers.record,
        left_out={
            "prompts": len(log.prompts) - len(rows),
            "allocations": dropped,
        },
        **_scoring(curves, pricing),
    )
    return bundle


def _scoring(curves: CurveTable, pricing: Pricing) -> dict[str, Any]:
    """Count the allocations that pay for a reward model by how what it reads is known; empty without any."""
    known = how_readings_are_known(curves, pricing, [[column] for column in range(len(curves.allocations))])
    if not any(known):
        return {}
    return {
        "scoring": {
            "recorded": known.count("recorded"),
            "partly_recorded": known.count("partly recorded"),
            "estimated": known.count("estimated"),
        }
    }


def _default_unit(log: SampleLog) -> str:
    """Return ``output_tokens`` where at least 95 % of the samples of each generator record them, else
    ``samples``.
    """
    for name in log.generators:
        pool = log.pool(name)
        if np.isnan(pool.output_tokens[pool.correct >= 0]).mean() > 1 - _RECORDED or bool(
            pool.counts_only.any()
        ):
            return "samples"
    return "output_tokens"


def _pricing(log: SampleLog, unit: str, cost_model: CostModel | None) -> Pricing:
    model = cost_model or CostModel(unit=check_unit(unit), generators=log.generators)
    return Pricing(cost_model=replace(model, unit=check_unit(unit)), prompt_token_fit=_token_fit(log))


def _fit_predictor(
    log: SampleLog, hidden_states: HiddenStates | None, seed: int, tell: Progress
) -> tuple[PromptFeatures | None, DifficultyPredictor | None, FloatArray, NDArray[np.intp]]:
    """Fit features and predictor; without text, coordinates are constant and only folds remain."""
    groups = np.array(log.near_duplicates().groups)
    if not PromptFeatures.available(log.prompts):
        folds = group_folds(groups, n_folds=_N_FOLDS, seed=seed)
        return None, None, np.zeros((len(groups), 1)), folds
    tell("predictor", 0, 1)
    hidden = None if hidden_states is None else hidden_states.transform(log.prompts)
    features = PromptFeatures(seed=seed).fit(log.prompts, hidden)
    counts = log.counts()
    predictor = DifficultyPredictor(seed=seed, n_folds=_N_FOLDS).fit(
        features.transform(log.prompts, hidden), counts.n, counts.n_correct, groups=groups
    )
    tell("predictor", 1, 1)
    return features, predictor, predictor.coordinates_, predictor.folds_


def _bundle(
    log: SampleLog,
    kept: SampleLog,
    curves: CurveTable,
    allowed: NDArray[np.bool_],
    coordinates: FloatArray,
    features: PromptFeatures | None,
    predictor: DifficultyPredictor | None,
    tuned: Tuned,
    stopping: Stopping | None,
    unit: str,
    objective: str,
    seed: int,
) -> PolicyBundle:
    """Put the bundle together, with at most `_MAX_REFERENCES` reference prompts."""
    counts = kept.counts()
    tokens = np.stack([row_mean(kept.pool(name).output_tokens) for name in kept.generators], axis=1)
    rows = np.arange(len(coordinates))
    if len(rows) > _MAX_REFERENCES:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MAX_REFERENCES])
    training: dict[str, Any] = {
        "log_digest": log.digest,
        "n_prompts": len(kept.prompts),
        "n_samples": kept.n_samples,
        "n_near_duplicates": kept.near_duplicates().n_prompts,
        "seed": seed,
        "about": {key: value for key, value in log.about.items() if key in ("source", "licence", "split")},
    }
    if predictor is not None:
        level = 1 / (1 + np.exp(-coordinates[:, 0]))
        training["predictor"] = {
            "r2_out_of_fold": [round(float(value), 4) for value in predictor.r2_],
            "explained_share_of_level": round(
                explained_share(p=level, n=counts.n.sum(axis=1), n_correct=counts.n_correct.sum(axis=1)), 4
            ),
        }
    return PolicyBundle(
        objective=objective,
        unit=unit,
        generators=dict(kept.generators),
        policy=tuned.policy,
        references=ReferencePrompts(
            generators=tuple(kept.generators),
            n=counts.n[rows],
            n_correct=counts.n_correct[rows],
            output_tokens=tokens[rows],
            coordinates=coordinates[rows],
        ),
        curves=curves.take(rows),
        deployed=allowed,
        features=features,
        predictor=predictor,
        prompt_token_fit=_token_fit(kept),
        training=training,
        trained=_trained_hashes(kept.prompts),
        adaptive=None if stopping is None else stopping.table.take(rows),
        rivals={}
        if stopping is None
        else {name: rival.take(rows) for name, rival in stopping.rivals.items()},
    )


def _trained_hashes(prompts: Sequence[Prompt]) -> NDArray[np.uint64]:
    """Return what tells a prompt that was trained on: ids, groups and texts."""
    hashes = [prompt_hash(name) for prompt in prompts for name in (prompt.id, prompt.group)]
    hashes += [text for text in map(content_hash, prompts) if text is not None]
    return np.unique(np.array(hashes, dtype=np.uint64))


def _token_fit(log: SampleLog) -> dict[str, tuple[float, float]]:
    """Fit prompt tokens against characters, per generator, by least squares; absent where not recorded."""
    fits = {}
    characters = np.array([np.nan if p.content is None else len(p.content) for p in log.prompts])
    for name in log.generators:
        tokens = log.pool(name).prompt_tokens
        known = ~np.isnan(tokens) & ~np.isnan(characters)
        if known.sum() >= 2:
            design = np.column_stack([np.ones(known.sum()), characters[known]])
            intercept, slope = np.linalg.lstsq(design, tokens[known], rcond=None)[0]
            fits[name] = (float(intercept), float(slope))
    return fits


def _verdict(tuned: Tuned) -> dict[str, Any]:
    return {
        "deployed": "learned" if tuned.deployed else "static",
        "gain_over_static": round(tuned.gain, 5),
        "gain_interval": [round(end, 5) for end in tuned.gain_interval],
        "optimism": round(tuned.optimism, 5),
    }


def _placebo(
    crossfit: CrossFit, tuned: Tuned, allowed: NDArray[np.bool_], curves: CurveTable, seed: int
) -> dict[str, Any]:
    """Replay the deployed policy with coordinates dealt to the wrong prompts: it must show no gain."""
    order = np.random.default_rng(seed).permutation(len(crossfit.coordinates))
    shuffled = replace(crossfit, coordinates=crossfit.coordinates[order])
    scorer = Scorer(shuffled, curves.allocations)
    gains = scorer.gain(
        shuffled.replay(tuned.policy, allowed), bootstrap_weights(len(order), n_replicates=2000, seed=seed)
    )
    return {
        "gain_over_static": round(float(gains[0]), 5),
        "gain_interval": [round(end, 5) for end in interval(gains[1:])],
    }
