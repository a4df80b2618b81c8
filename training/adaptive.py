"""Choose ladders and rules for an adaptive policy, price by price, on cross-fitted replay.

Candidates are the static allocations, known stop rules and learned rules, each on several ladders; every
prompt is scored by rules that were fitted on other folds, and at each price the candidate with the most value
after cost is taken. Static allocations are the default: another candidate must beat them by more than noise.
The result is a table from price to (ladder, rule); evaluation on untouched prompts is left to `training.lab`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive_policy import AdaptivePolicy, Move
from policies.adaptive_replay import (
    Objective,
    ReplayPool,
    StopRule,
    Trajectories,
    replay,
    sample_scales,
    score_rule,
)
from policies.ladder import Ladder, SampleScale, Wave
from policies.stop_rules import AdaptiveConsistency, Always, FairCap, FirstSuccess, Unanimous
from policies.value_rule import ValueRule, feature_matrix, probably_wrong
from training.fit_stopping import fit_value_rule
from training.ladders import Settings, default_ladders

__all__ = ["AdaptiveFit", "fit_adaptive", "score_at_prices"]

FloatArray: TypeAlias = NDArray[np.float64]

# Tried on every ladder of one generator, so that the policy contains them: near the plateau they waste least.
_BASELINES: tuple[StopRule, ...] = (
    *(AdaptiveConsistency(threshold=threshold) for threshold in (0.8, 0.9, 0.95, 0.98, 0.995)),
    *(Unanimous(window=window) for window in (3, 5)),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AdaptiveFit:
    """What fitting found.

    Parameters
    ----------
    policy : AdaptivePolicy
        What to deploy.
    prompts : ndarray of intp, shape (P,)
        Training prompts that all candidates could be replayed on.
    value, cost : ndarray of float64, shape (P, L)
        Out-of-fold value and cost of the chosen candidate at each price, means over the random orders.
    cost_deviation : ndarray of float64, shape (P, L)
        Standard deviation of the cost over the random orders: how much one run differs from its mean.
    names : tuple of str
        The candidate chosen at each price, in words.
    """

    policy: AdaptivePolicy
    prompts: NDArray[np.intp]
    value: FloatArray
    cost: FloatArray
    cost_deviation: FloatArray
    names: tuple[str, ...]


def fit_adaptive(
    pools: Mapping[str, ReplayPool],
    *,
    difficulty: FloatArray,
    folds: NDArray[np.intp],
    prices: FloatArray,
    ladders: Sequence[Ladder] | None = None,
    objective: Objective = "accuracy",
    rules: Sequence[StopRule] = (),
    settings: Settings | None = None,
) -> AdaptiveFit:
    """Fit an adaptive policy on recorded samples.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        Training prompts.
    difficulty : ndarray of float64, shape (P, D)
        Out-of-fold coordinates, standardised; D may be 0.
    folds : ndarray of intp, shape (P,)
        Folds of the cross-fit; the groups of near-duplicates must not be cut.
    prices : ndarray of float64, shape (L,)
        Falling prices, each above 0.
    ladders : sequence of Ladder, optional
        Candidates; proposed from the data by default.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    rules : sequence of StopRule
        Known rules with fixed parameters, tried on every ladder beside the learned ones.
    settings : Settings, optional
        How to search.
    """
    settings = Settings() if settings is None else settings
    scales = sample_scales(pools)
    if not settings.prior:
        # Coordinates that never vary get coefficients of 0, so the rules still fit prompts that have them.
        difficulty = np.zeros_like(difficulty)
    if ladders is None:
        ladders = default_ladders(pools, objective, settings)
    replays = [
        replay(
            pools,
            ladder,
            scales=scales,
            difficulty=difficulty,
            objective=objective,
            n_orders=settings.n_orders(len(difficulty)),
            seed=settings.seed,
        )
        for ladder in ladders
    ]
    prompts = replays[0].prompts
    for item in replays[1:]:
        prompts = np.intersect1d(prompts, item.prompts)
    candidates: list[_Candidate] = []
    for item in replays:
        rows = np.searchsorted(item.prompts, prompts)
        fold = folds[item.prompts]
        if len(item.ladder.generators) == 1:
            candidates += _static(item, rows, len(prices))
        if len(item.ladder.generators) == 1 and objective == "accuracy":
            candidates += [_known(item, rule, rows, prices) for rule in _BASELINES]
        candidates += [_known(item, rule, rows, prices) for rule in rules]
        if len(item.ladder) > 1:
            candidates += [
                _learned(item, fold, rows, prices, features=features, settings=settings)
                for features in settings.features
            ]
    return _choose(candidates, prompts, prices, scales, settings)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Candidate:
    """A ladder and a rule with what they earned out of fold: value, cost and mean squared cost, (P, L)."""

    name: str
    ladder: Ladder
    deploy: Callable[[], StopRule]
    value: FloatArray
    cost: FloatArray
    square: FloatArray
    static: bool = False


def _static(item: Trajectories, rows: NDArray[np.intp], n_prices: int) -> list[_Candidate]:
    """Return every prefix of one generator's ladder, drawn in one wave, as a candidate that never looks."""
    generator = item.ladder.generators[0]
    value, cost = item.per_prompt(item.value.T)[rows], item.per_prompt(item.cost.T)[rows]
    square = item.per_prompt(item.cost.T**2)[rows]
    found, drawn = [], 0
    for wave, step in enumerate(item.ladder.waves):
        drawn += step.n
        ladder = Ladder(
            waves=(Wave(generator=generator, n=drawn),),
            pooled=item.ladder.pooled,
            logprob_weight=item.ladder.logprob_weight,
        )
        found.append(
            _Candidate(
                name=f"{generator} x{drawn}",
                ladder=ladder,
                deploy=Always,
                value=np.repeat(value[:, [wave]], n_prices, axis=1),
                cost=np.repeat(cost[:, [wave]], n_prices, axis=1),
                square=np.repeat(square[:, [wave]], n_prices, axis=1),
                static=True,
            )
        )
    return found


def _known(item: Trajectories, rule: StopRule, rows: NDArray[np.intp], prices: FloatArray) -> _Candidate:
    # Only two of the known rules look at the price.
    asked = prices if isinstance(rule, FirstSuccess | FairCap) else prices[:1]
    results = [score_rule(item, rule, price=float(price)) for price in asked]
    results += results[-1:] * (len(prices) - len(results))
    return _Candidate(
        name=f"{rule} on {item.ladder}",
        ladder=item.ladder,
        deploy=lambda: rule,
        value=item.per_prompt(np.stack([result.value for result in results], axis=1))[rows],
        cost=item.per_prompt(np.stack([result.cost for result in results], axis=1))[rows],
        square=item.per_prompt(np.stack([result.cost**2 for result in results], axis=1))[rows],
    )


def _learned(
    item: Trajectories,
    fold: NDArray[np.intp],
    rows: NDArray[np.intp],
    prices: FloatArray,
    *,
    features: str,
    settings: Settings,
) -> _Candidate:
    """Fit on the other folds and score on each fold; fitting on all waits until it is chosen."""
    matrices = [feature_matrix(state, features) for state in item.evidence]
    fit = partial(
        fit_value_rule, item, prices, features=features, ridge=settings.ridge, futility=settings.futility
    )
    of_draw = np.repeat(fold, item.n_orders)
    value = np.zeros((item.value.shape[1], len(prices)))
    cost = np.zeros_like(value)
    for test in np.unique(fold):
        held = of_draw == test
        rule = fit(draws=~held, matrices=matrices)
        value[held], cost[held] = score_at_prices(item, rule, matrices=matrices, draws=held)
    return _Candidate(
        name=f"learned ({features}) on {item.ladder}",
        ladder=item.ladder,
        deploy=fit,
        value=item.per_prompt(value)[rows],
        cost=item.per_prompt(cost)[rows],
        square=item.per_prompt(cost**2)[rows],
    )


def score_at_prices(
    item: Trajectories, rule: ValueRule, *, matrices: Sequence[FloatArray], draws: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return value and cost of a learned rule at its own prices, each of shape (n, L) for n draws."""
    live = np.ones((int(draws.sum()), len(rule.prices)), dtype=bool)
    value = np.repeat(item.value[-1][draws][:, None], len(rule.prices), axis=1)
    cost = np.repeat(item.cost[-1][draws][:, None], len(rule.prices), axis=1)
    for wave in range(len(item.evidence) - 1):
        matrix = matrices[wave][draws]
        on = matrix @ (rule.gain[:, wave] - rule.prices[:, None] * rule.cost[:, wave]).T > 0
        if not rule.futility:
            on |= probably_wrong(matrix @ rule.accuracy[wave])[:, None]
        on &= (item.evidence[wave].n_correct == 0)[draws][:, None]
        ends = live & ~on
        np.copyto(value, item.value[wave][draws][:, None], where=ends)
        np.copyto(cost, item.cost[wave][draws][:, None], where=ends)
        live &= on
    return value, cost


def _choose(
    candidates: Sequence[_Candidate],
    prompts: NDArray[np.intp],
    prices: FloatArray,
    scales: Mapping[str, SampleScale],
    settings: Settings,
) -> AdaptiveFit:
    """Take the best candidate at each price; one that is not static must beat the best static one clearly."""
    worth = np.stack([item.value - prices * item.cost for item in candidates])
    mean = worth.mean(axis=1)
    static = np.array([item.static for item in candidates])
    pick = np.zeros(len(prices), dtype=int)
    for column in range(len(prices)):
        best_static = int(np.flatnonzero(static)[mean[static, column].argmax()])
        difference = worth[:, :, column] - worth[best_static, :, column]
        error = difference.std(axis=1) / np.sqrt(len(prompts))
        score = difference.mean(axis=1) - settings.caution * error
        best = int(score.argmax())
        pick[column] = best if score[best] > 0 else best_static
    kept = list(dict.fromkeys(pick.tolist()))
    policy = AdaptivePolicy(
        moves=tuple(Move(ladder=candidates[index].ladder, rule=candidates[index].deploy()) for index in kept),
        prices=prices,
        choice=np.array([kept.index(index) for index in pick]),
        scales=dict(scales),
    )
    columns = np.arange(len(prices))
    cost = np.stack([candidates[i].cost[:, c] for i, c in zip(pick, columns, strict=True)], axis=1)
    square = np.stack([candidates[i].square[:, c] for i, c in zip(pick, columns, strict=True)], axis=1)
    return AdaptiveFit(
        policy=policy,
        prompts=prompts,
        value=np.stack([candidates[i].value[:, c] for i, c in zip(pick, columns, strict=True)], axis=1),
        cost=cost,
        cost_deviation=np.sqrt(np.maximum(square - cost**2, 0.0)),
        names=tuple(candidates[index].name for index in pick),
    )
