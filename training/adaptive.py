"""Choose ladders and rules for an adaptive policy, price by price, on cross-fitted replay.

Candidates are the static allocations, known stop rules and learned rules, each on several ladders; every
prompt is scored by rules that were fitted on other folds, and at each price the candidate with the most value
after cost is taken. Static allocations are the default: another candidate must beat them by more than noise.
The result is a table from price to (ladder, rule); evaluation on untouched prompts is left to `training.lab`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive_policy import AdaptivePolicy, Move
from policies.adaptive_replay import (
    Objective,
    ReplayPool,
    StopRule,
    Trajectories,
    comparable,
    replay,
    sample_scales,
    score_rule,
)
from policies.ladder import Ladder, Wave, wave_sizes
from policies.stop_rules import Always
from policies.value_rule import ValueRule, feature_matrix
from training.fit_stopping import fit_value_rule

__all__ = ["AdaptiveFit", "Settings", "fit_adaptive", "propose_ladders"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How an adaptive policy is searched; few numbers, all of them for Optuna to move.

    Parameters
    ----------
    features : tuple of str
        Feature sets of learned rules to try.
    ridge : float
        Penalty of learned rules.
    cheap_samples : tuple of int
        Samples of a cheaper generator to try before escalating.
    cheap_weights : tuple of float
        Weights of its votes to try, relative to the generator that is escalated to.
    singles, growth
        Wave sizes; see `policies.ladder.wave_sizes`.
    max_samples : int
        Samples of one generator in a ladder, at most.
    n_orders : int
        Random orders per prompt.
    caution : float
        Standard errors by which a candidate must beat the best static allocation on training prompts.
    seed : int
        Seed of the orders.
    """

    features: tuple[str, ...] = ("agreement", "full")
    ridge: float = 0.05
    cheap_samples: tuple[int, ...] = (1, 3)
    cheap_weights: tuple[float, ...] = (0.3, 1.0)
    singles: int = 4
    growth: float = 1.34
    max_samples: int = 32
    n_orders: int = 12
    caution: float = 0.5
    seed: int = 0


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
        Out-of-fold value and cost of the chosen candidate at each price.
    names : tuple of str
        The candidate chosen at each price, in words.
    """

    policy: AdaptivePolicy
    prompts: NDArray[np.intp]
    value: FloatArray
    cost: FloatArray
    names: tuple[str, ...]


def propose_ladders(
    accuracy: Mapping[str, float],
    cost: Mapping[str, float],
    recorded: Mapping[str, int],
    *,
    pooled: bool,
    settings: Settings,
) -> list[Ladder]:
    """Propose ladders: each good generator alone, and each cheaper one before each better or dearer one.

    Parameters
    ----------
    accuracy, cost, recorded : mapping
        Mean accuracy of one sample, its mean cost, and recorded samples per prompt, by generator.
    pooled : bool
        Whether answers of different generators compare.
    settings : Settings
        Numbers of samples and weights to try.
    """
    names = sorted(accuracy, key=lambda name: (-accuracy[name], cost[name], name))
    efficient = [
        name
        for name in names
        if not any(accuracy[other] > accuracy[name] and cost[other] <= cost[name] for other in names)
    ]
    strong = list(dict.fromkeys(efficient + names[:2]))
    sizes = {
        name: wave_sizes(
            min(recorded[name], settings.max_samples), singles=settings.singles, growth=settings.growth
        )
        for name in names
    }
    waves = {name: tuple(Wave(generator=name, n=size) for size in sizes[name]) for name in names}
    ladders = [Ladder(waves=waves[name], pooled=pooled) for name in strong]
    for top in strong:
        for low in names:
            if low == top or cost[low] > cost[top] or (cost[low] == cost[top] and low not in names[:3]):
                continue
            for count in settings.cheap_samples:
                if count > recorded[low]:
                    continue
                first = tuple(Wave(generator=low, n=size) for size in wave_sizes(count, singles=2))
                ladders += [
                    Ladder(waves=first + waves[top], weights={low: weight}, pooled=pooled)
                    for weight in (settings.cheap_weights if pooled else (1.0,))
                ]
    return list(dict.fromkeys(ladders))


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
    if ladders is None:
        ladders = _default_ladders(pools, settings)
    replays = [
        replay(
            pools,
            ladder,
            scales=scales,
            difficulty=difficulty,
            objective=objective,
            n_orders=settings.n_orders,
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
        candidates += [_known(item, rule, rows, prices) for rule in rules]
        if len(item.ladder) > 1:
            candidates += [
                _learned(item, fold, rows, prices, features=features, ridge=settings.ridge)
                for features in settings.features
            ]
    return _choose(candidates, prompts, prices, scales, settings)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Candidate:
    """A ladder and a rule with what they earned out of fold, value and cost of shape (P, L)."""

    name: str
    ladder: Ladder
    rule: StopRule
    value: FloatArray
    cost: FloatArray
    static: bool = False


def _default_ladders(pools: Mapping[str, ReplayPool], settings: Settings) -> list[Ladder]:
    accuracy, cost, recorded = {}, {}, {}
    for name, item in pools.items():
        known = item.pool.correct >= 0
        if known.any():
            accuracy[name] = float(item.pool.correct[known].mean())
            cost[name] = float(np.nanmean(item.cost[known]) + np.nanmean(item.request_cost))
            n = known.sum(axis=1)
            recorded[name] = int(np.quantile(n[n > 0], 0.1, method="lower"))
    return propose_ladders(accuracy, cost, recorded, pooled=comparable(pools), settings=settings)


def _static(item: Trajectories, rows: NDArray[np.intp], n_prices: int) -> list[_Candidate]:
    """Return every prefix of one generator's ladder, drawn in one wave, as a candidate that never looks."""
    generator = item.ladder.generators[0]
    value, cost = item.per_prompt(item.value.T)[rows], item.per_prompt(item.cost.T)[rows]
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
                rule=Always(),
                value=np.repeat(value[:, [wave]], n_prices, axis=1),
                cost=np.repeat(cost[:, [wave]], n_prices, axis=1),
                static=True,
            )
        )
    return found


def _known(item: Trajectories, rule: StopRule, rows: NDArray[np.intp], prices: FloatArray) -> _Candidate:
    results = [score_rule(item, rule, price=float(price)) for price in prices]
    return _Candidate(
        name=f"{rule} on {item.ladder}",
        ladder=item.ladder,
        rule=rule,
        value=item.per_prompt(np.stack([result.value for result in results], axis=1))[rows],
        cost=item.per_prompt(np.stack([result.cost for result in results], axis=1))[rows],
    )


def _learned(
    item: Trajectories,
    fold: NDArray[np.intp],
    rows: NDArray[np.intp],
    prices: FloatArray,
    *,
    features: str,
    ridge: float,
) -> _Candidate:
    """Fit on the other folds, score on each fold, then fit on all for deployment."""
    matrices = [feature_matrix(state, features) for state in item.evidence]
    of_draw = np.repeat(fold, item.n_orders)
    value = np.zeros((item.value.shape[1], len(prices)))
    cost = np.zeros_like(value)
    for test in np.unique(fold):
        held = of_draw == test
        rule = fit_value_rule(item, prices, features=features, ridge=ridge, draws=~held, matrices=matrices)
        value[held], cost[held] = score_at_prices(item, rule, matrices=matrices, draws=held)
    return _Candidate(
        name=f"learned ({features}) on {item.ladder}",
        ladder=item.ladder,
        rule=fit_value_rule(item, prices, features=features, ridge=ridge, matrices=matrices),
        value=item.per_prompt(value)[rows],
        cost=item.per_prompt(cost)[rows],
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
        on = matrix @ rule.gain[:, wave].T > rule.prices * (matrix @ rule.cost[:, wave].T)
        on &= (item.evidence[wave].n_correct == 0)[draws][:, None]
        ends = live & ~on
        value = np.where(ends, item.value[wave][draws][:, None], value)
        cost = np.where(ends, item.cost[wave][draws][:, None], cost)
        live &= on
    return value, cost


def _choose(
    candidates: Sequence[_Candidate],
    prompts: NDArray[np.intp],
    prices: FloatArray,
    scales: Mapping[str, object],
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
        moves=tuple(Move(ladder=candidates[index].ladder, rule=candidates[index].rule) for index in kept),
        prices=prices,
        choice=np.array([kept.index(index) for index in pick]),
        scales={name: scales[name] for name in scales},  # type: ignore[misc]
    )
    columns = np.arange(len(prices))
    return AdaptiveFit(
        policy=policy,
        prompts=prompts,
        value=np.stack([candidates[i].value[:, c] for i, c in zip(pick, columns, strict=True)], axis=1),
        cost=np.stack([candidates[i].cost[:, c] for i, c in zip(pick, columns, strict=True)], axis=1),
        names=tuple(candidates[index].name for index in pick),
    )
