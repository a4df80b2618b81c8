"""Tune the policy's parameters with Optuna on cross-fitted replay, and decide whether it beats static at all.

The score of a trial is the mean gain in value over the best static mix at equal cost, over budgets spaced
evenly in log cost; what is deployed is the mean of the best few trials. The decision uses nested selection
(each fold is scored with the trials that were best on the *other* folds), so that luck among many trials is
not mistaken for a better policy. Sampling and storage are left to Optuna.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import STATIC, PolicyMixture, PolicySpec
from difficulty.errors import InvalidInputError, require
from policies.course.allocation import Allocation
from policies.solver.hull import upper_hull
from training.frontier import Frontier, bootstrap_weights, interval
from training.menu.crossfit import CrossFit, Replay
from training.menu.storage import enqueue_missing, study_storage

if TYPE_CHECKING:
    import optuna

__all__ = ["MenuName", "Scorer", "SearchPoint", "Tuned", "menu_mask", "tune"]

FloatArray: TypeAlias = NDArray[np.float64]
MenuName: TypeAlias = Literal["all", "hull_generators", "votes"]

_MENUS: Final[tuple[MenuName, ...]] = ("all", "hull_generators", "votes")
_N_BUDGETS: Final = 12
# Two-sided level of the interval whose lower end must lie above the least gain for the bundle to leave the
# static fallback. Nested replay flatters policies that spread their choices by about that much: with
# coordinates dealt at random the mean gain was 0.0010 (100 prompts, 60 seeds) and 0.0007 (300 prompts), and 3
# of 120 were deployed when the lower end had to be above 0 only.
_DECISION_LEVEL: Final = 0.99
_LEAST_GAIN: Final = 1e-3
# The policy must not look worse than static at any budget by more than this many standard errors.
_WORST_BUDGET: Final = -1.0
_LEAST_ERROR: Final = 2e-3
_UNAFFORDABLE: Final = 2.0
_N_NESTED: Final = 60
# Trials drawn at random before the sampler learns from them.
_N_RANDOM: Final = 20
_SEED_STRIDE: Final = 1_000_003
# Members of the deployed mixture. On recorded logs eight to ten lost less at high budgets than the single
# best trial.
_N_MEMBERS: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPoint:
    """A point of the search space: the policy's parameters and the part of the menu that it may use."""

    spec: PolicySpec
    menu: MenuName = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """What tuning found.

    Parameters
    ----------
    policy : PolicyMixture
        The policy to deploy: the best trials' mean, or the static one where nothing was shown to beat it.
    menu : str
        The part of the menu that it may use.
    gain : float
        Mean gain in value over static under nested selection.
    gain_interval : tuple of float
        Its 95 % interval (paired bootstrap over prompts).
    optimism : float
        Inner score of the mixture minus `gain`: what selection alone seemed to earn.
    deployed : bool
        Whether the learned policy is deployed (True) or the static fallback (False).
    n_trials : int
        Completed trials, earlier and other workers' included.
    """

    policy: PolicyMixture
    menu: MenuName
    gain: float
    gain_interval: tuple[float, float]
    optimism: float
    deployed: bool
    n_trials: int


def tune(
    crossfit: CrossFit,
    allocations: Sequence[Allocation],
    *,
    n_trials: int,
    seed: int,
    storage: str | os.PathLike[str] | None = None,
    study_name: str = "policy",
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Search the policy's parameters.

    Parameters
    ----------
    crossfit : CrossFit
        Training prompts.
    allocations : sequence of Allocation
        The A columns of `crossfit`.
    n_trials : int
        Trials in total; a resumed study runs only the missing ones. At least 1.
    seed : int
        Seed of the sampler and of the bootstrap.
    storage : str or path, optional
        A journal file, or any Optuna RDB URL (``sqlite:///...``, ``postgresql://...``): makes the study
        resumable, and several workers can share it.
    study_name : str
        Name of the study in the storage; studies of other data need other names.
    progress : callable, optional
        Called with (completed, total) after each trial.

    Raises
    ------
    InvalidInputError
        When `n_trials` is below 1, or the storage is none (`training.menu.storage`).
    MissingDependencyError
        When optuna is not installed.
    """
    if n_trials < 1:
        raise InvalidInputError(f"n_trials must be at least 1, got {n_trials}")
    scorer = Scorer(crossfit, allocations)
    study = _run_study(
        scorer, n_trials=n_trials, seed=seed, storage=storage, study_name=study_name, progress=progress
    )
    finished = [trial for trial in study.trials if trial.value is not None]
    ranked = sorted(finished, key=lambda trial: (-float(trial.value or 0.0), trial.number))
    candidates = list(dict.fromkeys(_candidate(trial.params) for trial in ranked))[:_N_NESTED]
    scores = np.array([scorer.score(candidate) for candidate in candidates])
    best, menu = _mixture(candidates, scores)
    weights = bootstrap_weights(len(crossfit.value), n_replicates=2000, seed=seed)
    per_budget = scorer.gains(_nested(scorer, candidates), weights)
    gains = per_budget.mean(axis=1)
    low, _ = interval(gains[1:], level=_DECISION_LEVEL)
    error = np.maximum(per_budget[1:].std(axis=0), _LEAST_ERROR)
    deployed = (
        best.family != "static"
        and bool(low > _LEAST_GAIN)
        and bool((per_budget[0] / error).min() > _WORST_BUDGET)
    )
    inner = float(scorer.gain(scorer.replay(best, menu), weights[:1])[0])
    return Tuned(
        policy=best if deployed else STATIC,
        menu=menu if deployed else "all",
        gain=float(gains[0]),
        gain_interval=interval(gains[1:]),
        optimism=float(inner - gains[0]),
        deployed=deployed,
        n_trials=len(finished),
    )


def _mixture(candidates: Sequence[SearchPoint], scores: FloatArray) -> tuple[PolicyMixture, MenuName]:
    """Return the mean of the best candidates that beat static, and the menu that most of them use."""
    order = np.argsort(-scores, kind="stable")[:_N_MEMBERS]
    kept = [candidates[index] for index in order if scores[index] > 0] or [SearchPoint(spec=PolicySpec())]
    menus = [candidate.menu for candidate in kept]
    return PolicyMixture(members=tuple(c.spec for c in kept)), max(dict.fromkeys(menus), key=menus.count)


class Scorer:
    """Score candidates against the cross-fitted static mix on the same prompts."""

    def __init__(self, crossfit: CrossFit, allocations: Sequence[Allocation]) -> None:
        self.crossfit = crossfit
        self._masks = {menu: menu_mask(menu, crossfit.value, crossfit.cost, allocations) for menu in _MENUS}
        self.static = crossfit.replay(PolicySpec())
        frontier = Frontier.of(
            self.static.cost,
            self.static.value,
            bootstrap_weights(len(crossfit.value), n_replicates=0, seed=0),
        )
        # Budgets end where the static frontier reaches its plateau: beyond it nobody needs a policy.
        plateau = float(frontier.cost[0, frontier.value[0].argmax()])
        self.budgets = np.geomspace(
            frontier.cost[0, 0], max(plateau, frontier.cost[0, 0] * 1.0001), _N_BUDGETS
        )

    def replay(
        self, policy: PolicySpec | PolicyMixture, menu: MenuName, *, fold: int | None = None
    ) -> Replay:
        return self.crossfit.replay(policy, self._masks[menu], fold=fold)

    def gain(self, replay: Replay, weights: FloatArray) -> FloatArray:
        """Return the gain over static at equal cost, averaged over budgets, shape (R,)."""
        return np.asarray(self.gains(replay, weights).mean(axis=1))

    def gains(self, replay: Replay, weights: FloatArray) -> FloatArray:
        """Return the gain over static at equal cost at each budget, shape (R, budgets)."""
        ours = Frontier.of(replay.cost, replay.value, weights)
        static = Frontier.of(self.static.cost, self.static.value, weights)
        gains = []
        for budget in self.budgets:
            # The cheapest static allocation costs a little more or less in each replicate: that is then the
            # budget.
            spend = np.maximum(budget, static.cost[:, 0])
            gain = ours.value_at(np.maximum(spend, ours.cost[:, 0])) - static.value_at(spend)
            # What cannot be bought at this budget is a loss in proportion, never a gain.
            gains.append(gain - _UNAFFORDABLE * np.maximum(ours.cost[:, 0] / spend - 1, 0))
        return np.stack(gains, axis=1)

    def score(self, candidate: SearchPoint) -> float:
        n = len(self.crossfit.value)
        replay = self.replay(candidate.spec, candidate.menu)
        return float(self.gain(replay, np.full((1, n), 1 / n))[0])


def menu_mask(
    menu: MenuName, value: FloatArray, cost: FloatArray, allocations: Sequence[Allocation]
) -> NDArray[np.bool_]:
    """Return which allocations a menu allows, shape (A,).

    ``"hull_generators"`` keeps the generators that appear on the static hull, a guard against the winner's
    curse over many noisy generators; ``"votes"`` leaves out selection by a score.
    """
    if menu == "votes":
        mask = np.array([a.traits.needs_samples_only for a in allocations])
        return mask if mask.any() else np.ones(len(allocations), dtype=bool)
    if menu == "hull_generators":
        on_hull = upper_hull(value.mean(axis=0)[None], cost.mean(axis=0)[None])[0]
        kept = {allocation.generator for allocation, keep in zip(allocations, on_hull, strict=True) if keep}
        return np.array([allocation.generator in kept for allocation in allocations])
    return np.ones(len(allocations), dtype=bool)


def _nested(scorer: Scorer, candidates: Sequence[SearchPoint]) -> Replay:
    """Replay each fold with the mixture of what scores best on the other folds."""
    folds = scorer.crossfit.folds
    names = np.unique(folds)
    outside = np.stack([(folds != fold) / (folds != fold).sum() for fold in names])
    scores = np.stack([scorer.gain(scorer.replay(c.spec, c.menu), outside) for c in candidates])
    parts = []
    for column, fold in enumerate(names):
        policy, menu = _mixture(candidates, scores[:, column])
        parts.append(scorer.replay(policy, menu, fold=int(fold)))
    cost, value = (np.nansum([part[index] for part in parts], axis=0) for index in (0, 1))
    return Replay(cost, value)


def _run_study(
    scorer: Scorer,
    *,
    n_trials: int,
    seed: int,
    storage: str | os.PathLike[str] | None,
    study_name: str,
    progress: Callable[[int, int], None] | None,
) -> optuna.Study:
    """Run the trials that are missing, and return the study with all of them."""
    library = require("optuna", extra="train")
    verbosity = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        study: optuna.Study = library.create_study(
            direction="maximize", study_name=study_name, storage=study_storage(storage), load_if_exists=True
        )
        enqueue_missing(study, _FIRST_TRIALS)

        def objective(trial: optuna.Trial) -> float:
            # Seeded by the trial's number: a resumed study goes on as if it had never stopped, and several
            # workers do not draw the same points.
            study.sampler = library.samplers.TPESampler(
                seed=seed * _SEED_STRIDE + trial.number, n_startup_trials=_N_RANDOM
            )
            return scorer.score(_candidate(_suggest(trial)))

        def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            if progress is not None:
                progress(trial.number + 1, n_trials)

        done = sum(trial.state.is_finished() for trial in study.trials)
        study.optimize(objective, n_trials=max(n_trials - done, 0), callbacks=[report])
        return study
    finally:
        library.logging.set_verbosity(verbosity)


# The static mix first, then what worked on real logs: known points before the sampler guesses.
_FIRST_TRIALS: Final[tuple[dict[str, object], ...]] = (
    {"family": "static"},
    {
        "family": "kernel",
        "level_bandwidth": 0.5,
        "deviation_bandwidth": 30.0,
        "floor": 0.03,
        "shrinkage": 0.0,
        "menu": "all",
    },
    {
        "family": "kernel",
        "level_bandwidth": 0.5,
        "deviation_bandwidth": 0.7,
        "floor": 0.03,
        "shrinkage": 0.0,
        "menu": "all",
    },
    {
        "family": "kernel",
        "level_bandwidth": 0.7,
        "deviation_bandwidth": 2.0,
        "floor": 0.1,
        "shrinkage": 0.2,
        "menu": "hull_generators",
    },
    {"family": "bins", "n_bins": 5, "shrinkage": 0.0, "menu": "all"},
)


def _suggest(trial: optuna.Trial) -> dict[str, object]:
    """Draw a point; every parameter's range holds its "off" value."""
    family = trial.suggest_categorical("family", ["static", "bins", "kernel"])
    if family == "static":
        return {"family": family}
    drawn: dict[str, object] = {
        "family": family,
        "menu": trial.suggest_categorical("menu", list(_MENUS)),
        "shrinkage": trial.suggest_float("shrinkage", 0.0, 0.8),
    }
    if family == "bins":
        drawn["n_bins"] = trial.suggest_int("n_bins", 2, 8)
    else:
        drawn["level_bandwidth"] = trial.suggest_float("level_bandwidth", 0.1, 3.0, log=True)
        drawn["deviation_bandwidth"] = trial.suggest_float("deviation_bandwidth", 0.2, 30.0, log=True)
        drawn["floor"] = trial.suggest_float("floor", 1e-3, 0.5, log=True)
    return drawn


def _candidate(params: dict[str, object]) -> SearchPoint:
    """Turn a trial's parameters into a candidate."""
    spec = {key: value for key, value in params.items() if key != "menu"}
    return SearchPoint(spec=PolicySpec(**spec), menu=params.get("menu", "all"))  # type: ignore[arg-type]
