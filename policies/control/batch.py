"""Spend one budget over a batch in waves: re-solve the price after each, never exceed the total.

Between two waves every live prompt says, for each of a few prices, what going on would gain and cost. The
control takes the lowest price whose expected spend fits what is left, and admits prompts, best first, only
while the *most* that their next waves can cost fits too. It assumes that those bounds hold; what a wave is
and how gain is expected is left to `policies.ladder.value_rule`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBudgetError, InvalidInputError

__all__ = ["Admission", "BatchControl"]

FloatArray: TypeAlias = NDArray[np.float64]


class Admission(NamedTuple):
    """What a round may draw.

    Attributes
    ----------
    go_on : ndarray of bool, shape (N,)
        Prompts whose next wave is drawn; the others wait, and may go on later if money comes back.
    price : float
        The price at which they were admitted, value per unit of cost.
    """

    go_on: NDArray[np.bool_]
    price: float


@dataclass(kw_only=True, slots=True)
class BatchControl:
    """The account of one batch.

    Parameters
    ----------
    limit : float
        The most that the batch may cost, finite and at least 0.
    spent : float
        What has been spent.
    reserved : float
        The most that waves in flight can still cost.

    Raises
    ------
    InvalidBudgetError
        When the limit is negative or not finite.

    Examples
    --------
    >>> control = BatchControl(limit=3.0)
    >>> gain, cost = np.array([[0.3], [0.1], [0.2], [0.05]]), np.ones((4, 1))
    >>> control.admit(gain, cost, worst=np.ones(4), prices=np.array([1e-3])).go_on
    array([ True,  True,  True, False])
    >>> control.settle(2.0, reserved=3.0)
    >>> control.left
    1.0
    """

    limit: float
    spent: float = field(default=0.0)
    reserved: float = field(default=0.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit >= 0):
            raise InvalidBudgetError(f"the limit of a batch must be a finite number >= 0, got {self.limit!r}")

    @property
    def left(self) -> float:
        """What is neither spent nor reserved, at least 0."""
        return max(self.limit - self.spent - self.reserved, 0.0)

    def admit(
        self, gain: FloatArray, cost: FloatArray, *, worst: FloatArray, prices: FloatArray
    ) -> Admission:
        """Choose the price and the prompts that draw their next wave, and reserve the most that it can cost.

        Parameters
        ----------
        gain, cost : ndarray of float64, shape (N, L)
            Expected gain and cost of going on, to the end, at each price; from `ValueRule.outlooks`. A prompt
            that has no wave left has gain 0.
        worst : ndarray of float64, shape (N,)
            The most that the *next wave* of each prompt can cost, at least 0.
        prices : ndarray of float64, shape (L,)
            Falling prices.

        Returns
        -------
        Admission
            Nothing is admitted where nothing is worth even the lowest price, or nothing fits.
        """
        if gain.shape != (len(worst), len(prices)) or cost.shape != gain.shape:
            raise InvalidInputError(
                f"gain and cost must be (prompts, prices) = {(len(worst), len(prices))}; "
                f"got {gain.shape} and {cost.shape}"
            )
        if not (np.all(np.isfinite(worst)) and np.all(worst >= 0)):
            raise InvalidInputError("the most that a wave can cost must be finite and at least 0")
        spend = np.maximum(cost, 1e-300)
        wanted = (gain > prices * spend) & (gain > 0)
        # By noise a prompt may want to go on at one price and not at a lower one. So a prompt admitted at one
        # price is admitted at every lower price.
        entry = np.where(wanted.any(axis=1), wanted.argmax(axis=1), len(prices))
        total = np.where(entry[:, None] <= np.arange(len(prices)), spend, 0.0).sum(axis=0)
        fits = np.flatnonzero(total <= self.left)
        at = int(fits[-1]) if fits.size else -1
        lower = min(at + 1, len(prices) - 1)
        rate = gain[np.arange(len(worst)), np.minimum(entry, lower)] / spend[np.arange(len(worst)), lower]
        order = np.lexsort((-rate, entry))
        order = order[entry[order] <= lower]
        # Those who go on at the lowest price that fits, then the best of the next price while they fit.
        room = self.left - (float(total[at]) if fits.size else 0.0)
        marginal = np.cumsum(np.where(entry[order] > at, spend[order, lower], 0.0))
        inside = (entry[order] <= at) | (marginal <= room)
        if order.size and not inside.any():
            # Not even one prompt can be carried to its expected end, but single waves may fit.
            inside[:] = True
        order = order[inside]
        go_on = np.zeros(len(worst), dtype=bool)
        go_on[order[_fill(worst[order], self.left)]] = True
        self.reserved += float(worst[go_on].sum())
        return Admission(go_on, float(prices[max(at, 0)]))

    def settle(self, cost: float, *, reserved: float) -> None:
        """Book what a wave has really cost, and release what was reserved for it.

        Parameters
        ----------
        cost : float
            At least 0, usually at most `reserved`; a wave that cost more than its bound is booked all the
            same, and leaves less for the others.
        reserved : float
            Its part of the reservation.
        """
        if not (math.isfinite(cost) and cost >= 0):
            raise InvalidInputError(f"a cost must be a finite number >= 0, got {cost!r}")
        self.spent += cost
        self.reserved = max(self.reserved - reserved, 0.0)


def _fill(worst: FloatArray, room: float) -> NDArray[np.bool_]:
    """Return which items, taken in order and skipping what does not fit, stay within `room` together."""
    if worst.sum() <= room:
        return np.ones(len(worst), dtype=bool)
    taken = np.zeros(len(worst), dtype=bool)
    waiting, left = np.arange(len(worst)), room
    while waiting.size:
        fits = np.cumsum(worst[waiting]) <= left
        taken[waiting[fits]] = True
        left -= float(worst[waiting[fits]].sum())
        # The cumulative cut is a prefix; smaller items behind it may still fit.
        waiting = waiting[~fits]
        waiting = waiting[worst[waiting] <= left]
    return taken
