"""Plans for a target of risk: the way that gives the most answers at it, and from where on to give them.

Ways are levels of the policy and panels, one vote of several generators; the tests of their thresholds allow
for the choice among them (`policies.answering.risk`). Withholding answers is left to
`planner.running.withholding`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBudgetError
from planner.planning.batch import Batch
from planner.planning.menu import Menu
from policies.answering.answering import Answering
from policies.answering.risk import Threshold, check_risk
from policies.choice.levels import Levelled
from policies.plan.plan import AllocationPlan

# A way that gives so many fewer answers and costs less is as good.
_AS_GOOD: Final = 0.01
_RISKS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


class AtRisk(NamedTuple):
    """Plans, and from which confidence on their answers are given."""

    plans: list[AllocationPlan]
    threshold: Threshold


class Panels(NamedTuple):
    """What the ways that are panels bring and cost N prompts, shape (N, W) each."""

    value: FloatArray
    cost: FloatArray


def thresholds(
    answering: Answering, target_risk: float, *, ways: NDArray[np.intp] | None = None, batch: int = 1
) -> list[Threshold]:
    """Return from where on the answers of ways, all by default, keep a risk in a batch.

    Raises
    ------
    InvalidBudgetError
        When none of them keeps it (`reachable`: a risk that is kept).
    """
    check_risk(target_risk)
    tried = range(len(answering.levels)) if ways is None else ways.tolist()
    found = [answering.threshold(way, target_risk, batch=batch) for way in tried]
    if not any(test.answered for test in found):
        kept = [
            risk
            for risk in _RISKS
            if risk > target_risk
            and any(answering.threshold(way, risk, batch=batch).answered for way in tried)
        ]
        raise InvalidBudgetError(
            f"no answers are known to keep their errors below {target_risk:g}"
            + (f"; {kept[0]:g} can be kept" if kept else "")
            + ": ask for more risk, give a larger budget, or train on more prompts",
            reachable=kept[0] if kept else None,
        )
    return found


def plan_at_risk(
    ready: Batch,
    answering: Answering,
    panels: Panels,
    *,
    target_risk: float,
    budget: float | None = None,
    cap: float = np.inf,
) -> AtRisk:
    """Return the plans of the way that gives the most answers at a risk.

    Parameters
    ----------
    ready : Batch
        N prompts with what they would take at all levels.
    answering : Answering
        What the bundle knows of being right.
    panels : Panels
        Of these prompts.
    target_risk : float
        Greatest share of errors among answered prompts, in (0, 1).
    budget : float, optional
        What all prompts together may be expected to cost.
    cap : float
        What each may be.

    Raises
    ------
    InvalidBudgetError
        When no way can be paid (`least`), or none keeps the risk (`reachable`: a risk that is kept).
    """
    size = len(ready.prompts)
    costs = np.empty((size, len(answering.levels)))
    at = np.flatnonzero(answering.levels >= 0)
    costs[:, at] = ready.menu.cost[:, answering.levels[at]]
    costs[:, answering.levels < 0] = panels.cost
    total = costs.sum(axis=0)
    able = (total <= (np.inf if budget is None else budget * (1 + 1e-9))) & (costs <= cap).all(axis=0)
    if not able.any():
        least = float(total.min())
        raise InvalidBudgetError(
            f"the cheapest way to answer these {size} prompts is expected to cost {least:.6g} in all; raise "
            "the budget or the cap",
            least=least,
        )
    ways = np.flatnonzero(able)
    tests = thresholds(answering, target_risk, ways=ways, batch=size)
    answered = np.array([test.answered for test in tests])
    good = np.flatnonzero(answered >= answered.max() - _AS_GOOD)
    best = int(good[total[ways[good]].argmin()])
    way, threshold = int(ways[best]), tests[best]
    if answering.levels[way] >= 0:
        level = np.full(size, answering.levels[way], dtype=np.intp)
        return AtRisk(
            ready.at_levels(Levelled(level, float(ready.chooser.policy.prices[level[0]]))), threshold
        )
    place = int(np.flatnonzero(np.flatnonzero(answering.levels < 0) == way)[0])
    menu = Menu(
        course=np.full((size, 1), answering.columns[way], dtype=np.int32),
        value=panels.value[:, [place]].clip(0.0, 1.0),
        told=panels.value[:, [place]].clip(0.0, 1.0),
        cost=panels.cost[:, [place]],
        familiarity=ready.menu.familiarity,
        ease=ready.menu.ease,
    )
    first, last = (np.full(size, level, dtype=np.intp) for level in (0, len(ready.chooser.policy.prices) - 1))
    plans = ready.writer.write(ready.prompts, menu, first, price=0.0, told_by=last)
    return AtRisk(plans, threshold)
