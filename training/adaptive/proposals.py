"""Propose ladders for training to choose from: few, and from what the log says about its generators.

For a vote they come from recipes (`training.adaptive.recipes`). For a checker: few growing waves of one
generator or of several that complement each other. Whether any of them pays is left to
`training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.ladder.ladder import Ladder, Wave
from policies.plan.objective import Objective
from policies.replay.pools import ReplayPool, sample_scales
from training.adaptive.recipes import Facts, Recipe, Route, propose_routes

__all__ = ["Settings", "default_ladders", "propose_coverage_ladders", "propose_recipes"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where the search of an adaptive policy starts, and how it decides.

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
    sharpness : tuple of float
        How strongly log-probabilities weigh the votes of the generator that a ladder ends with, where they
        are recorded; see `training.adaptive.recipes.Recipe`. Ladders that escalate take the last.
    chance_weights : tuple of float
        How strongly learned verifiers weigh votes, to try where each generator of a ladder has one.
    singles, growth
        Wave sizes; see `policies.ladder.ladder.wave_sizes`.
    max_samples : int
        Samples of one generator in a ladder, at most.
    max_strong, max_starts : int
        Generators that ladders may end with, and cheaper ones that may come before each: fitting time grows
        with their product.
    n_draws : int
        Replayed draws, prompts × random orders: few prompts get more orders, 4 to 64 of them.
    caution : float
        Standard errors by which a known rule must beat the best static allocation on training prompts, and a
        learned one what has been taken so far.
    proof, doubtful_caution : float
        Standard errors by which learned rules must gain over all prices together; where they do not, each
        price must be won by `doubtful_caution`. On recorded logs they gain 1.6 to 9.7 where they are worth
        having, and at most 1.0 over choices of effort on a hundred prompts, where they lost.
    tuned_caution : float
        Standard errors by which a tuned candidate must beat what has been taken without it, with a checker a
        learned rule the one that knows failures alone, and routing prompts to another move what they get
        without.
    max_options : int
        Moves that prompts are routed to at one price, at most; 1 routes none. Not read with a checker.
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
    sharpness: tuple[float, ...] = (0.0, 3.0)
    chance_weights: tuple[float, ...] = (4.0,)
    singles: int = 4
    growth: float = 1.34
    max_samples: int = 32
    max_strong: int = 4
    max_starts: int = 2
    n_draws: int = 12_000
    caution: float = 0.25
    proof: float = 1.25
    doubtful_caution: float = 1.0
    tuned_caution: float = 1.5
    max_options: int = 4
    checker_waves: int = 4
    prior: bool = True
    escalation: bool = True
    futility: bool = True
    seed: int = 0

    def n_orders(self, n_prompts: int) -> int:
        """Return the random orders per prompt for this many prompts."""
        return min(max(self.n_draws // max(n_prompts, 1), 4), 64)

    def routes(self, facts: Facts) -> list[Route]:
        """Return the routes to try."""
        routes = propose_routes(facts, max_strong=self.max_strong, max_starts=self.max_starts)
        return [route for route in routes if self.escalation or len(route.generators) == 1]


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
    facts = Facts.of(pools, sample_scales(pools))
    if objective == "coverage":
        success = {name: _success(pools[name]) for name in facts.accuracy}
        ladders = propose_coverage_ladders(success, facts.cost, facts.recorded, settings=settings)
        return [ladder for ladder in ladders if settings.escalation or len(ladder.generators) == 1]
    recipes = propose_recipes(facts, settings)
    return list(dict.fromkeys(r.ladder(facts, max_samples=settings.max_samples) for r in recipes))


def propose_recipes(facts: Facts, settings: Settings) -> list[Recipe]:
    """Propose the recipes that training starts from: every route, with a few numbers each.

    Parameters
    ----------
    facts : Facts
        What is recorded.
    settings : Settings
        Numbers of samples and weights to try.
    """
    recipes = []
    for route in settings.routes(facts):
        votes = settings.sharpness if facts.logprob_sd.get(route.strong, 0.0) > 0 else (0.0,)
        plain = Recipe(route=route, singles=settings.singles, growth=settings.growth)
        judges = settings.chance_weights if route.judged(facts) else ()
        if len(route.starts) != 1:
            recipes += [replace(plain, sharpness=sharpness) for sharpness in votes]
            recipes += [replace(plain, chance_weight=power) for power in judges]
            continue
        counts = [n for n in settings.cheap_samples if n <= facts.recorded[route.starts[0]]]
        weights = settings.cheap_weights if facts.pooled else (1.0,)
        recipes += [
            replace(plain, cheap_samples=count, cheap_weight=weight, sharpness=votes[-1])
            for count in counts
            for weight in weights
        ]
        recipes += [
            replace(plain, cheap_samples=count, chance_weight=power) for count in counts for power in judges
        ]
    return recipes


def _success(item: ReplayPool) -> FloatArray:
    """Return the share of correct samples of each prompt, the mean where none is labelled, shape (P,)."""
    n = (item.pool.correct >= 0).sum(axis=1)
    right = (item.pool.correct == 1).sum(axis=1)
    rate = np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0)
    return np.asarray(np.where(n > 0, rate, np.nanmean(rate)))


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
