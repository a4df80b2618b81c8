"""Candidates of an adaptive policy: a ladder and a rule, and what they earned out of fold at each price.

Every prompt is scored by a learned rule that was fitted on other folds; static allocations and known rules
have nothing to fit. Which candidate is taken at which price is left to `training.adaptive.fit`, which recipes
are tried to `training.adaptive.tune`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rule import StopRule
from policies.ladder.stop_rules import AdaptiveConsistency, Always, Unanimous
from policies.ladder.value_rule import ValueRule, feature_matrix, probably_wrong
from policies.plan.objective import Objective
from policies.replay.pools import ReplayPool
from policies.replay.trajectories import Trajectories, replay, score_rule
from training.adaptive.fit_rule import fit_value_rule
from training.adaptive.proposals import Settings

__all__ = ["KNOWN_RULES", "Bench", "Contender", "score_at_prices"]

FloatArray: TypeAlias = NDArray[np.float64]

# Tried on every ladder of one generator, so that the policy contains them: near the plateau they waste least.
KNOWN_RULES: Final[tuple[StopRule, ...]] = (
    *(AdaptiveConsistency(threshold=threshold) for threshold in (0.8, 0.9, 0.95, 0.98, 0.995)),
    *(Unanimous(window=window) for window in (3, 5)),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contender:
    """A ladder and a rule with what they earned out of fold.

    Parameters
    ----------
    name : str
        In words.
    ladder : Ladder
        What is climbed.
    fit : callable
        Returns the rule, fitted on all draws of the ladder.
    value, cost : ndarray of float64, shape (P, L)
        Value and cost of each prompt at each price, means over random orders.
    static, learned : bool
        Whether it never looks at what has been drawn, and whether its rule is fitted.
    """

    name: str
    ladder: Ladder
    fit: Callable[[Trajectories], StopRule]
    value: FloatArray
    cost: FloatArray
    static: bool = False
    learned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bench:
    """Training prompts with all that replaying candidates on them needs.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        Recorded samples by generator.
    scales : mapping of str to SampleScale
        What is usual for them.
    difficulty : ndarray of float64, shape (T, D)
        Out-of-fold coordinates, standardised.
    folds : ndarray of intp, shape (T,)
        Folds of the cross-fit.
    prices : ndarray of float64, shape (L,)
        Falling prices.
    prompts : ndarray of intp, shape (P,)
        Rows that every candidate is compared on.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    settings : Settings
        How to search.
    """

    pools: Mapping[str, ReplayPool]
    scales: Mapping[str, SampleScale]
    difficulty: FloatArray
    folds: NDArray[np.intp]
    prices: FloatArray
    prompts: NDArray[np.intp]
    objective: Objective
    settings: Settings

    def replay(self, ladder: Ladder) -> Trajectories:
        """Draw a ladder for every prompt that has its samples."""
        return replay(
            self.pools,
            ladder,
            scales=self.scales,
            difficulty=self.difficulty,
            objective=self.objective,
            n_orders=self.settings.n_orders(len(self.difficulty)),
            seed=self.settings.seed,
        )

    def static(self, runs: Trajectories) -> list[Contender]:
        """Return every beginning of one generator's ladder, drawn in one wave, as a candidate."""
        generator = runs.ladder.generators[0]
        found, drawn = [], 0
        for wave, step in enumerate(runs.ladder.waves):
            drawn += step.n
            ladder = Ladder(
                waves=(Wave(generator=generator, n=drawn),),
                pooled=runs.ladder.pooled,
                logprob_weight=runs.ladder.logprob_weight,
                logprob_weights=runs.ladder.logprob_weights,
                chance_weight=runs.ladder.chance_weight,
            )
            value, cost = (
                part[wave][:, None].repeat(len(self.prices), 1) for part in (runs.value, runs.cost)
            )
            found.append(
                self._candidate(f"{generator} x{drawn}", ladder, _always, runs, value, cost, static=True)
            )
        return found

    def known(self, runs: Trajectories, rule: StopRule) -> Contender:
        """Return a rule with nothing to fit as a candidate."""
        # Known rules do not look at the price.
        result = score_rule(runs, rule)
        value, cost = (part[:, None].repeat(len(self.prices), 1) for part in (result.value, result.cost))
        return self._candidate(f"{rule} on {runs.ladder}", runs.ladder, lambda _: rule, runs, value, cost)

    def learned(self, runs: Trajectories, *, features: str, ridge: float) -> Contender:
        """Fit on the other folds and score on each fold; fitting on all waits until it is chosen."""
        matrices = [feature_matrix(state, features) for state in runs.evidence]
        # Draws take much memory: only their means are kept, and the chosen ladders are drawn again.
        fit = partial(
            fit_value_rule,
            prices=self.prices,
            features=features,
            ridge=ridge,
            futility=self.settings.futility,
        )
        of_draw = np.repeat(self.folds[runs.prompts], runs.n_orders)
        value = np.zeros((runs.value.shape[1], len(self.prices)))
        cost = np.zeros_like(value)
        for test in np.unique(of_draw):
            held = of_draw == test
            rule = fit(runs, draws=~held, matrices=matrices)
            value[held], cost[held] = score_at_prices(runs, rule, matrices=matrices, draws=held)
        return self._candidate(
            f"learned ({features}) on {runs.ladder}", runs.ladder, fit, runs, value, cost, learned=True
        )

    def _candidate(
        self,
        name: str,
        ladder: Ladder,
        fit: Callable[[Trajectories], StopRule],
        runs: Trajectories,
        value: FloatArray,
        cost: FloatArray,
        *,
        static: bool = False,
        learned: bool = False,
    ) -> Contender:
        """Average draws, (N, L), over orders, and keep the common prompts."""
        rows = np.searchsorted(runs.prompts, self.prompts)
        value, cost = runs.per_prompt(value)[rows], runs.per_prompt(cost)[rows]
        return Contender(
            name=name, ladder=ladder, fit=fit, value=value, cost=cost, static=static, learned=learned
        )

    def spend(self, runs: Trajectories, rule: StopRule, price: float) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of what a rule spends on each common prompt, (P,) each."""
        rows = np.searchsorted(runs.prompts, self.prompts)
        drawn = score_rule(runs, rule, price=price).cost
        mean, square = runs.per_prompt(drawn)[rows], runs.per_prompt(drawn**2)[rows]
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _always(runs: Trajectories) -> StopRule:
    return Always()


def score_at_prices(
    runs: Trajectories, rule: ValueRule, *, matrices: Sequence[FloatArray], draws: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return value and cost of a learned rule at its own prices, each of shape (n, L) for n draws."""
    live = np.ones((int(draws.sum()), len(rule.prices)), dtype=bool)
    value = np.repeat(runs.value[-1][draws][:, None], len(rule.prices), axis=1)
    cost = np.repeat(runs.cost[-1][draws][:, None], len(rule.prices), axis=1)
    for wave in range(len(runs.evidence) - 1):
        matrix = matrices[wave][draws]
        on = matrix @ (rule.gain[:, wave] - rule.prices[:, None] * rule.cost[:, wave]).T > 0
        if not rule.futility:
            on |= probably_wrong(matrix @ rule.accuracy[wave])[:, None]
        on &= (runs.evidence[wave].n_correct == 0)[draws][:, None]
        ends = live & ~on
        np.copyto(value, runs.value[wave][draws][:, None], where=ends)
        np.copyto(cost, runs.cost[wave][draws][:, None], where=ends)
        live &= on
    return value, cost
