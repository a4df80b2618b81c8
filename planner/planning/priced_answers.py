"""Plans where errors and silence have prices: what is expected to be worth less than no answer is not drawn.

Levels of the policy, and nothing at all, are what each prompt may take; one price, given or of a budget,
decides. What drawing is worth is left to `policies.answering.worth`, withholding answers that were drawn to
`planner.running.withholding`.
"""

from __future__ import annotations

import numpy as np

from planner.planning.batch import Batch
from planner.planning.request import Request
from policies.answering.answering import Answering, AnswerPrice
from policies.answering.worth import worth_over_silence
from policies.plan.plan import AllocationPlan
from policies.solver.solver import solve


def plan_at_price_of_errors(
    ready: Batch, known: Answering, price: AnswerPrice, asked: Request
) -> list[AllocationPlan]:
    """Return one plan per prompt, in order; those that are not worth it draw nothing.

    Parameters
    ----------
    ready : Batch
        N prompts with what they would take at all levels.
    known : Answering
        What the bundle knows of being right.
    price : AnswerPrice
        Of errors and of silence.
    asked : Request
        With a budget or a price.
    """
    size = len(ready.prompts)
    worth = worth_over_silence(known, ready.menu.told, price)
    nothing = np.zeros((size, 1))
    worth, cost = np.hstack([nothing, worth]), np.hstack([nothing, ready.menu.cost])
    if asked.price is not None:
        taken, paid = (worth - asked.price * cost).argmax(axis=1), asked.price
    else:
        assert asked.budget is not None
        found = solve(worth, cost, budget=asked.budget.total(n_prompts=size), seed=asked.seed)
        taken, paid = found.choice, found.price
    drawn = taken > 0
    level = np.where(drawn, taken - 1, 0).astype(np.intp)
    plans = ready.writer.write(ready.prompts, ready.menu, level, price=paid, told_by=level)
    why = (
        f"no answer is expected to be worth its price: a wrong one costs {price.wrong:g}, none {price.none:g}"
    )
    return [plan if draws else plan.undrawn(why) for plan, draws in zip(plans, drawn.tolist(), strict=True)]
