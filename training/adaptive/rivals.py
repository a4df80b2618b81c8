"""Stopping rules of others, fitted on the adaptive policy's own training prompts: its rivals in evaluation.

Published rules get, price by price, the generator and the parameters that earn most on replayed training
prompts; rules that tools ship keep their own numbers and get the best generators. To draw one sample and stop
is always among the choices. Replaying them on test prompts is left to `training.evaluation.adaptive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive.policy import AdaptivePolicy, Move
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rule import StopRule
from policies.ladder.stop_rules import AdaptiveConsistency, Agreement, Always, OneProbe, Unanimous
from policies.plan.objective import Objective
from policies.replay.pools import ReplayPool, sample_scales
from policies.replay.recorded_answers import comparable
from policies.replay.trajectories import Trajectories, replay, score_rule
from training.adaptive.recipes import Facts

__all__ = ["RIVALS", "SHIPPED", "fit_rivals"]

FloatArray: TypeAlias = NDArray[np.float64]

_MAX_WAVES: Final = 32
_N_DRAWS: Final = 4000

# Published rules, each with the parameters that its authors would sweep.
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
# Rules that tools ship, with their own numbers: its_hub 1.2 (adaptive and Beta self-consistency) and
# zen-router 0.2, where a vote of the strong generator counts twice.
_DOUBLING: Final = "its_hub, doubling to 75 %"
_BETA: Final = "its_hub, Beta .95"
_TWO_AGREE: Final = "zen-router, two agree"
SHIPPED: Final = (_DOUBLING, _BETA, _TWO_AGREE)
_MAX_STRONG, _MAX_CHEAP = 3, 4


def fit_rivals(
    pools: Mapping[str, ReplayPool],
    *,
    difficulty: FloatArray,
    prices: FloatArray,
    objective: Objective,
    seed: int,
) -> dict[str, AdaptivePolicy]:
    """Return each rival with the generator and parameters that are best at each price.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        P training prompts, single samples with answers.
    difficulty : ndarray of float64, shape (P, D)
        Standardised coordinates; D may be 0.
    prices : ndarray of float64, shape (L,)
        Falling prices above 0.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    seed : int
        Seed of the random orders.

    Returns
    -------
    dict of str to AdaptivePolicy
        Those of `RIVALS`, and of `SHIPPED`, where two generators of different cost are needed for the last.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860 (Adaptive-Consistency); Li et al. 2024, arXiv 2401.10480 (ESC).
    """
    scales = sample_scales(pools)

    def climb(ladder: Ladder) -> Trajectories:
        n_orders = min(max(_N_DRAWS // max(len(difficulty), 1), 2), 16)
        return replay(
            pools,
            ladder,
            scales=scales,
            difficulty=difficulty,
            objective=objective,
            n_orders=n_orders,
            seed=seed,
        )

    most = {
        name: min(int(np.quantile((item.pool.correct >= 0).sum(axis=1), 0.1, method="lower")), _MAX_WAVES)
        for name, item in pools.items()
    }
    one_by_one = [climb(_ladder((name, 1) for _ in range(n))) for name, n in most.items()]
    doubling = [climb(_ladder((name, n) for n in _doubling(n))) for name, n in most.items()]
    found = {
        name: _best_rules(one_by_one, one_by_one, rules, prices, scales) for name, rules in RIVALS.items()
    }
    found[_DOUBLING] = _best_rules(doubling, one_by_one, (Agreement(count=1, share=0.75),), prices, scales)
    found[_BETA] = _best_rules(one_by_one, one_by_one, (AdaptiveConsistency(threshold=0.95),), prices, scales)
    pairs = [climb(ladder) for ladder in _pairs(pools, scales)]
    if pairs:
        found[_TWO_AGREE] = _best_rules(pairs, one_by_one, (Agreement(count=2),), prices, scales)
    return found


def _ladder(waves: Iterable[tuple[str, int]]) -> Ladder:
    return Ladder(waves=tuple(Wave(generator=name, n=n) for name, n in waves), logprob_weight=0.0)


def _doubling(most: int) -> list[int]:
    """Return waves that bring the number of samples to 2, 4, 8 ..., as far as `most` goes.

    Examples
    --------
    >>> _doubling(10)
    [2, 2, 4, 2]
    """
    drawn, waves = 0, list[int]()
    while drawn < most:
        waves.append(min(max(drawn, 2), most - drawn))
        drawn += waves[-1]
    return waves


def _pairs(pools: Mapping[str, ReplayPool], scales: Mapping[str, SampleScale]) -> list[Ladder]:
    """Return ladders of two samples of a generator and one of a better and dearer one."""
    facts = Facts.of(pools, scales)
    pooled = comparable([item.pool for item in pools.values()])
    by_accuracy = sorted(facts.accuracy, key=lambda name: (-facts.accuracy[name], name))
    ladders = []
    for strong in by_accuracy[:_MAX_STRONG]:
        cheap = [name for name in by_accuracy if facts.cost[name] < facts.cost[strong]]
        ladders += [
            Ladder(
                waves=(Wave(generator=name, n=2), Wave(generator=strong, n=1)),
                weights={name: 0.5},
                pooled=pooled,
                logprob_weight=0.0,
            )
            for name in cheap[:_MAX_CHEAP]
        ]
    return ladders


def _best_rules(
    trajectories: Sequence[Trajectories],
    one_by_one: Sequence[Trajectories],
    rules: Sequence[StopRule],
    prices: FloatArray,
    scales: Mapping[str, SampleScale],
) -> AdaptivePolicy:
    """Return the best rule and ladder at each price; one sample and stop is where every frontier begins."""
    moves: list[Move] = []
    worth = []
    for item in one_by_one:
        single = Ladder(waves=item.ladder.waves[:1], logprob_weight=0.0)
        moves.append(Move(ladder=single, rule=Always()))
        worth.append(float(item.value[0].mean()) - prices * float(item.cost[0].mean()))
    for item in trajectories:
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
        scales=dict(scales),
    )
