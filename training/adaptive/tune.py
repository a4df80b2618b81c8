"""Tune recipes of adaptive plans with Optuna on cross-fitted replay: routes, vote weights, waves and rules.

A trial is one recipe with one learned rule. Its score is what it adds to the best static allocation, value
after cost, on average over log-spaced prices; gains within the noise do not count. The best few trials become
candidates beside those that training starts from, and `training.adaptive.fit` takes them only where they are
clearly better. Sampling and storage are left to Optuna.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import require
from policies.ladder.value_rule import JUDGED
from training.adaptive.candidates import Bench, Contender
from training.adaptive.recipes import Facts, Recipe, Route
from training.menu.storage import enqueue_missing, study_storage

if TYPE_CHECKING:
    import optuna

__all__ = ["tune_recipes", "worth_over"]

FloatArray: TypeAlias = NDArray[np.float64]

# Trials whose candidates are kept. Each is a chance for luck, and the last ones add next to nothing.
_N_KEPT: Final = 8
_N_RANDOM: Final = 10
_SEED_STRIDE: Final = 1_000_003
_MAX_CHEAP: Final = 4
# The least sharpness that is drawn. The bound itself stands for 0, which has no place on a logarithmic scale.
_LEAST_SHARPNESS: Final = 0.1


def tune_recipes(
    bench: Bench,
    facts: Facts,
    routes: Sequence[Route],
    *,
    reference: FloatArray,
    first: Recipe,
    n_trials: int,
    seed: int,
    storage: str | os.PathLike[str] | None = None,
    study_name: str = "stopping",
    progress: Callable[[int, int], None] | None = None,
) -> list[Contender]:
    """Search recipes, and return the candidates of the best trials, best first.

    Parameters
    ----------
    bench : Bench
        P training prompts.
    facts : Facts
        Of the generators of all routes.
    routes : sequence of Route
        Whose samples ladders may draw; at least one.
    reference : ndarray of float64, shape (P, L)
        Value after cost of the best static allocation at each price.
    first : Recipe
        Tried before the sampler guesses.
    n_trials : int
        Trials in total, earlier ones of a resumed study included; stored ones that ask learned verifiers
        which are missing now are left out of what is returned.
    seed : int
        Seed of the sampler.
    storage : str or path, optional
        As in `training.menu.tuning.tune`.
    study_name : str
        Name of the study in the storage; studies of other data need other names.
    progress : callable, optional
        Called with (completed, total) after each trial.

    Raises
    ------
    MissingDependencyError
        When optuna is not installed.
    """
    library = require("optuna", extra="train")
    known: dict[tuple[object, ...], Contender] = {}

    def candidate(params: Mapping[str, Any]) -> Contender:
        recipe, features, ridge = _recipe(params, routes)
        key = (recipe, features, ridge)
        if key not in known:
            runs = bench.replay(recipe.ladder(facts, max_samples=bench.settings.max_samples))
            known[key] = bench.learned(runs, features=features, ridge=ridge)
        return known[key]

    def objective(trial: optuna.Trial) -> float:
        # Seeded by the trial's number, as in `training.menu.tuning`.
        study.sampler = library.samplers.TPESampler(
            seed=seed * _SEED_STRIDE + trial.number, n_startup_trials=_N_RANDOM
        )
        found = candidate(_suggest(trial, routes, facts))
        return worth_over(reference, found, bench.prices, caution=bench.settings.caution)

    def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if progress is not None:
            progress(trial.number + 1, n_trials)

    verbosity = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        study: optuna.Study = library.create_study(
            direction="maximize",
            study_name=study_name,
            storage=study_storage(storage),
            load_if_exists=True,
        )
        enqueue_missing(
            study, [_params(first, routes, facts, bench.settings.features[-1], bench.settings.ridge)]
        )
        done = sum(trial.state.is_finished() for trial in study.trials)
        study.optimize(objective, n_trials=max(n_trials - done, 0), callbacks=[report])
    finally:
        library.logging.set_verbosity(verbosity)
    finished = [
        trial
        for trial in study.trials
        if trial.value is not None and trial.value > 0 and _offered(trial.params, routes, facts)
    ]
    ranked = sorted(finished, key=lambda trial: (-float(trial.value or 0.0), trial.number))
    best = list({_recipe(trial.params, routes): trial.params for trial in reversed(ranked)}.values())[::-1]
    return [candidate(params) for params in best[:_N_KEPT]]


def worth_over(reference: FloatArray, candidate: Contender, prices: FloatArray, *, caution: float) -> float:
    """Return what a candidate adds to a reference: value after cost, mean over prices of what is sure.

    Parameters
    ----------
    reference : ndarray of float64, shape (P, L)
        Value after cost.
    candidate : Contender
        On the same prompts.
    prices : ndarray of float64, shape (L,)
        Prices.
    caution : float
        Standard errors to take off.
    """
    difference = candidate.value - prices * candidate.cost - reference
    error = difference.std(axis=0) / np.sqrt(len(difference))
    return float(np.maximum(difference.mean(axis=0) - caution * error, 0.0).mean())


def _suggest(trial: optuna.Trial, routes: Sequence[Route], facts: Facts) -> dict[str, Any]:
    """Draw a point; numbers that a route does not have are not drawn."""
    drawn: dict[str, Any] = {"route": trial.suggest_int("route", 0, len(routes) - 1)}
    route = routes[drawn["route"]]
    judged = route.judged(facts) and trial.suggest_categorical("judged", [False, True])
    if judged:
        drawn["features"] = JUDGED
        drawn["chance_weight"] = trial.suggest_float("chance_weight", 0.5, 16.0, log=True)
    else:
        drawn["features"] = trial.suggest_categorical("features", ["agreement", "difficulty", "full"])
    drawn["ridge"] = trial.suggest_float("ridge", 5e-3, 0.5, log=True)
    drawn["singles"] = trial.suggest_int("singles", 2, 6)
    drawn["growth"] = trial.suggest_float("growth", 1.2, 2.0)
    if not judged and facts.logprob_sd.get(route.strong, 0.0) > 0:
        drawn["sharpness"] = trial.suggest_float("sharpness", _LEAST_SHARPNESS, 10.0, log=True)
    if route.starts:
        drawn["cheap_samples"] = trial.suggest_int("cheap_samples", 1, _MAX_CHEAP)
        if facts.pooled:
            drawn["cheap_weight"] = trial.suggest_float("cheap_weight", 0.1, 3.0, log=True)
    if route.partner:
        drawn["partner_after"] = trial.suggest_int("partner_after", 1, 8)
        drawn["partner_weight"] = trial.suggest_float("partner_weight", 0.3, 1.5, log=True)
    return drawn


def _recipe(params: Mapping[str, Any], routes: Sequence[Route]) -> tuple[Recipe, str, float]:
    """Turn a trial's parameters into a recipe, a feature set and a penalty."""
    ours = ("route", "judged", "features", "ridge")
    numbers = {key: value for key, value in params.items() if key not in ours}
    if numbers.get("sharpness", np.inf) <= _LEAST_SHARPNESS:
        numbers["sharpness"] = 0.0
    recipe = replace(Recipe(route=routes[int(params["route"])]), **numbers)
    return recipe, str(params.get("features", JUDGED)), float(params["ridge"])


def _params(
    recipe: Recipe, routes: Sequence[Route], facts: Facts, features: str, ridge: float
) -> dict[str, Any]:
    """Return the trial that stands for a recipe: what `_suggest` draws for its route, in its numbers."""
    route, judged = recipe.route, recipe.chance_weight > 0
    params: dict[str, Any] = {"route": routes.index(route), "ridge": ridge}
    params |= {"singles": recipe.singles, "growth": recipe.growth}
    if route.judged(facts):
        params["judged"] = judged
    if judged:
        params["chance_weight"] = recipe.chance_weight
    else:
        params["features"] = features
    if not judged and facts.logprob_sd.get(route.strong, 0.0) > 0:
        params["sharpness"] = max(recipe.sharpness, _LEAST_SHARPNESS)
    if route.starts:
        params["cheap_samples"] = recipe.cheap_samples
        if facts.pooled:
            params["cheap_weight"] = recipe.cheap_weight
    if route.partner:
        params |= {"partner_after": recipe.partner_after, "partner_weight": recipe.partner_weight}
    return params


def _offered(params: Mapping[str, Any], routes: Sequence[Route], facts: Facts) -> bool:
    """Return whether a stored trial can be replayed: its route is there, and judged where it was."""
    place = int(params["route"])
    return place < len(routes) and (not params.get("judged", False) or routes[place].judged(facts))
