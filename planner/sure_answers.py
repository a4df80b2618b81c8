"""The door for prompts that arrive one at a time and whose answers are given only where they are sure enough.

Two calls around whatever carries a plan out: what to draw, and what to say of what came. Which share of
errors is allowed, or what errors cost, is settled when it is made; batches are left to
`planner.planner.Planner.run`, which does the same.
"""

from __future__ import annotations

from typing import NamedTuple

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt, as_prompts
from planner.planner import Planner
from planner.planning.at_risk import thresholds
from planner.planning.request import Request
from planner.ports.outcome import Outcome
from policies.answering.answering import AnswerPrice
from policies.plan.plan import AllocationPlan

__all__ = ["SureAnswers", "SurePlan"]


class SurePlan(NamedTuple):
    """A plan, and from which confidence on its answer is given, in [0, 1]."""

    plan: AllocationPlan
    confidence: float


class SureAnswers:
    """Plans single prompts, and withholds answers that are not sure enough.

    Parameters
    ----------
    planner : Planner
        Of a bundle that knows how sure its answers are.
    target_risk : float, optional
        Greatest share of errors among answered prompts, in (0, 1).
    answer_price : AnswerPrice, optional
        In place of a risk: what a wrong answer costs and what none does.

    Raises
    ------
    InvalidInputError
        When not exactly one of the two is given, or the bundle does not know how sure its answers are.
    InvalidBudgetError
        When the risk cannot be kept; the message says which one can (`reachable`).
    """

    def __init__(
        self,
        planner: Planner,
        *,
        target_risk: float | None = None,
        answer_price: AnswerPrice | None = None,
    ) -> None:
        if (target_risk is None) == (answer_price is None):
            raise InvalidInputError("give exactly one of target_risk and answer_price")
        self._planner, self._risk, self._price = planner, target_risk, answer_price
        self._known = planner._preparer.answering()
        if target_risk is not None:
            thresholds(self._known, target_risk)

    def plan(
        self, prompt: Prompt | str, *, price: float = 0.0, max_per_prompt: float | None = None
    ) -> SurePlan:
        """Return what to draw for a prompt.

        Parameters
        ----------
        prompt : Prompt or str
            The question.
        price : float
            Value that a unit of cost must bring; under a target of risk the way to answer is the one that
            gives the most answers, whatever it costs.
        max_per_prompt : float, optional
            Hard cap on the plan's expected cost, in the unit of the bundle.

        Raises
        ------
        InvalidBudgetError
            When the cap does not reach for any way to answer.
        """
        asked = Request(
            price=price if self._risk is None else None,
            target_risk=self._risk,
            answer_price=self._price,
            max_per_prompt=max_per_prompt,
        )
        batch = as_prompts([prompt])
        reading, asked = self._planner._preparer.read(batch, asked)
        ready = self._planner._preparer.batch(batch, asked)
        assert ready is not None
        with reading.paid_first():
            planned = self._planner._preparer.plans(ready, asked)
        return SurePlan(reading.plans(planned.plans)[0], planned.confidence)

    def settle(self, prompt: Prompt | str, asked: SurePlan, outcome: Outcome) -> Outcome:
        """Return an outcome with confidence and verdict, its answer withheld where it is not sure enough.

        Parameters
        ----------
        prompt : Prompt or str
            The question.
        asked : SurePlan
            From `plan`; its plan as it was carried out.
        outcome : Outcome
            What came of it.
        """
        from planner.running.withholding import withhold

        rates = self._planner._preparer.rates(as_prompts([prompt]), list(self._known.usual))
        (settled,) = withhold([outcome], [asked.plan], self._known, rates=rates, least=asked.confidence)
        return settled
