"""Published stopping rules, tuned on the adaptive policy's own training prompts: its rivals in evaluation.

Each rule gets, price by price, the generator and the parameters that earn most on replayed training prompts;
one sample and stop is always among them. Replaying them on test prompts is left to
`training.adaptive_courses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive_policy import AdaptivePolicy, Move
from policies.adaptive_replay import StopRule, Trajectories, replay, score_rule
from policies.ladder import Ladder, SampleScale, Wave
from policies.objective import Objective
from policies.replay_pools import ReplayPool, sample_scales
from policies.stop_rules import AdaptiveConsistency, Always, OneProbe, Unanimous

__all__ = ["RIVALS", "fit_rivals"]

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

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860 (Adaptive-Consistency); Li et al. 2024, arXiv 2401.10480 (ESC).
    """
    scales = sample_scales(pools)
    trajectories = []
    for name, item in pools.items():
        n = (item.pool.correct >= 0).sum(axis=1)
        waves = min(int(np.quantile(n, 0.1, method="lower")), _MAX_WAVES)
        ladder = Ladder(waves=(Wave(generator=name, n=1),) * waves, logprob_weight=0.0)
        n_orders = min(max(_N_DRAWS // max(len(n), 1), 2), 16)
        trajectories.append(
            replay(
                pools,
                ladder,
                scales=scales,
                difficulty=difficulty,
                objective=objective,
                n_orders=n_orders,
                seed=seed,
            )
        )
    return {name: _best_rules(trajectories, rules, prices, scales) for name, rules in RIVALS.items()}


def _best_rules(
    trajectories: Sequence[Trajectories],
    rules: Sequence[StopRule],
    prices: FloatArray,
    scales: Mapping[str, SampleScale],
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
        scales=dict(scales),
    )
