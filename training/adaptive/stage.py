"""The adaptive stage of training: the adaptive policy, its ablations and its rivals, all on the same prompts.

It assumes out-of-fold coordinates and the folds that made them. Logs without single samples (counts only)
or with fewer than four per prompt have nothing to react to, and units that are not a sum over samples cannot
be replayed: there is no adaptive policy then. Searching ladders and rules is left to `training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.standardised import standardised
from difficulty.log.sample_log import SampleLog
from policies.adaptive.policy import AdaptivePolicy
from policies.adaptive.table import AdaptiveTable
from policies.cost.cost_model import CostModel
from policies.ladder.ladder import Ladder
from policies.plan.objective import Objective
from policies.replay.pools import ADDITIVE_UNITS, ReplayPool, replay_pools
from policies.replay.trajectories import Trajectories, replay, score_rule
from policies.solver.hull import upper_hull
from policies.solver.prices import price_grid
from policies.verifier.learned_verifier import LearnedScorer
from training.adaptive.cost_belief import fit_cost_belief
from training.adaptive.fit import Search, fit_adaptive
from training.adaptive.proposals import Settings, default_ladders
from training.adaptive.rivals import fit_rivals

__all__ = ["ABLATIONS", "Stopping", "fit_stopping", "replay_course", "stopping_prices"]

FloatArray: TypeAlias = NDArray[np.float64]

_LEAST_SAMPLES: Final = 4
_N_PRICES: Final = 20
# What has been drawn picks out prompts that gain several times what all gain on average, and mixtures of
# generators go on gaining where a single one has reached its plateau.
_ABOVE_STEEPEST: Final = 4.0
_BELOW_FLATTEST: Final = 8.0
_NEXT_TO_NOTHING: Final = 100.0

# Policies fitted like the adaptive one with one of its parts switched off, by name in evaluations.
ABLATIONS: Final[Mapping[str, Callable[[Settings], Settings]]] = {
    "adaptive, no prior": lambda settings: replace(settings, prior=False),
    "adaptive, no escalation": lambda settings: replace(settings, escalation=False),
    "adaptive, no futility": lambda settings: replace(settings, futility=False),
    "adaptive, no routing": lambda settings: replace(settings, max_options=1),
}


class Stopping(NamedTuple):
    """What the stage found.

    Attributes
    ----------
    table : AdaptiveTable
        The adaptive policy with its out-of-fold value and cost.
    rivals : dict of str to AdaptivePolicy
        Tuned rivals, and ablations where they were asked for.
    """

    table: AdaptiveTable
    rivals: dict[str, AdaptivePolicy]


def fit_stopping(
    log: SampleLog,
    model: CostModel,
    *,
    coordinates: FloatArray,
    folds: NDArray[np.intp],
    prices: FloatArray,
    objective: Objective,
    seed: int,
    settings: Settings | None = None,
    generators: Sequence[str] | None = None,
    ablations: bool = False,
    search: Search | None = None,
    judges: Mapping[str, LearnedScorer] | None = None,
) -> Stopping | None:
    """Fit the adaptive policy and its rivals on the prompts of a log.

    Parameters
    ----------
    log : SampleLog
        T training prompts.
    model : CostModel
        Prices samples.
    coordinates : ndarray of float64, shape (T, 1 + D)
        Out-of-fold coordinates.
    folds : ndarray of intp, shape (T,)
        The folds that made them.
    prices : ndarray of float64, shape (L,)
        Falling prices above 0.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    seed : int
        Seed of the random orders.
    settings : Settings, optional
        How to search.
    generators : sequence of str, optional
        Those whose samples can be priced; all by default.
    ablations : bool
        Also fit the policies of `ABLATIONS`; one that would change nothing, because no ladder changes the
        generator or no coordinate varies, is left out.
    search : Search, optional
        Trials of Optuna; none by default. Ablations are searched as long, and not stored.
    judges : mapping of str to LearnedScorer, optional
        Cross-fitted learned verifiers by generator, rows as in the log; ladders may then vote by them.

    Returns
    -------
    Stopping or None
        None where there is nothing to react to.
    """
    if model.unit not in ADDITIVE_UNITS:
        return None
    recorded = replay_pools(log, model, generators=generators, judges=judges)
    pools = {name: item for name, item in recorded.items() if _usable(item, objective)}
    if not pools:
        return None
    difficulty = standardised(coordinates, coordinates)
    settings = Settings(seed=seed) if settings is None else settings
    fit = fit_adaptive(
        pools,
        difficulty=difficulty,
        folds=folds,
        prices=prices,
        objective=objective,
        settings=settings,
        search=search,
    )
    shape = (len(log.prompts), len(prices))
    value, cost, deviation = (np.full(shape, np.nan) for _ in range(3))
    value[fit.prompts], cost[fit.prompts], deviation[fit.prompts] = fit.value, fit.cost, fit.cost_deviation
    groups = np.array(log.near_duplicates().groups)
    table = AdaptiveTable(
        policy=fit.policy,
        value=value,
        cost=cost,
        cost_deviation=deviation,
        cost_belief=fit_cost_belief(coordinates, cost, groups=groups, seed=seed),
    )
    rivals = {}
    if objective == "accuracy":
        rivals = fit_rivals(pools, difficulty=difficulty, prices=prices, objective=objective, seed=seed)
    for name, switch_off in ABLATIONS.items() if ablations else ():
        without = switch_off(settings)
        if _bites(without, pools, difficulty, objective):
            rivals[name] = fit_adaptive(
                pools,
                difficulty=difficulty,
                folds=folds,
                prices=prices,
                objective=objective,
                settings=without,
                search=None if search is None else Search(n_trials=search.n_trials),
            ).policy
    return Stopping(table, rivals)


def stopping_prices(value: FloatArray, cost: FloatArray) -> FloatArray:
    """Return the falling prices of an adaptive policy, shape (L,): dense where decisions change.

    Parameters
    ----------
    value, cost : ndarray of float64, shape (A,)
        Mean value and cost of each static allocation.

    Notes
    -----
    The first price buys the cheapest allocation only, the last (almost) all that is worth anything. Between
    them they are spaced evenly in their logarithm, from some times the steepest slope of the static hull to a
    part of its flattest, with one more between every two neighbouring slopes: a vertex that no price chooses
    would be missing from the frontier.

    Examples
    --------
    >>> prices = stopping_prices(np.array([0.2, 0.4, 0.5]), np.array([1.0, 2.0, 4.0]))
    >>> len(prices), bool(prices[0] > 1.0), bool(prices[-1] < 0.001)
    (23, True, True)
    """
    hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    hull = hull[np.argsort(cost[hull], kind="stable")]
    slopes = np.diff(value[hull]) / np.diff(cost[hull])
    wide = price_grid(value, cost, n_prices=_N_PRICES)[1:]
    if not len(slopes):
        return wide
    inner = np.geomspace(_ABOVE_STEEPEST * slopes[0], slopes[-1] / _BELOW_FLATTEST, _N_PRICES)
    between = np.sqrt(slopes[:-1] * slopes[1:])
    ends = [max(wide[0], 2 * inner[0]), inner[-1] / _NEXT_TO_NOTHING]
    return np.unique(np.concatenate([ends, inner, between]))[::-1]


def replay_course(
    policy: AdaptivePolicy,
    pools: Mapping[str, ReplayPool],
    *,
    difficulty: FloatArray,
    objective: Objective,
    references: FloatArray,
    n_orders: int = 16,
    seed: int = 0,
) -> tuple[NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
    """Replay a policy at each of its prices on recorded prompts.

    Parameters
    ----------
    policy : AdaptivePolicy
        Of L prices.
    pools : mapping of str to ReplayPool
        Recorded samples of the prompts.
    difficulty : ndarray of float64, shape (P, V)
        Standardised coordinates of the prompts.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    references : ndarray of float64, shape (T, V)
        Standardised coordinates of the reference prompts, by which prompts are routed.
    n_orders, seed : int
        Random orders of each prompt's samples.

    Returns
    -------
    tuple
        Rows that could be replayed, shape (P,); then value, cost and rounds per prompt, each of shape (P, L)
        and each a mean over random orders.
    """
    found: dict[Ladder, Trajectories] = {}
    for move in policy.moves:
        if move.ladder not in found:
            found[move.ladder] = replay(
                pools,
                move.ladder,
                scales=policy.scales,
                difficulty=difficulty,
                objective=objective,
                n_orders=n_orders,
                seed=seed,
            )
    rows = next(iter(found.values())).prompts
    for item in found.values():
        rows = np.intersect1d(rows, item.prompts)
    taken = policy.route(difficulty[rows], references)
    value, cost, rounds = np.empty((3, len(rows), len(policy.prices)))
    for level, price in enumerate(policy.prices):
        for index in np.unique(taken[:, level]):
            move = policy.moves[index]
            item = found[move.ladder]
            replayed = score_rule(item, move.rule, price=float(price))
            here = np.flatnonzero(taken[:, level] == index)
            at = np.searchsorted(item.prompts, rows[here])
            value[here, level] = item.per_prompt(replayed.value)[at]
            cost[here, level] = item.per_prompt(replayed.cost)[at]
            rounds[here, level] = item.per_prompt(replayed.waves.astype(np.float64))[at]
    return rows, value, cost, rounds


def _usable(item: ReplayPool, objective: Objective) -> bool:
    """Return whether enough single samples are recorded, with answers where a vote decides."""
    pool = item.pool
    n = (pool.correct >= 0).sum(axis=1)
    if bool(pool.counts_only.any()) and objective == "accuracy":
        return False
    votes = objective == "coverage" or bool((pool.answer >= 0).any())
    return votes and float(np.quantile(n, 0.1)) >= _LEAST_SAMPLES


def _bites(
    settings: Settings, pools: Mapping[str, ReplayPool], difficulty: FloatArray, objective: Objective
) -> bool:
    """Return whether switching a part off can change anything on these prompts."""
    if not settings.prior:
        return bool(difficulty.shape[1])
    if settings.max_options == 1:
        return bool(difficulty.shape[1]) and objective == "accuracy"
    if not settings.escalation:
        ladders = default_ladders(pools, objective, replace(settings, escalation=True))
        return any(len(ladder.generators) > 1 for ladder in ladders)
    return True
