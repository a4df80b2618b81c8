"""Replay a bundle's adaptive policy and its rivals on test prompts, beside the one-shot baselines.

Every price of a policy is one point of its frontier. Samples are drawn from the recorded pools in random
orders; a prompt that lacks samples that some ladder needs is left out of the test prompts; `replayable` names
those that stay. Intervals are drawn by `training.evaluation.comparison`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.standardised import standardised
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.adaptive.policy import AdaptivePolicy
from policies.cost.cost_model import CostModel
from policies.ladder.ladder import Ladder
from policies.plan.objective import check_objective
from policies.replay.pools import ReplayPool, replay_pools
from policies.replay.trajectories import replay, score_rule
from policies.verifier.learned_verifier import LearnedScorer
from training.adaptive.stage import replay_course
from training.evaluation.baselines import Course

__all__ = ["AdaptiveBed", "adaptive_courses", "replayable", "round_table"]

FloatArray: TypeAlias = NDArray[np.float64]

# Replayed draws, prompts × random orders: what is measured on few prompts is replayed more often.
_N_DRAWS: Final = 8000
_LEAST_ORDERS, _MOST_ORDERS = 24, 128


def replayable(bundle: PolicyBundle, log: SampleLog) -> NDArray[np.bool_]:
    """Return which prompts have all samples that the bundle's ladders may draw, (P,); all without ladders."""
    mask = np.ones(len(log.prompts), dtype=bool)
    for policy in _policies(bundle).values():
        for move in policy.moves:
            for name in move.ladder.generators:
                pool = log.pool(name)
                mask &= (pool.correct >= 0).sum(axis=1) >= move.ladder.needs(name)
                if move.ladder.judged:
                    mask &= bundle.verifiers[name].readable(pool)
    return mask


class AdaptiveBed(NamedTuple):
    """Test prompts with all that replaying adaptive policies on them needs.

    Attributes
    ----------
    policies : dict of str to AdaptivePolicy
        ``"adaptive"`` and its rivals; none where the bundle has no adaptive policy.
    pools : dict of str to ReplayPool
        Samples of the P test prompts by generator, in the bundle's unit.
    difficulty : ndarray of float64, shape (P, D)
        Standardised coordinates.
    bundle : PolicyBundle
        Trained on other prompts.
    seed : int
        Seed of the random orders and of the placebo.
    """

    policies: dict[str, AdaptivePolicy]
    pools: dict[str, ReplayPool]
    difficulty: FloatArray
    bundle: PolicyBundle
    seed: int

    @classmethod
    def of(
        cls, bundle: PolicyBundle, log: SampleLog, model: CostModel, *, coordinates: FloatArray, seed: int
    ) -> AdaptiveBed:
        """Prepare replays.

        Parameters
        ----------
        bundle : PolicyBundle
            Trained on other prompts.
        log : SampleLog
            P test prompts, all of them `replayable`.
        model : CostModel
            Prices samples.
        coordinates : ndarray of float64, shape (P, 1 + D)
            Predicted coordinates.
        seed : int
            Seed of the random orders and of the placebo.
        """
        policies = _policies(bundle)
        names = {
            name for policy in policies.values() for move in policy.moves for name in move.ladder.generators
        }
        judges = {name: LearnedScorer(models=(judge,)) for name, judge in bundle.verifiers.items()}
        return cls(
            policies=policies,
            pools=replay_pools(log, model, generators=sorted(names), judges=judges) if names else {},
            difficulty=standardised(coordinates, bundle.references.coordinates),
            bundle=bundle,
            seed=seed,
        )

    @property
    def references(self) -> FloatArray:
        """Standardised coordinates of the bundle's reference prompts, shape (T, D)."""
        coordinates = self.bundle.references.coordinates
        return standardised(coordinates, coordinates)

    @property
    def n_orders(self) -> int:
        """Random orders per prompt."""
        return min(max(_N_DRAWS // max(len(self.difficulty), 1), _LEAST_ORDERS), _MOST_ORDERS)

    def course(
        self,
        policy: AdaptivePolicy,
        *,
        difficulty: FloatArray | None = None,
        pools: Mapping[str, ReplayPool] | None = None,
    ) -> tuple[Course, FloatArray]:
        """Replay one policy.

        Parameters
        ----------
        policy : AdaptivePolicy
            Of L price levels.
        difficulty, pools : optional
            In place of the bed's own.

        Returns
        -------
        tuple
            Its course, and the mean rounds of each prompt at each price, shape (P, L).
        """
        _, value, cost, rounds = replay_course(
            policy,
            self.pools if pools is None else pools,
            difficulty=self.difficulty if difficulty is None else difficulty,
            objective=check_objective(self.bundle.objective),
            references=self.references,
            n_orders=self.n_orders,
            seed=self.seed,
        )
        return Course(cost, value), rounds

    def prefixes(
        self, policy: AdaptivePolicy, *, pools: Mapping[str, ReplayPool]
    ) -> tuple[FloatArray, FloatArray]:
        """Return value and cost of every static beginning of a policy's ladders, each of shape (P, prefixes).

        With a checker a prompt is done at its first correct sample.
        """
        values, costs = [], []
        objective = check_objective(self.bundle.objective)
        for ladder in dict.fromkeys(move.ladder for move in policy.moves):
            runs = replay(
                pools,
                ladder,
                scales=policy.scales,
                difficulty=self.difficulty,
                objective=objective,
                n_orders=self.n_orders,
                seed=self.seed,
            )
            cost = runs.cost.copy()
            if objective == "coverage":
                for wave in range(1, len(cost)):
                    np.copyto(cost[wave], cost[wave - 1], where=runs.value[wave - 1] > 0)
            values.append(runs.per_prompt(runs.value.T))
            costs.append(runs.per_prompt(cost.T))
        return np.concatenate(values, axis=1), np.concatenate(costs, axis=1)


def adaptive_courses(bed: AdaptiveBed) -> tuple[dict[str, Course], FloatArray]:
    """Replay every adaptive policy of a bundle, and its placebo: difficulty dealt to the wrong prompts.

    Returns
    -------
    tuple
        Courses by name (empty without an adaptive policy), and the rounds of the adaptive policy per prompt
        and price, shape (P, L).
    """
    courses, rounds = {}, np.zeros((len(bed.difficulty), 0))
    for name, policy in bed.policies.items():
        courses[name], drawn = bed.course(policy)
        if name == "adaptive":
            rounds = drawn
    if courses and bed.difficulty.shape[1]:
        order = np.random.default_rng(bed.seed).permutation(len(bed.difficulty))
        courses["adaptive, shuffled predictor"], _ = bed.course(
            bed.policies["adaptive"], difficulty=bed.difficulty[order]
        )
    return courses, rounds


def round_table(
    bed: AdaptiveBed, log: SampleLog, course: Course, rounds: FloatArray, budgets: list[float]
) -> list[dict[str, Any]]:
    """Return, for each budget, the rounds of the dearest price level of the adaptive policy that it buys.

    Parameters
    ----------
    bed : AdaptiveBed
        What was replayed.
    log : SampleLog
        The P test prompts.
    course, rounds
        Of the adaptive policy, from `adaptive_courses`.
    budgets : list of float
        Mean cost per prompt.

    Returns
    -------
    list of dict
        Budget, cost, rounds (mean, and 95th percentile over prompts), and total tokens per prompt if each
        wave re-sends the prompt and if a prefix cache spares all but the first time that a generator reads
        it; None where prompt or output tokens are not recorded.
    """
    cost = course.cost.mean(axis=0)
    table = []
    for budget in budgets:
        affordable = np.flatnonzero(cost <= budget * (1 + 1e-9))
        level = int(affordable[cost[affordable].argmax()]) if len(affordable) else int(cost.argmin())
        resent, cached = _total_tokens(bed, log, level) or (None, None)
        table.append(
            {
                "budget": budget,
                "cost": round(float(cost[level]), 4),
                "mean_rounds": round(float(rounds[:, level].mean()), 3),
                "p95_rounds": round(float(np.quantile(rounds[:, level], 0.95)), 3),
                "total_tokens_resent": resent,
                "total_tokens_cached": cached,
            }
        )
    return table


def _total_tokens(bed: AdaptiveBed, log: SampleLog, level: int) -> tuple[float, float] | None:
    """Return mean total tokens per prompt with and without re-sent prompts at a level, where recorded."""
    policy = bed.policies["adaptive"]
    taken = policy.route(bed.difficulty, bed.references)[:, level]
    moves = {index: policy.moves[index] for index in np.unique(taken).tolist()}
    names = sorted({name for move in moves.values() for name in move.ladder.generators})
    if not all(_tokens_recorded(log, name) for name in names):
        return None
    judges = {name: judge for name in names if (judge := bed.pools[name].judge) is not None}
    output = replay_pools(log, CostModel(unit="output_tokens"), generators=names, judges=judges)
    totals = np.empty((2, len(taken)))
    for index, move in moves.items():
        # Decisions are made in the bundle's unit; equal seeds draw the same samples in both replays.
        climb = partial(
            replay,
            ladder=move.ladder,
            scales=policy.scales,
            difficulty=bed.difficulty,
            objective=check_objective(bed.bundle.objective),
            n_orders=bed.n_orders,
            seed=bed.seed,
        )
        stopped = score_rule(climb(bed.pools), move.rule, price=float(policy.prices[level])).waves
        drawn = climb(output)
        spent = drawn.cost[stopped - 1, np.arange(len(stopped))]
        prompts = {name: log.pool(name).prompt_tokens[drawn.prompts] for name in move.ladder.generators}
        each = np.stack([prompts[wave.generator] for wave in move.ladder.waves])
        lines = np.repeat(np.arange(len(drawn.prompts)), drawn.n_orders)
        here = taken == index
        for row, sent in enumerate((each, each * _first_uses(move.ladder)[:, None])):
            total = drawn.per_prompt(spent + np.cumsum(sent, axis=0)[stopped - 1, lines])
            totals[row, here] = total[here]
    resent, cached = totals.mean(axis=1).tolist()
    return round(resent, 3), round(cached, 3)


def _tokens_recorded(log: SampleLog, name: str) -> bool:
    pool = log.pool(name)
    return not np.isnan(pool.prompt_tokens).any() and not np.isnan(pool.output_tokens).all()


def _first_uses(ladder: Ladder) -> NDArray[np.bool_]:
    """Return which waves are the first of their generator, shape (T,)."""
    names = [wave.generator for wave in ladder.waves]
    return np.array([name not in names[:index] for index, name in enumerate(names)])


def _policies(bundle: PolicyBundle) -> dict[str, AdaptivePolicy]:
    if bundle.adaptive is None:
        return {}
    return {"adaptive": bundle.adaptive.policy, **bundle.rivals}
