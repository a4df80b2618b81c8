"""The adaptive stage of training: replay pools, the adaptive policy, and its rivals tuned on the same prompts.

It assumes out-of-fold coordinates and the folds that made them. Logs without single samples (counts only) or with fewer than four
per prompt have nothing to react to, and units that are not a sum over samples cannot be replayed: there is no adaptive
policy then. Searching ladders and rules is left to `training.adaptive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.sample_log import SampleLog
from policies.adaptive_policy import AdaptivePolicy, Move
from policies.adaptive_replay import ReplayPool, StopRule, Trajectories, replay, sample_scales, score_rule
from policies.adaptive_table import AdaptiveTable
from policies.cost import CostModel
from policies.ladder import Ladder, Wave
from policies.objective import Objective
from policies.stop_rules import AdaptiveConsistency, Always, OneProbe, Unanimous
from training.adaptive import fit_adaptive
from training.ladders import Settings

__all__ = ["RIVALS", "Stopping", "fit_stopping", "replay_course", "replay_pools", "standardised"]

FloatArray: TypeAlias = NDArray[np.float64]

_LEAST_SAMPLES: Final = 4
_RIVAL_WAVES: Final = 32
_RIVAL_DRAWS: Final = 4000
# Units in which the cost of a run is the sum of the costs of its samples and of sending its prompts.
_ADDITIVE: Final = ("samples", "output_tokens", "total_tokens", "flops", "usd", "joules")

# Published rules, each with the parameters that its authors would sweep; tuned on training prompts, price by price.
RIVALS: Final[Mapping[str, tuple[StopRule, ...]]] = {
    "Adaptive-Consistency, tuned": tuple(
        AdaptiveConsistency(threshold=threshold)
        for threshold in (0.55, 0.65, 0.75, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995)
    ),
    "ESC, tuned": tuple(Unanimous(window=window) for window in (1, 2, 3, 4, 5, 6, 8)),
    "one-probe (UAB), tuned": tuple(
        OneProbe(base=base, slope=slope, by=by)
        for base in (1.0, 1.5, 2.5, 4.0, 6.5, 10.0, 16.0)
        for slope in (0.0, 0.4, 0.8)
        for by in ("mean_logprob", "length")
    ),
}


class Stopping(NamedTuple):
    """What the stage found.

    Attributes
    ----------
    table : AdaptiveTable
        The adaptive policy with its out-of-fold value and cost.
    rivals : dict of str to AdaptivePolicy
        Tuned rivals.
    """

    table: AdaptiveTable
    rivals: dict[str, AdaptivePolicy]


def replay_pools(log: SampleLog, model: CostModel) -> dict[str, ReplayPool]:
    """Return the recorded samples of each generator with what each of them cost.

    A sample whose tokens were not recorded costs the mean of its prompt's (else the generator's) other samples.
    """
    pools = {}
    for name in log.generators:
        pool = log.pool(name)
        known = pool.correct >= 0
        tokens = np.where(known, pool.output_tokens, np.nan)
        mean = _row_mean(tokens)
        tokens = np.where(np.isnan(tokens), mean[:, None], tokens)
        prompt = np.where(np.isnan(pool.prompt_tokens), 0.0, pool.prompt_tokens)
        each = model.price_arrays(name, samples=1.0, output_tokens=np.nan_to_num(tokens))
        once = model.price_arrays(name, samples=0.0, prompt_tokens=prompt)
        pools[name] = ReplayPool(
            pool=pool, cost=np.where(known, each, np.nan), request_cost=np.asarray(once, dtype=np.float64)
        )
    return pools


def standardised(coordinates: FloatArray, references: FloatArray) -> FloatArray:
    """Return coordinates in standard deviations of the references', shape (P, D); no column where these are constant."""
    deviation = references.std(axis=0)
    varies = deviation > 1e-9
    return (coordinates[:, varies] - references.mean(axis=0)[varies]) / deviation[varies]


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

    Returns
    -------
    Stopping or None
        None where there is nothing to react to.
    """
    if model.unit not in _ADDITIVE:
        return None
    pools = {name: item for name, item in replay_pools(log, model).items() if _usable(item, objective)}
    if not pools:
        return None
    difficulty = standardised(coordinates, coordinates)
    settings = Settings(seed=seed) if settings is None else settings
    fit = fit_adaptive(
        pools, difficulty=difficulty, folds=folds, prices=prices, objective=objective, settings=settings
    )
    shape = (len(log.prompts), len(prices))
    value, cost, deviation = (np.full(shape, np.nan) for _ in range(3))
    value[fit.prompts], cost[fit.prompts], deviation[fit.prompts] = fit.value, fit.cost, fit.cost_deviation
    table = AdaptiveTable(policy=fit.policy, value=value, cost=cost, cost_deviation=deviation)
    rivals = _fit_rivals(pools, difficulty, prices, objective, settings) if objective == "accuracy" else {}
    return Stopping(table, rivals)


def replay_course(
    policy: AdaptivePolicy,
    pools: Mapping[str, ReplayPool],
    *,
    difficulty: FloatArray,
    objective: Objective,
    n_orders: int = 16,
    seed: int = 0,
) -> tuple[NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
    """Replay a policy at each of its prices on recorded prompts.

    Returns
    -------
    tuple
        Rows that could be replayed, shape (P,); then value, cost and rounds per prompt, each of shape (P, L) and each a
        mean over random orders.
    """
    results: dict[int, tuple[FloatArray, FloatArray, FloatArray]] = {}
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
    for level, price in enumerate(policy.prices):
        move = policy.moves[int(policy.choice[level])]
        item = found[move.ladder]
        replayed = score_rule(item, move.rule, price=float(price))
        at = np.searchsorted(item.prompts, rows)
        results[level] = (
            item.per_prompt(replayed.value)[at],
            item.per_prompt(replayed.cost)[at],
            item.per_prompt(replayed.waves.astype(np.float64))[at],
        )
    value, cost, rounds = (
        np.stack([results[level][part] for level in range(len(policy.prices))], axis=1) for part in range(3)
    )
    return rows, value, cost, rounds


def _usable(item: ReplayPool, objective: Objective) -> bool:
    """Return whether single samples are recorded, enough of them, with answers to vote on where a vote decides."""
    pool = item.pool
    n = (pool.correct >= 0).sum(axis=1)
    if bool(pool.counts_only.any()) and objective == "accuracy":
        return False
    votes = objective == "coverage" or bool((pool.answer >= 0).any())
    return votes and float(np.quantile(n, 0.1)) >= _LEAST_SAMPLES


def _fit_rivals(
    pools: Mapping[str, ReplayPool],
    difficulty: FloatArray,
    prices: FloatArray,
    objective: Objective,
    settings: Settings,
) -> dict[str, AdaptivePolicy]:
    """Return each rival with the generator and parameters that are best on the training prompts at each price."""
    scales = sample_scales(pools)
    trajectories = []
    for name, item in pools.items():
        n = (item.pool.correct >= 0).sum(axis=1)
        waves = min(int(np.quantile(n, 0.1, method="lower")), _RIVAL_WAVES)
        ladder = Ladder(waves=(Wave(generator=name, n=1),) * waves, logprob_weight=0.0)
        n_orders = min(max(_RIVAL_DRAWS // max(len(n), 1), 2), 16)
        trajectories.append(
            replay(
                pools,
                ladder,
                scales=scales,
                difficulty=difficulty,
                objective=objective,
                n_orders=n_orders,
                seed=settings.seed,
            )
        )
    return {name: _best_rules(trajectories, rules, prices, scales) for name, rules in RIVALS.items()}


def _best_rules(
    trajectories: Sequence[Trajectories],
    rules: Sequence[StopRule],
    prices: FloatArray,
    scales: Mapping[str, object],
) -> AdaptivePolicy:
    moves: list[Move] = []
    worth = []
    for item in trajectories:
        # One sample and stop is where every rule's frontier begins.
        single = Ladder(waves=item.ladder.waves[:1], logprob_weight=0.0)
        moves.append(Move(ladder=single, rule=Always()))
        worth.append(float(item.value[0].mean()) - prices * float(item.cost[0].mean()))
        for rule in rules:
            replayed = score_rule(item, rule)
            moves.append(Move(ladder=item.ladder, rule=rule))
            worth.append(float(replayed.value.mean()) - prices * float(replayed.cost.mean()))
    pick = np.stack(worth).argmax(axis=0)
    kept = list(dict.fromkeys(pick.tolist()))
    return AdaptivePolicy(
        moves=tuple(moves[index] for index in kept),
        prices=prices,
        choice=np.array([kept.index(index) for index in pick]),
        scales=dict(scales),  # type: ignore[arg-type]
    )


def _row_mean(values: FloatArray) -> FloatArray:
    """Return each row's mean without NaN; the mean of all where a row has none, shape (P,)."""
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(len(values))
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), float(values[known].mean())), where=count > 0)
