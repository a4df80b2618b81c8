"""Recipes of ladders for votes: which generators, in which order, how many at once, and how they vote.

A route says whose samples are drawn: one good generator, cheaper ones before it, or a partner of about the
same cost beside it, which errs in other ways. A recipe adds the numbers, all of them for Optuna to move.
Ladders for a checker are in `training.adaptive.proposals`; whether any recipe pays is left to
`training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import Ladder, SampleScale, Wave, wave_sizes
from policies.replay.pools import ReplayPool
from policies.replay.recorded_answers import comparable

__all__ = ["Facts", "Recipe", "Route", "propose_routes", "undominated"]

# A partner may cost this many times as much as the generator that it is pooled with, and its own vote must be
# right this many times as often.
_PARTNER_COST: Final = 2.0
_PARTNER_VOTE: Final = 0.6
_N_PARTNERS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a log says about its generators, by name.

    Parameters
    ----------
    accuracy, votes, cost : mapping of str to float
        Mean accuracy of one sample and of a vote over all samples, and mean cost of a sample.
    recorded : mapping of str to int
        Labelled samples that nine prompts out of ten have.
    logprob_sd : mapping of str to float
        Standard deviation of samples' mean log-probability; 0 or missing where not recorded.
    pooled : bool
        Whether answers of different generators compare.
    judged : frozenset of str
        Generators with a learned verifier.
    """

    accuracy: Mapping[str, float]
    votes: Mapping[str, float]
    cost: Mapping[str, float]
    recorded: Mapping[str, int]
    logprob_sd: Mapping[str, float]
    pooled: bool
    judged: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pools: Mapping[str, ReplayPool], scales: Mapping[str, SampleScale]) -> Facts:
        """Read off recorded samples; generators without a labelled sample are left out."""
        accuracy, votes, cost, recorded = {}, {}, {}, {}
        for name, item in pools.items():
            known = item.pool.correct >= 0
            n = known.sum(axis=1)
            if not known.any():
                continue
            right = (item.pool.correct == 1).sum(axis=1)
            accuracy[name] = float((right[n > 0] / n[n > 0]).mean())
            votes[name] = _full_vote(item.pool)
            cost[name] = float(np.nanmean(item.cost[known]) + np.nanmean(item.request_cost))
            recorded[name] = int(np.quantile(n[n > 0], 0.1, method="lower"))
        return cls(
            accuracy=accuracy,
            votes=votes,
            cost=cost,
            recorded=recorded,
            logprob_sd={name: scale.logprob_sd for name, scale in scales.items()},
            pooled=comparable([item.pool for item in pools.values()]),
            judged=frozenset(name for name, item in pools.items() if item.judge is not None),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Whose samples a ladder draws.

    Parameters
    ----------
    strong : str
        The generator that the ladder ends with.
    starts : tuple of str
        Cheaper generators that are tried before it, in this order.
    partner : str
        A generator that takes turns with the strong one after its first samples; "" for none.
    """

    strong: str
    starts: tuple[str, ...] = ()
    partner: str = ""

    @property
    def generators(self) -> tuple[str, ...]:
        """Return the names of all generators, in order of first use."""
        return (*self.starts, self.strong, *([self.partner] if self.partner else []))

    def judged(self, facts: Facts) -> bool:
        """Return whether each of its generators has a learned verifier."""
        return facts.judged.issuperset(self.generators)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A route and its numbers; the defaults are what worked on recorded logs.

    Parameters
    ----------
    route : Route
        Whose samples are drawn.
    cheap_samples : int
        Samples of each cheaper generator.
    cheap_weight, partner_weight : float
        Weight of one vote, relative to the strong generator's.
    partner_after : int
        Samples of the strong generator before its partner joins.
    sharpness : float
        Growth of the log weight of a strong vote per standard deviation of its log-probability; 0 weighs it
        by its own probability. On recorded logs 3 was worth .01 to .03 of accuracy at up to 16 samples. A
        cheaper generator's votes stay as they are, or one sure mistake of it would outweigh all others.
    chance_weight : float
        γ of votes that the learned verifiers weigh, in the place of log-probabilities; 0 asks none. See
        `policies.ladder.ladder.Ladder`.
    singles, growth
        Wave sizes; see `policies.ladder.ladder.wave_sizes`.

    Examples
    --------
    >>> facts = Facts(accuracy={"a": 0.5}, votes={"a": 0.6}, cost={"a": 1.0}, recorded={"a": 5},
    ...               logprob_sd={}, pooled=True)
    >>> print(Recipe(route=Route(strong="a"), singles=2, growth=1.5).ladder(facts, max_samples=32))
    a x1, a x1, a x1, a x1, a x1
    """

    route: Route
    cheap_samples: int = 1
    cheap_weight: float = 1.0
    partner_after: int = 4
    partner_weight: float = 1.0
    sharpness: float = 0.0
    chance_weight: float = 0.0
    singles: int = 4
    growth: float = 1.34

    def ladder(self, facts: Facts, *, max_samples: int) -> Ladder:
        """Return the ladder, as far as samples are recorded.

        Parameters
        ----------
        facts : Facts
            Of the route's generators.
        max_samples : int
            Samples of the strong generator and of its partner, at most, each.
        """
        route = self.route
        most = {name: min(facts.recorded[name], max_samples) for name in route.generators}
        waves = [
            Wave(generator=name, n=size)
            for name in route.starts
            for size in wave_sizes(min(self.cheap_samples, most[name]), singles=2)
        ]
        waves += self._turns(most)
        weights = dict.fromkeys(route.starts, self.cheap_weight)
        steep = {}
        for name in (route.strong, route.partner):
            deviation = facts.logprob_sd.get(name, 0.0)
            if self.sharpness > 0 and deviation > 0:
                steep[name] = self.sharpness / deviation
        if route.partner:
            weights[route.partner] = self.partner_weight
        if not facts.pooled:
            weights = {}
        return Ladder(
            waves=tuple(waves),
            weights=weights,
            logprob_weights=steep,
            pooled=facts.pooled,
            chance_weight=self.chance_weight,
        )

    def _turns(self, most: Mapping[str, int]) -> Iterator[Wave]:
        """Yield the waves of the strong generator and its partner."""
        route = self.route
        left = {name: most[name] for name in (route.strong, route.partner) if name}
        drawn = dict.fromkeys(left, 0)
        for size in wave_sizes(sum(left.values()), singles=self.singles, growth=self.growth):
            while size:
                early = self.partner_after - drawn[route.strong] if len(left) > 1 else size
                behind = early <= 0 and drawn[route.partner] <= drawn[route.strong]
                turn = route.partner if len(left) > 1 and behind else route.strong
                name = turn if left[turn] else max(left, key=lambda name: left[name])
                taken = min(size, left[name])
                if early > 0 and name == route.strong:
                    taken = min(taken, early)
                yield Wave(generator=name, n=taken)
                left[name] -= taken
                drawn[name] += taken
                size -= taken


def propose_routes(facts: Facts, *, max_strong: int, max_starts: int) -> list[Route]:
    """Return the routes worth trying: each good generator alone, each cheaper one before it, pairs, and all.

    Parameters
    ----------
    facts : Facts
        What is recorded.
    max_strong, max_starts : int
        Generators that routes may end with, and cheaper ones that may come before each.
    """
    cost, accuracy = facts.cost, facts.accuracy
    names = _by_accuracy(facts)
    efficient = undominated(facts)
    by_vote = sorted(names, key=lambda name: (-facts.votes[name], cost[name], name))
    strong = list(dict.fromkeys(efficient[:max_strong] + by_vote[:2]))
    routes = [Route(strong=name) for name in strong]
    for top in strong:
        # A dearer start never pays, one of equal cost only if it is the best single sample.
        starts = [
            low
            for low in names
            if low != top and (cost[low] < cost[top] or (cost[low] == cost[top] and low == names[0]))
        ]
        starts.sort(key=lambda name: (-accuracy[name] / cost[name], name))
        routes += [Route(strong=top, starts=(low,)) for low in starts[:max_starts]]
    if len(efficient) > 2:
        steps = sorted(efficient, key=lambda name: cost[name])
        routes.append(Route(strong=steps[-1], starts=tuple(steps[:-1])))
    if facts.pooled:
        for top in by_vote[:2]:
            partners = [
                name
                for name in by_vote
                if name != top
                and cost[name] <= _PARTNER_COST * cost[top]
                and facts.votes[name] >= _PARTNER_VOTE * facts.votes[top]
            ]
            routes += [Route(strong=top, partner=name) for name in partners[:_N_PARTNERS]]
    return list(dict.fromkeys(routes))


def undominated(facts: Facts) -> list[str]:
    """Return the generators of which no other has better samples at no higher cost, best first."""
    cost, accuracy = facts.cost, facts.accuracy
    names = _by_accuracy(facts)
    return [
        name
        for name in names
        if not any(accuracy[other] > accuracy[name] and cost[other] <= cost[name] for other in names)
    ]


def _by_accuracy(facts: Facts) -> list[str]:
    """Return all generators, the best single sample first, the cheaper of equals before the dearer."""
    cost, accuracy = facts.cost, facts.accuracy
    return sorted(accuracy, key=lambda name: (-accuracy[name], cost[name], name))


def _full_vote(pool: SamplePool) -> float:
    """Return the accuracy of the plurality of all recorded samples, ties shared, where there are answers."""
    right = []
    for answer, correct in zip(pool.answer, pool.correct, strict=True):
        voted = answer[answer >= 0]
        if voted.size:
            top = np.flatnonzero(np.bincount(voted) == np.bincount(voted).max())
            right.append(float((correct[np.isin(answer, top)] == 1).mean()))
    return float(np.mean(right)) if right else float((pool.correct == 1).mean())
