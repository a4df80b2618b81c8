"""What it costs that a language model reads the prompts before they are planned.

A bundle whose features need hidden states sends every prompt through a model once. That is paid from the same
budget: it is taken off before anything is planned, and charged to plans and outcomes afterwards. What a
prompt would take is left to `planner.planning.batch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBudgetError
from difficulty.prompt import Prompt
from planner.planning.frontier import FrontierPoint
from planner.planning.request import Request
from planner.ports.outcome import Outcome
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

if TYPE_CHECKING:
    from difficulty.features.own_features import PromptReader


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """What reading P prompts costs.

    Parameters
    ----------
    tokens : ndarray of int64, shape (P,)
        That the model reads of each prompt.
    cost : ndarray of float64, shape (P,)
        In the unit that is planned in; 0 in units that do not count them.
    """

    tokens: NDArray[np.int64]
    cost: FloatArray

    @classmethod
    def of(cls, prompts: Sequence[Prompt], reader: PromptReader | None, model: CostModel | None) -> Self:
        """Price the reading of prompts; nothing without a reader.

        Raises
        ------
        UnknownUnitError
            When the unit counts such tokens and the model lacks the price, such as ``predictor_params``.
        """
        if reader is None or model is None:
            return cls(tokens=np.zeros(len(prompts), dtype=np.int64), cost=np.zeros(len(prompts)))
        tokens = reader.n_tokens(prompts)
        name = next(iter(model.generators), "")
        if "predictor_tokens" not in model.reads(name):
            return cls(tokens=tokens, cost=np.zeros(len(prompts)))
        cost = model.price_arrays(name, predictor_tokens=tokens.astype(np.float64), requests=0.0)
        return cls(tokens=tokens, cost=cost)

    def left_of(self, asked: Request) -> Request:
        """Return what is asked for after the reading is paid.

        Raises
        ------
        InvalidBudgetError
            When nothing is left of the budget, or of a cap.
        """
        if not self.cost.any():
            return asked
        budget, most = asked.budget, float(self.cost.max())
        if budget is None:
            cap = asked.max_per_prompt
            return replace(asked, max_per_prompt=None if cap is None else _above(cap - most, most, cap))
        total, paid = budget.total(n_prompts=len(self.cost)), float(self.cost.sum())
        cap = budget.max_per_prompt
        left = Budget(
            limit=_above(total - paid, paid, total),
            unit=budget.unit,
            scope="batch",
            max_per_prompt=None if cap is None else _above(cap - most, most, cap),
        )
        return replace(asked, budget=left)

    @contextmanager
    def paid_first(self) -> Iterator[None]:
        """Say beside a budget that cannot be met that it is what reading has left."""
        try:
            yield
        except InvalidBudgetError as error:
            if not self.cost.any():
                raise
            paid = float(self.cost.sum())
            raise InvalidBudgetError(
                f"after {paid:g} for reading these {len(self.cost)} prompts with a language model: {error}",
                least=None if error.least is None else error.least + paid,
                reachable=error.reachable,
            ) from error

    def plans(self, plans: Sequence[AllocationPlan]) -> list[AllocationPlan]:
        """Return plans whose expected cost holds the reading."""
        if not self.cost.any():
            return list(plans)
        return [
            replace(
                plan,
                expected_cost=plan.expected_cost + cost,
                cost_interval=None
                if plan.cost_interval is None
                else (plan.cost_interval[0] + cost, plan.cost_interval[1] + cost),
            )
            for plan, cost in zip(plans, self.cost.tolist(), strict=True)
        ]

    def outcomes(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return outcomes whose usage and costs hold the reading."""
        if not self.tokens.any():
            return list(outcomes)
        return [
            replace(
                outcome,
                usage=outcome.usage + Usage(predictor_tokens=tokens),
                cost=None if outcome.cost is None else outcome.cost + cost,
                expected_cost=None if outcome.expected_cost is None else outcome.expected_cost + cost,
            )
            for outcome, tokens, cost in zip(outcomes, self.tokens.tolist(), self.cost.tolist(), strict=True)
        ]

    def points(self, points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
        """Return points of a frontier whose expected cost holds the reading."""
        more = float(self.cost.mean())
        return [point._replace(expected_cost=point.expected_cost + more) for point in points]


def _above(left: float, paid: float, given: float) -> float:
    """Return what is left, or say that reading takes all of it."""
    if left <= 0:
        raise InvalidBudgetError(
            f"reading the prompts with the language model that the bundle needs costs {paid:g}, and "
            f"{given:g} is given; raise it, or plan with a bundle that was trained without hidden states"
        )
    return left
