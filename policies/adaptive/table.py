"""An adaptive policy with what it is expected to earn: value and cost at each price on the reference prompts.

Plans are made before anything is drawn, so they need to know what a policy that reacts will cost: each
price level of the policy is one column, measured out of fold on the prompts that a belief spreads its
weight over. Climbing is left to `planner.strategies.climb`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicySpec
from difficulty.errors import InvalidInputError
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.plan.objective import Objective
from policies.verifier.learned_verifier import LEARNED

__all__ = ["AdaptiveTable"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AdaptiveTable:
    """L price levels of an adaptive policy on T reference prompts.

    Parameters
    ----------
    policy : AdaptivePolicy
        Its L prices are the levels.
    value, cost : ndarray of float64, shape (T, L)
        Expected value and cost at each level, out of fold and routed; NaN where a prompt could not be
        replayed.
    cost_deviation : ndarray of float64, shape (T, L)
        Standard deviation of the cost of one run.
    cost_belief : PolicySpec or None
        How weights over the reference prompts are formed where costs are expected; None where as for values.

    Raises
    ------
    InvalidInputError
        When the shapes disagree.
    """

    policy: AdaptivePolicy
    value: FloatArray
    cost: FloatArray
    cost_deviation: FloatArray
    cost_belief: PolicySpec | None = None

    def __post_init__(self) -> None:
        shapes = {self.value.shape, self.cost.shape, self.cost_deviation.shape}
        if len(shapes) != 1 or self.value.ndim != 2 or self.value.shape[1] != len(self.policy.prices):
            raise InvalidInputError(
                f"value, cost and cost_deviation must be (T, {len(self.policy.prices)}), got {sorted(shapes)}"
            )

    def take(self, rows: NDArray[np.intp]) -> AdaptiveTable:
        """Return the table of the reference prompts at `rows`."""
        return AdaptiveTable(
            policy=self.policy.take(rows),
            value=self.value[rows],
            cost=self.cost[rows],
            cost_deviation=self.cost_deviation[rows],
            cost_belief=self.cost_belief,
        )

    def move(self, level: int, option: int = 0) -> Move:
        """Return the ladder and stop rule of a level, or of one of its other options."""
        return self.policy.options(level)[option]

    def allocation(self, level: int, objective: Objective, option: int = 0) -> Allocation:
        """Return an option of a level as an allocation: the most that it may draw, and both as parameters.

        The first option, the usual one, is not named. Examples of the parameters' use are in
        `planner.planning.adaptive`.
        """
        move = self.move(level, option)
        ladder = move.ladder
        strategy: StrategyName = "weighted_best_of_n" if ladder.judged else "majority_vote"
        judge = {"verifier": LEARNED} if ladder.judged else {}
        other = {"option": option} if option else {}
        return Allocation(
            generator=ladder.waves[0].generator,
            strategy="first_success" if objective == "coverage" else strategy,
            width=ladder.n,
            params={"stop": type(move.rule).__name__, "level": level, **other, **judge},
        )
