"""Probe and agree: an adaptive policy for generators that nothing is known of.

One sample, then more until the leading answer is clearly ahead (Adaptive-Consistency), or until a checker
accepts one; what that earns is simulated once on the cold start's prior, with a fixed seed. The first
recorded log replaces all of it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.table import AdaptiveTable
from policies.ladder.ladder import Ladder, Wave, wave_sizes
from policies.ladder.stop_rule import StopRule
from policies.ladder.stop_rules import AdaptiveConsistency, Always
from policies.ladder.tally import Tally
from policies.menu.cold_start import WRONG_SHARES
from policies.plan.objective import Objective

__all__ = ["cold_start_adaptive"]

FloatArray: TypeAlias = NDArray[np.float64]

_MOST: Final = 33
_THRESHOLD: Final = 0.95
_N_ORDERS: Final = 100
_N_PRICES: Final = 24
_SEED: Final = 0


def cold_start_adaptive(
    generator: str,
    success: FloatArray,
    *,
    objective: Objective = "accuracy",
    output_tokens_per_sample: float = 512.0,
) -> AdaptiveTable:
    """Return probe-and-agree at falling prices, with what it earns on a prior.

    Parameters
    ----------
    generator : str
        The generator that is drawn from.
    success : ndarray of float64, shape (T,)
        Equally likely points of the prior over per-sample success, in [0, 1].
    objective : {"accuracy", "coverage"}
        Stop when the leader leads with probability 0.95, or at the first success.
    output_tokens_per_sample : float
        Assumed cost of one sample, above 0.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860: the rule and its threshold of 0.95.

    Examples
    --------
    >>> table = cold_start_adaptive("tiny", np.array([0.5, 0.9]), output_tokens_per_sample=1.0)
    >>> bool(table.cost[1, -1] < table.cost[0, -1] <= 33)
    True
    """
    rule: StopRule = Always() if objective == "coverage" else AdaptiveConsistency(threshold=_THRESHOLD)
    waves = tuple(Wave(generator=generator, n=size) for size in wave_sizes(_MOST))
    worth, drawn = _climb(Ladder(waves=waves, logprob_weight=0.0), rule, _answers(success), objective)
    by_point = (len(waves), len(success), _N_ORDERS)
    samples = drawn.reshape(by_point) * output_tokens_per_sample
    value, cost, deviation = worth.reshape(by_point).mean(2).T, samples.mean(2).T, samples.std(2).T
    moves = tuple(
        Move(ladder=Ladder(waves=waves[:most], logprob_weight=0.0), rule=rule)
        for most in range(1, len(waves) + 1)
    )
    means, spent = value.mean(axis=0), cost.mean(axis=0)
    rises = (np.diff(spent) > 0) & (np.diff(means) > 0)
    slopes = np.diff(means)[rises] / np.diff(spent)[rises] if rises.any() else 1.0 / spent[:1]
    prices = np.geomspace(4 * slopes.max(), max(slopes.min(), 1e-3 * slopes.max()) / 4, _N_PRICES)
    choice = (means - prices[:, None] * spent).argmax(axis=1)
    return AdaptiveTable(
        policy=AdaptivePolicy(moves=moves, prices=prices, choice=choice, scales={}),
        value=value[:, choice],
        cost=cost[:, choice],
        cost_deviation=deviation[:, choice],
    )


def _answers(success: FloatArray) -> NDArray[np.int64]:
    """Return codes of simulated answers, shape (T × orders, samples): 0 is right, others are wrong."""
    rng = np.random.default_rng(_SEED)
    shape = (len(success), _N_ORDERS, _MOST)
    wrong = 1 + rng.choice(len(WRONG_SHARES), p=WRONG_SHARES, size=shape)
    right = rng.random(shape) < success[:, None, None]
    return np.where(right, 0, wrong).reshape(-1, _MOST)


def _climb(
    ladder: Ladder, rule: StopRule, answers: NDArray[np.int64], objective: Objective
) -> tuple[FloatArray, FloatArray]:
    """Return value (ties shared) and samples drawn for climbs of at most w waves, each of shape (W, N)."""
    n = len(answers)
    tally = Tally(ladder, {}, np.zeros((n, 0)))
    live, start = np.arange(n), 0
    value, drawn = np.zeros((len(ladder), n)), np.zeros((len(ladder), n))
    for index, wave in enumerate(ladder.waves):
        if live.size:
            new = answers[live, start : start + wave.n]
            correct = (new == 0).astype(np.int64) if objective == "coverage" else None
            tally.add(wave.generator, answer=new, rows=live, correct=correct)
            evidence = tally.evidence(live)
            live = live[(evidence.n_correct == 0) & rule.go_on(evidence, price=0.0)]
        start += wave.n
        tied = tally.tied()
        shared = tied[:, 0] / np.maximum(tied.sum(axis=1), 1)
        value[index] = tally.n_correct > 0 if objective == "coverage" else shared
        drawn[index] = tally.n_drawn
    return value, drawn
