"""Choose ladders and rules for an adaptive policy, price by price, on cross-fitted replay.

Candidates are the static allocations, known stop rules and learned rules, each on several ladders, and the
best trials of a search. At each price the candidate with the most value after cost is taken. Static
allocations are the default, then come known rules, learned ones, and tuned ones: each kind must beat what was
taken before by more than noise, learned rules also over all prices together. Prompts may be routed to others
where that pays (`training.adaptive.routing`). The result is a table from price to (ladder, rule); evaluation
on untouched prompts is left to `training.evaluate`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.routing import RESEMBLANCE, Routing
from policies.ladder.ladder import Ladder
from policies.ladder.stop_rule import StopRule
from policies.ladder.value_rule import JUDGED
from policies.plan.objective import Objective
from policies.replay.pools import ReplayPool, sample_scales
from training.adaptive.candidates import KNOWN_RULES, Bench, Contender
from training.adaptive.checker_ladders import first_success, propose_checker_ladders
from training.adaptive.proposals import Settings, default_ladders, propose_recipes
from training.adaptive.recipes import Facts, Recipe, Route, undominated
from training.adaptive.routing import expected_worth, offer, routed
from training.adaptive.tune import tune_recipes

__all__ = ["AdaptiveFit", "Search", "fit_adaptive"]

FloatArray: TypeAlias = NDArray[np.float64]

# Weight of a price and of its neighbours when candidates are compared: next to each other they are worth
# nearly the same, and their errors are not.
_SMOOTH: Final = (0.25, 0.5, 0.25)
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """How long Optuna searches, and where it keeps its trials.

    Parameters
    ----------
    n_trials : int
        Trials beyond the candidates that training starts from; 0 for none.
    storage : str or path, optional
        Journal file or RDB URL; memory by default.
    study_name : str
        Name of the study in the storage.
    progress : callable, optional
        Called with (completed, total).
    """

    n_trials: int = 0
    storage: str | os.PathLike[str] | None = None
    study_name: str = "stopping"
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AdaptiveFit:
    """What fitting found.

    Parameters
    ----------
    policy : AdaptivePolicy
        What to deploy.
    prompts : ndarray of intp, shape (P,)
        Training prompts that all candidates could be replayed on.
    value : ndarray of float64, shape (P, L)
        Out-of-fold value of the candidate that each prompt takes at each price, a mean over the random
        orders.
    cost : ndarray of float64, shape (P, L)
        Cost of the rule that is deployed. Rules of single folds spend up to half as much again or less at low
        prices, where gains are small and noise decides; what this rule spends depends on no labels once it
        is fitted.
    cost_deviation : ndarray of float64, shape (P, L)
        Standard deviation of the cost over the random orders: how much one run differs from its mean.
    names : tuple of str
        The candidate usually taken at each price, in words.
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
    search: Search | None = None,
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
    search : Search, optional
        Trials of Optuna, for votes over ladders of our own; none by default.
    """
    settings = Settings() if settings is None else settings
    scales = sample_scales(pools)
    if not settings.prior:
        # Coordinates that never vary get coefficients of 0, so the rules still fit prompts that have them.
        difficulty = np.zeros_like(difficulty)
    own = ladders is None and objective == "accuracy"
    facts = Facts.of(pools, scales)
    routes = settings.routes(facts)
    if ladders is None:
        ladders = default_ladders(pools, objective, settings)
        if objective == "coverage":
            ladders = propose_checker_ladders(pools, facts, prices, ladders, settings) or ladders
    # A static mix may be made of any generator that no other beats: each of them must be at hand.
    alone = {ladder.generators[0] for ladder in ladders if len(ladder.generators) == 1}
    spare = [name for name in undominated(facts) if own and name not in alone]
    needs = {name: max(ladder.needs(name) for ladder in ladders) for name in pools}
    if own:
        for name in {name for route in routes for name in route.generators} | set(spare):
            needs[name] = min(facts.recorded[name], settings.max_samples)
    enough = [(pools[name].pool.correct >= 0).sum(axis=1) >= n for name, n in needs.items()]
    bench = Bench(
        pools=pools,
        scales=scales,
        difficulty=difficulty,
        folds=folds,
        prices=prices,
        prompts=np.flatnonzero(np.all(enough, axis=0)),
        objective=objective,
        settings=settings,
    )
    candidates: list[Contender] = []
    for name in spare:
        recipe = Recipe(route=Route(strong=name))
        candidates += bench.static(bench.replay(recipe.ladder(facts, max_samples=settings.max_samples)))
    for ladder in ladders:
        runs = bench.replay(ladder)
        if len(ladder.generators) == 1:
            candidates += bench.static(runs)
            # They were published for votes that count alike.
            known = KNOWN_RULES if objective == "accuracy" and not ladder.judged else ()
            candidates += [bench.known(runs, rule) for rule in known]
        candidates += [bench.known(runs, rule) for rule in rules]
        if len(ladder) > 1:
            looks = (JUDGED,) if ladder.judged else settings.features
            candidates += [bench.learned(runs, features=features, ridge=settings.ridge) for features in looks]
            if objective == "coverage":
                candidates.append(first_success(bench, runs))
    others = _alone(bench, facts, taken=alone | set(spare)) if own and _routes(bench) else []
    tuned: list[Contender] = []
    if own and search is not None and search.n_trials > 0:
        worth = _worth(candidates, prices)
        static = np.flatnonzero([item.static for item in candidates])
        best = static[worth[static].mean(axis=1).argmax(axis=0)]
        tuned = tune_recipes(
            bench,
            facts,
            routes,
            reference=worth[best, :, np.arange(len(prices))].T,
            first=propose_recipes(facts, settings)[0],
            n_trials=search.n_trials,
            seed=settings.seed,
            storage=search.storage,
            study_name=search.study_name,
            progress=search.progress,
        )
    return _choose(candidates, tuned, others, bench)


def _routes(bench: Bench) -> bool:
    """Return whether prompts may be routed, and can be told apart before anything is drawn.

    With a checker they are not: on four logs and three splits each nothing was gained, and one split of
    game24 (60 training prompts) lost a quarter of its multiple.
    """
    difficulty = bench.difficulty[bench.prompts]
    able = bench.settings.max_options > 1 and bench.objective == "accuracy"
    return able and bool((difficulty.std(axis=0) > 0).any())


def _alone(bench: Bench, facts: Facts, *, taken: Collection[str]) -> list[Contender]:
    """Return contenders of generators that are not the last of any ladder: they may suit some prompts."""
    found, settings = [], bench.settings
    for name in facts.recorded:
        least = int((bench.pools[name].pool.correct[bench.prompts] >= 0).sum(axis=1).min())
        if name in taken or not least:
            continue
        recipe = Recipe(route=Route(strong=name), singles=settings.singles, growth=settings.growth)
        runs = bench.replay(recipe.ladder(facts, max_samples=min(least, settings.max_samples)))
        found += bench.static(runs)
        if len(runs.ladder) > 1:
            found += [bench.learned(runs, features=look, ridge=settings.ridge) for look in settings.features]
    return found


def _worth(candidates: Sequence[Contender], prices: FloatArray) -> FloatArray:
    """Return value after cost, shape (C, P, L)."""
    return np.stack([item.value - prices * item.cost for item in candidates])


def _usual(
    candidates: Sequence[Contender], tuned: Sequence[Contender], worth: FloatArray, bench: Bench
) -> NDArray[np.intp]:
    """Return the best candidate at each price, (L,), by the worth of candidates and tuned ones, (C, P, L).

    What is less proven must beat what is more proven clearly.
    """
    everyone, prices, settings = [*candidates, *tuned], bench.prices, bench.settings
    static, learned = (np.array([getattr(item, part) for item in everyone]) for part in ("static", "learned"))
    fresh = np.arange(len(everyone)) >= len(candidates)
    columns = np.arange(len(prices))
    pick = np.flatnonzero(static)[worth[static].mean(axis=1).argmax(axis=0)]
    # With a checker every ladder is searched for: a learned rule is the luckiest of many like a tuned one.
    searched = bench.objective == "coverage"
    tiers = (
        (~static & ~learned & ~fresh, settings.caution),
        (learned & ~fresh, settings.tuned_caution if searched else settings.caution),
        (fresh, settings.tuned_caution),
    )
    for tier, caution in tiers:
        rivals = np.flatnonzero(tier)
        if not rivals.size:
            continue
        difference = worth[rivals] - worth[pick, :, columns].T
        best, wins = _winners(difference, caution)
        fitted = bool(learned[rivals].all())
        if fitted and _evidence(difference[best, :, columns].T * wins) < settings.proof:
            best, wins = _winners(difference, max(caution, settings.doubtful_caution))
        pick = np.where(wins, rivals[best], pick)
    # The first price buys the cheapest there is, so that every budget that fits it can be planned for.
    pick[0] = min(
        np.flatnonzero(static),
        key=lambda at: (everyone[at].cost[:, 0].mean(), -everyone[at].value[:, 0].mean()),
    )
    return np.asarray(pick)


def _choose(
    candidates: Sequence[Contender], tuned: Sequence[Contender], others: Sequence[Contender], bench: Bench
) -> AdaptiveFit:
    """Take the usual candidate at each price, and offer others to the prompts that they look better for."""
    everyone, prices, settings = [*candidates, *tuned, *others], bench.prices, bench.settings
    worth = _worth(everyone, prices)
    usual = _usual(candidates, tuned, worth[: len(candidates) + len(tuned)], bench)
    offers, taken = [[index] for index in usual.tolist()], np.tile(usual, (len(bench.prompts), 1))
    if _routes(bench):
        difficulty, folds = bench.difficulty[bench.prompts], bench.folds[bench.prompts]
        expected = expected_worth(worth, difficulty, folds, RESEMBLANCE)
        dearer = np.array([item.cost[:, 0].mean() for item in everyone])
        expected[dearer > dearer[usual[0]] * (1 + _ROUNDING), :, 0] = -np.inf
        offers = offer(worth, expected, usual, most=settings.max_options, caution=settings.tuned_caution)
        taken = routed(offers, expected)
    kept = list(dict.fromkeys(index for offered in offers for index in offered))
    moves = []
    value, cost, deviation = np.empty((3, *taken.shape))
    for index in kept:
        runs = bench.replay(everyone[index].ladder)
        rule = everyone[index].fit(runs)
        moves.append(Move(ladder=runs.ladder, rule=rule))
        for column in np.flatnonzero((taken == index).any(axis=0)):
            rows = taken[:, column] == index
            spent, spread = bench.spend(runs, rule, float(prices[column]))
            value[rows, column] = everyone[index].value[rows, column]
            cost[rows, column], deviation[rows, column] = spent[rows], spread[rows]
    policy = AdaptivePolicy(
        moves=tuple(moves),
        prices=prices,
        choice=np.array([kept.index(index) for index in usual]),
        scales=dict(bench.scales),
        routing=_routing(everyone, offers, taken, kept, bench),
    )
    return AdaptiveFit(
        policy=policy,
        prompts=bench.prompts,
        value=value,
        cost=cost,
        cost_deviation=deviation,
        names=tuple(everyone[index].name for index in usual),
    )


def _routing(
    everyone: Sequence[Contender],
    offers: list[list[int]],
    taken: NDArray[np.intp],
    kept: list[int],
    bench: Bench,
) -> Routing | None:
    """Return the offers with what they earned on the log's prompts; None where no price has several."""
    if all(len(offered) == 1 for offered in offers):
        return None
    columns = [(index, level) for level, offered in enumerate(offers) for index in offered]
    value, cost = np.full((2, len(bench.difficulty), len(columns)), np.nan)
    value[bench.prompts] = np.stack([everyone[index].value[:, level] for index, level in columns], axis=1)
    cost[bench.prompts] = np.stack([everyone[index].cost[:, level] for index, level in columns], axis=1)
    choice = np.zeros((len(bench.difficulty), len(offers)), dtype=np.int64)
    for level, offered in enumerate(offers):
        choice[bench.prompts, level] = [offered.index(index) for index in taken[:, level].tolist()]
    options = tuple(tuple(kept.index(index) for index in offered) for offered in offers)
    return Routing(options=options, value=value, cost=cost, taken=choice)


def _winners(difference: FloatArray, caution: float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the best of C rivals at each price, (L,), and whether it beats what was taken before clearly.

    `difference` is their worth less that of what was taken, (C, P, L); its mean must exceed `caution`
    standard errors.
    """
    error = difference.std(axis=1) / np.sqrt(difference.shape[1])
    score = _smooth(difference.mean(axis=1) - caution * error)
    best = score.argmax(axis=0)
    return best, score[best, np.arange(score.shape[1])] > 0


def _evidence(gain: FloatArray) -> float:
    """Return the mean of gains (P, L) over prompts and prices in its standard errors; 0 where all are 0."""
    each = gain.mean(axis=1)
    error = float(each.std()) / np.sqrt(len(each))
    return float(each.mean()) / error if error > 0 else 0.0


def _smooth(score: FloatArray) -> FloatArray:
    """Average along prices with their neighbours; the ends stand for what lies beyond them, shape (C, L)."""
    padded = np.pad(score, ((0, 0), (1, 1)), mode="edge")
    n_prices = score.shape[1]
    parts = [weight * padded[:, shift : shift + n_prices] for shift, weight in enumerate(_SMOOTH)]
    return np.asarray(np.sum(parts, axis=0))
