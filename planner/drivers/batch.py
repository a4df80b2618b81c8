"""Spend one budget over a batch that climbs: between rounds, grant the wishes that are worth most.

Every prompt that could draw another wave says what going on would gain and cost at each of a few prices; the
price is solved anew from what is left of the budget, so that what one prompt saves is spent on another.
Prompts that are not granted wait, and go on if money comes back. The account is that of
`policies.control.batch`; sending is left to the lock-step driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.strategies.flow import NOT_WORTH, Failure, Prospect
from policies.control.batch import BatchControl
from policies.ladder.evidence import Evidence
from policies.ladder.stop_rule import StopRule
from policies.ladder.value_rule import ValueRule

__all__ = ["Grant", "Wish", "decide"]

FloatArray: TypeAlias = NDArray[np.float64]
# True: draw now. False: wait. A failure: never.
Grant: TypeAlias = bool | Failure

_SPENT: Final = Failure(kind="BudgetSpent", reason="the budget of the batch is spent", refused=True)
_NOT_WORTH: Final = Failure(kind=NOT_WORTH, reason="going on would not gain its price", refused=True)


class Wish(NamedTuple):
    """A wave that a prompt would draw next; a named tuple, since every live prompt makes one per round.

    Attributes
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
    most = np.fromiter((wish.most for wish in wishes), dtype=np.float64, count=len(wishes))
    go_on = control.admit(gain, cost, worst=most, prices=prices).go_on
    if go_on.any():
        grants: list[Grant] = go_on.tolist()
        return grants
    wanted: NDArray[np.bool_] = np.any(gain > prices * cost, axis=1)
    return [_SPENT if wants else _NOT_WORTH for wants in wanted.tolist()]


def _own(prospect: Prospect) -> bool:
    return bool(prospect.rule.go_on(Evidence.unpacked([prospect.evidence]), price=prospect.price)[0])


def _outlooks(wishes: Sequence[Wish], prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what going on would gain and cost at each price, each of shape (N, L); one call per rule."""
    by_rule: dict[int, list[int]] = {}
    for index, wish in enumerate(wishes):
        by_rule.setdefault(id(wish.prospect.rule), []).append(index)
    parts = [_outlooks_of([wishes[row] for row in rows], prices) for rows in by_rule.values()]
    if len(parts) == 1:
        return parts[0]
    gain, cost = np.empty((len(wishes), len(prices))), np.empty((len(wishes), len(prices)))
    for rows, (gains, costs) in zip(by_rule.values(), parts, strict=True):
        gain[rows], cost[rows] = gains, costs
    return gain, cost


def _outlooks_of(wishes: Sequence[Wish], prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return gain and cost of wishes that share a rule."""
    rule = wishes[0].prospect.rule
    evidence = Evidence.unpacked([wish.prospect.evidence for wish in wishes])
    if not isinstance(rule, ValueRule):
        return _by_decision(rule, evidence, np.array([wish.n for wish in wishes]), prices)
    gain, cost = rule.outlooks(evidence)
    if not np.array_equal(rule.prices, prices):
        at = [rule.nearest(float(price)) for price in prices]
        gain, cost = gain[:, at], cost[:, at]
    return gain, np.maximum(cost, 0.0)


def _by_decision(
    rule: StopRule, evidence: Evidence, n: NDArray[np.int64], prices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return gain and cost of rules that only say yes or no: a yes is worth twice its price."""
    each = evidence.spent / np.maximum(evidence.n_drawn, 1)
    cost = np.tile(np.maximum(each, 1e-300)[:, None] * n[:, None], len(prices)).astype(np.float64)
    wanted = np.stack([rule.go_on(evidence, price=float(price)) for price in prices], axis=1)
    return np.where(wanted, 2.0 * prices * cost, 0.0), cost
