"""Propose ladders for training to choose from: few, and from what the log says about its generators.

For a vote: each good generator alone, and each cheaper one before it. For a checker: few growing waves of one
generator or of several that complement each other. Whether any of them pays is left to `training.adaptive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.sample_pool import SamplePool
from policies.adaptive_replay import Objective, ReplayPool, comparable
from policies.ladder import Ladder, Wave, wave_sizes

__all__ = ["Settings", "default_ladders", "propose_coverage_ladders", "propose_ladders"]

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
    max_strong, max_starts : int
        Generators that ladders may end with, and cheaper ones that may come before each: fitting time grows
        with their product.
    n_draws : int
        Replayed draws, prompts × random orders: few prompts get more orders, 4 to 64 of them.
    caution : float
        Standard errors by which a candidate must beat the best static allocation on training prompts.
    checker_waves : int
        Waves of a ladder that ends at the first success.
    prior, escalation, futility : bool
        Switches of ablations: whether rules see predicted difficulty, whether ladders may change the
        generator, and whether rules may give up on a selection that is probably wrong.
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
    max_strong: int = 4
    max_starts: int = 2
    n_draws: int = 12_000
    caution: float = 0.5
    checker_waves: int = 4
    prior: bool = True
    escalation: bool = True
    futility: bool = True
    seed: int = 0

    def n_orders(self, n_prompts: int) -> int:
        """Return the random orders per prompt for this many prompts."""
        return min(max(self.n_draws // max(n_prompts, 1), 4), 64)


def default_ladders(
    pools: Mapping[str, ReplayPool], objective: Objective, settings: Settings
) -> list[Ladder]:
    """Propose ladders from recorded samples.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        Training prompts.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    settings : Settings
        How to search.
    """
    success, cost, recorded = {}, {}, {}
    for name, item in pools.items():
        known = item.pool.correct >= 0
        n = known.sum(axis=1)
        if known.any():
            rate = np.divide(
                (item.pool.correct == 1).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0
            )
            success[name] = np.where(n > 0, rate, np.nanmean(rate))
            cost[name] = float(np.nanmean(item.cost[known]) + np.nanmean(item.request_cost))
            recorded[name] = int(np.quantile(n[n > 0], 0.1, method="lower"))
    if objective == "coverage":
        ladders = propose_coverage_ladders(success, cost, recorded, settings=settings)
        return [ladder for ladder in ladders if settings.escalation or len(ladder.generators) == 1]
    accuracy = {name: float(rate.mean()) for name, rate in success.items()}
    votes = {name: _full_vote(pools[name].pool) for name in success}
    ladders = propose_ladders(accuracy, votes, cost, recorded, pooled=comparable(pools), settings=settings)
    return [ladder for ladder in ladders if settings.escalation or len(ladder.generators) == 1]


def propose_ladders(
    accuracy: Mapping[str, float],
    votes: Mapping[str, float],
    cost: Mapping[str, float],
    recorded: Mapping[str, int],
    *,
    pooled: bool,
    settings: Settings,
) -> list[Ladder]:
    """Propose ladders: each good generator alone, each cheaper one before it, and all from cheap to dear.

    Parameters
    ----------
    accuracy, votes, cost, recorded : mapping
        Mean accuracy of one sample and of a vote over all samples, mean cost of a sample, and recorded
        samples per prompt, by generator.
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
    by_vote = sorted(names, key=lambda name: (-votes[name], cost[name], name))
    strong = list(dict.fromkeys(efficient[: settings.max_strong] + by_vote[:2]))
    sizes = {
        name: wave_sizes(
            min(recorded[name], settings.max_samples), singles=settings.singles, growth=settings.growth
        )
        for name in names
    }
    waves = {name: tuple(Wave(generator=name, n=size) for size in sizes[name]) for name in names}
    ladders = [Ladder(waves=waves[name], pooled=pooled) for name in strong]
    for top in strong:
        # A dearer start never pays, one of equal cost only if it is the best single sample.
        starts = [
            low
            for low in names
            if low != top and (cost[low] < cost[top] or (cost[low] == cost[top] and low == names[0]))
        ]
        starts.sort(key=lambda name: (-accuracy[name] / cost[name], name))
        for low in starts[: settings.max_starts]:
            for count in settings.cheap_samples:
                if count > recorded[low]:
                    continue
                first = tuple(Wave(generator=low, n=size) for size in wave_sizes(count, singles=2))
                ladders += [
                    Ladder(waves=first + waves[top], weights={low: weight}, pooled=pooled)
                    for weight in (settings.cheap_weights if pooled else (1.0,))
                ]
    if len(efficient) > 2:
        steps = sorted(efficient, key=lambda name: cost[name])
        chain = tuple(Wave(generator=name) for name in steps[:-1])
        ladders.append(Ladder(waves=chain + waves[steps[-1]], pooled=pooled))
    return list(dict.fromkeys(ladders))


def _full_vote(pool: SamplePool) -> float:
    """Return the accuracy of the plurality of all recorded samples, ties shared, where there are answers."""
    right = []
    for answer, correct in zip(pool.answer, pool.correct, strict=True):
        voted = answer[answer >= 0]
        if voted.size:
            top = np.flatnonzero(np.bincount(voted) == np.bincount(voted).max())
            right.append(float((correct[np.isin(answer, top)] == 1).mean()))
    return float(np.mean(right)) if right else float((pool.correct == 1).mean())


def propose_coverage_ladders(
    success: Mapping[str, FloatArray],
    cost: Mapping[str, float],
    recorded: Mapping[str, int],
    *,
    settings: Settings,
) -> list[Ladder]:
    """Propose ladders of few waves for a checker: sizes that grow, generators that complement each other.

    Parameters
    ----------
    success : mapping of str to ndarray of float64, shape (P,)
        Share of correct samples of each prompt, by generator.
    cost, recorded : mapping
        As in `propose_ladders`.
    settings : Settings
        Only ``checker_waves`` is read.

    Notes
    -----
    For each list of sizes there is one ladder per good generator, and one that greedily takes, wave by wave,
    the generator that solves most of what is still unsolved per unit of cost.
    """
    alone = sorted(success, key=lambda name: (-float(success[name].mean()) / cost[name], name))[:3]
    first_sizes = [(first, growth) for first in (1, 2, 4, 6) for growth in (1.0, 1.5, 2.0, 3.0)]
    ladders = []
    for first, growth in first_sizes:
        sizes = [max(1, round(first * growth**wave)) for wave in range(settings.checker_waves)]
        for orders in [
            *([name] * len(sizes) for name in alone),
            _complementary(success, cost, recorded, sizes),
        ]:
            waves = tuple(Wave(generator=name, n=size) for name, size in zip(orders, sizes, strict=False))
            ladder = Ladder(waves=waves, pooled=False, logprob_weight=0.0)
            if len(waves) == len(sizes) and all(ladder.needs(name) <= recorded[name] for name in orders):
                ladders.append(ladder)
    return list(dict.fromkeys(ladders))


def _complementary(
    success: Mapping[str, FloatArray],
    cost: Mapping[str, float],
    recorded: Mapping[str, int],
    sizes: Sequence[int],
) -> list[str]:
    """Return a generator for each wave, greedily by newly solved prompts per cost, while samples last."""
    unsolved = np.ones(len(next(iter(success.values()))))
    left, order = dict(recorded), []
    for size in sizes:
        able = [name for name in sorted(success) if left[name] >= size]
        if not able:
            break
        misses = {name: (1 - success[name]) ** size for name in able}
        best = max(able, key=lambda name: float((unsolved * (1 - misses[name])).mean()) / cost[name])
        unsolved = unsolved * misses[best]
        left[best] -= size
        order.append(best)
    return order
