"""Spend one budget over a batch that climbs: between rounds, grant the wishes that are worth most.

Every prompt that could draw another wave says what going on would gain and cost at each of a few prices; the
price is solved anew from what is left of the budget, so that what one prompt saves is spent on another.
Prompts that are not granted wait, and go on if money comes back. The account is that of
`policies.batch_control`; sending is left to the lock-step driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.strategies.flow import NOT_WORTH, Failure, Prospect
from policies.adaptive_replay import StopRule
from policies.batch_control import BatchControl
from policies.evidence import Evidence
from policies.value_rule import ValueRule

__all__ = ["Grant", "Wish", "decide"]

FloatArray: TypeAlias = NDArray[np.float64]
# True: draw now. False: wait. A failure: never.
Grant: TypeAlias = bool | Failure

_SPENT: Final = Failure(kind="BudgetSpent", reason="the budget of the batch is spent", refused=True)
_NOT_WORTH: Final = Failure(kind=NOT_WORTH, reason="going on would not gain its price", refused=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A wave that a prompt would draw next.

    Parameters
    ----------
    prospect : Prospect
        What speaks for it.
    n : int
        Samples, at least 1.
    most : float
        The most that they can cost, finite and at least 0.
    """

    prospect: Prospect
    n: int
    most: float


def decide(wishes: Sequence[Wish], *, limit: float | None, spent: float) -> list[Grant]:
    """Return a grant for each wish: some are True, or all are refusals.

    Parameters
    ----------
    wishes : sequence of Wish
        One per live prompt; all with the same prices.
    limit : float, optional
        The most that the batch may cost; without it each rule decides at the price of its own plan.
    spent : float
        What it has cost so far.
    """
    if limit is None:
        return [True if _own(wish.prospect) else _NOT_WORTH for wish in wishes]
    prices = wishes[0].prospect.prices
    gain, cost = _outlooks(wishes, prices)
    control = BatchControl(limit=limit, spent=min(spent, limit))
    most = np.array([wish.most for wish in wishes])
    go_on = control.admit(gain, cost, worst=most, prices=prices).go_on
    if go_on.any():
        return [bool(on) for on in go_on]
    wanted: NDArray[np.bool_] = np.any(gain > prices * cost, axis=1)
    return [_SPENT if wants else _NOT_WORTH for wants in wanted.tolist()]


def _own(prospect: Prospect) -> bool:
    return bool(prospect.rule.go_on(prospect.evidence, price=prospect.price)[0])


def _outlooks(wishes: Sequence[Wish], prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what going on would gain and cost at each price, each of shape (N, L); one call per rule."""
    gain, cost = np.zeros((len(wishes), len(prices))), np.zeros((len(wishes), len(prices)))
    by_rule: dict[int, list[int]] = {}
    for index, wish in enumerate(wishes):
        by_rule.setdefault(id(wish.prospect.rule), []).append(index)
    for rows in by_rule.values():
        rule = wishes[rows[0]].prospect.rule
        evidence = _together([wishes[row].prospect.evidence for row in rows])
        if isinstance(rule, ValueRule):
            gains, costs = rule.outlooks(evidence)
            if not np.array_equal(rule.prices, prices):
                at = [rule.nearest(float(price)) for price in prices]
                gains, costs = gains[:, at], costs[:, at]
            gain[rows], cost[rows] = gains, np.maximum(costs, 0.0)
        else:
            n = np.array([wishes[row].n for row in rows])
            gain[rows], cost[rows] = _by_decision(rule, evidence, n, prices)
    return gain, cost


def _by_decision(
    rule: StopRule, evidence: Evidence, n: NDArray[np.int64], prices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return gain and cost of rules that only say yes or no: a yes is worth twice its price."""
    each = evidence.spent / np.maximum(evidence.n_drawn, 1)
    cost = np.tile(np.maximum(each, 1e-300)[:, None] * n[:, None], len(prices)).astype(np.float64)
    wanted = np.stack([rule.go_on(evidence, price=float(price)) for price in prices], axis=1)
    return np.where(wanted, 2.0 * prices * cost, 0.0), cost


def _together(parts: Sequence[Evidence]) -> Evidence:
    """Return the rows of all parts as one."""
    columns = {
        item.name: np.concatenate(list(map(attrgetter(item.name), parts))) for item in fields(Evidence)
    }
    return Evidence(**columns)
