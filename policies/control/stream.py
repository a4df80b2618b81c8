"""Keep a stream of prompts on its budget, per window of prompts or of time, by a price that moves.

The control knows what a prompt is expected to cost at each price and learns by how much reality differs;
before each prompt it asks what may be spent per prompt until the window ends, and returns the price that
spends just that. Costs belong to the window that their prompt was opened in. State is a few numbers that
survive a restart; hard caps are kept by whoever spends.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

from difficulty.arguments import check_choice, check_number
from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.control.state import StreamState

ClockName: TypeAlias = Literal["prompts", "seconds"]

# How fast the control forgets: prompts of memory for cost drift and for the arrival rate.
_DRIFT_MEMORY: Final = 150.0
_RATE_MEMORY: Final = 60.0
# Prompts that the predicted costs count for at first.
_DOUBT: Final = 5.0
# The allowance per prompt moves within these factors of the nominal one, so that the end of a window does not
# swing.
_SWING: Final = 8.0
# The end of a window is aimed at so far above the limit that what is in flight leaves it short of this share
# only where it deviates by more than so many standard deviations; whoever spends cuts off what is too much.
_SHORT: Final = 0.98
_DEVIATIONS: Final = 2.0
_HIGHEST_AIM: Final = 1.5


class Ticket(NamedTuple):
    """Leave to spend on one prompt.

    Attributes
    ----------
    price : float
        Price λ to plan at, value per unit of cost.
    expected : float
        What it is expected to cost at that price.
    window : float
        Start of its window.
    """

    price: float
    expected: float
    window: float


@dataclass(kw_only=True, slots=True)
class StreamControl:
    """A budget per window over a stream of prompts.

    Parameters
    ----------
    limit : float
        Budget per window, above 0.
    window : float
        Length of a window, in prompts or seconds, above 0.
    clock : {"prompts", "seconds"}
        What windows are made of.
    prices : sequence of float
        Falling prices, at least two.
    costs : sequence of float
        Expected cost of a prompt at each price, not falling; from the policy's frontier.
    state : StreamState
        Where to go on; a new stream by default.

    Attributes
    ----------
    latest : float
        Price of the latest prompt; before the first one, that of an even share.

    Raises
    ------
    InvalidBudgetError
        When limit or window cannot be meant.
    InvalidInputError
        When prices and costs do not fit together.

    Examples
    --------
    >>> control = StreamControl(limit=100.0, window=50, clock="prompts", prices=[1.0, 0.1], costs=[1.0, 3.0])
    >>> ticket = control.open()
    >>> control.settle(ticket, cost=2.5)
    >>> round(ticket.price, 3), control.state.spent
    (0.302, 2.5)
    """

    limit: float
    window: float
    prices: Sequence[float]
    costs: Sequence[float]
    clock: ClockName = "prompts"
    state: StreamState = field(default_factory=StreamState)
    latest: float = field(init=False, default=math.nan)

    def __post_init__(self) -> None:
        check_number("limit", self.limit, "above 0", error=InvalidBudgetError)
        check_number("window", self.window, "above 0", error=InvalidBudgetError)
        check_choice("clock", self.clock, ("prompts", "seconds"))
        prices, costs = list(self.prices), list(self.costs)
        falling = all(a > b for a, b in pairwise(prices))
        rising = all(a <= b for a, b in pairwise(costs))
        if len(prices) < 2 or len(prices) != len(costs) or not (falling and rising):
            raise InvalidInputError("prices must fall and costs must not, with at least two of each")
        if prices[-1] <= 0 or costs[0] < 0 or costs[-1] <= 0:
            raise InvalidInputError("prices must be above 0 and costs at least 0, with some cost above 0")
        self.prices, self.costs = prices, costs
        self.latest = self._price_of(self._nominal(self.window if self.clock == "prompts" else 1.0))

    def open(self, *, now: float | None = None) -> Ticket:
        """Return the price for the next prompt, and reserve what it is expected to cost.

        Parameters
        ----------
        now : float, optional
            Seconds that never go back; needed where windows are of time.
        """
        state = self.state
        remaining_prompts = self._advance(now)
        nominal = self._nominal(remaining_prompts)
        room = self._aim() - state.spent - state.pending
        target = min(max(room / max(remaining_prompts, 1.0), nominal / _SWING), nominal * _SWING)
        drift = self.drift
        price = self._price_of(target / drift) if room > 0 else float(self.prices[0])
        self.latest = price
        expected = self.predicted(price) * drift
        state.opened += 1
        state.in_flight += 1
        state.pending += expected
        return Ticket(price=price, expected=expected, window=state.window_start)

    def settle(
        self, ticket: Ticket, *, cost: float, price: float | None = None, teaches: bool = True
    ) -> None:
        """Book what a prompt has cost.

        Parameters
        ----------
        ticket : Ticket
            From `open`.
        cost : float
            At least 0.
        price : float, optional
            What it was planned at in the end, where that is not the ticket's.
        teaches : bool
            Whether its plan was carried out, so that the cost tells what such plans come to.
        """
        check_number("a cost", cost, ">= 0")
        state = self.state
        if ticket.window == state.window_start:
            state.spent += cost
            state.pending = max(state.pending - ticket.expected, 0.0)
            state.in_flight = max(state.in_flight - 1, 0)
        if not teaches:
            return
        keep, expected = 1 - 1 / _DRIFT_MEMORY, ticket.expected
        if price is not None and price != ticket.price:
            expected = self.expected(price)
        state.actual = keep * state.actual + cost
        state.predicted = keep * state.predicted + self.predicted(ticket.price if price is None else price)
        state.squares = keep * state.squares + (cost - expected) ** 2
        state.settled = keep * state.settled + 1

    def withdraw(self, ticket: Ticket, *, counts: bool = False) -> bool:
        """Take back a prompt that nothing was drawn for: it says nothing of what prompts cost.

        Parameters
        ----------
        ticket : Ticket
            From `open`.
        counts : bool
            Whether it keeps its place in the window; otherwise the next prompt takes it.

        Returns
        -------
        bool
            False where the next window has begun, so that nobody can take its place.
        """
        state = self.state
        if ticket.window != state.window_start:
            return False
        state.opened = max(state.opened - (not counts), 0)
        state.pending = max(state.pending - ticket.expected, 0.0)
        state.in_flight = max(state.in_flight - 1, 0)
        return True

    def expected(self, price: float) -> float:
        """Return what a prompt is expected to cost really at a price."""
        return self.predicted(price) * self.drift

    def price_for(self, cost: float) -> float:
        """Return the price at which a prompt is expected to cost so much really."""
        return self._price_of(cost / self.drift)

    def is_closed(self, window: float, *, now: float | None = None) -> bool:
        """Return whether no more prompts will be opened in a window, given by its start."""
        state = self.state
        if window != state.window_start:
            return True
        if self.clock == "prompts":
            return state.opened >= self.window
        return now is not None and now - state.window_start >= self.window

    def _advance(self, now: float | None) -> float:
        """Move the clock, start a window where one is due, and return how many prompts it still expects."""
        state = self.state
        if self.clock == "prompts":
            if state.opened >= self.window:
                state.begin(state.window_start + self.window)
            return self.window - state.opened
        if now is None:
            raise InvalidInputError("windows of time need `now`, in seconds")
        if state.last_seen < state.window_start:
            state.window_start = state.last_seen = now
        keep = 1 - 1 / _RATE_MEMORY
        state.arrivals = keep * state.arrivals + 1
        state.elapsed = keep * state.elapsed + max(now - state.last_seen, 0.0)
        state.last_seen = max(now, state.last_seen)
        over = math.floor((now - state.window_start) / self.window)
        if over > 0:
            state.begin(state.window_start + over * self.window)
        rate = state.arrivals / state.elapsed if state.elapsed > 0 else state.arrivals / self.window
        return max(rate * (state.window_start + self.window - now), 1.0)

    def _nominal(self, remaining_prompts: float) -> float:
        """Return what a prompt may cost if the rest of the window gets its even share."""
        if self.clock == "prompts":
            return self.limit / self.window
        state = self.state
        left = state.window_start + self.window - state.last_seen
        return self.limit * max(left, 1e-9) / self.window / max(remaining_prompts, 1.0)

    def _aim(self) -> float:
        """Return what the window should come to, so that what is in flight does not leave it short."""
        state = self.state
        usual = sum(self.costs) / len(self.costs)
        variance = (state.squares + usual**2) / (state.settled + 1)
        spread = math.sqrt(variance * (state.in_flight + 1))
        return min(max(self.limit, _SHORT * self.limit + _DEVIATIONS * spread), _HIGHEST_AIM * self.limit)

    @property
    def least(self) -> float:
        """What the cheapest plan is expected to cost really, at least 0."""
        return float(self.costs[0]) * self.drift

    @property
    def nominal(self) -> float:
        """What a prompt of the rest of the current window may cost on average."""
        return self._nominal(max(self.remaining, 1.0))

    @property
    def remaining(self) -> float:
        """Prompts that the current window still expects."""
        state = self.state
        if self.clock == "prompts":
            return max(self.window - state.opened, 0.0)
        rate = state.arrivals / state.elapsed if state.elapsed > 0 else 0.0
        return max(rate * (state.window_start + self.window - state.last_seen), 0.0)

    @property
    def drift(self) -> float:
        """By which factor prompts cost more than predicted, with a few prompts' worth of doubt.

        Doubt fades as prompts are settled: a prediction may be wrong by orders of magnitude.
        """
        state = self.state
        usual = state.predicted / state.settled if state.settled else sum(self.costs) / len(self.costs)
        doubt = _DOUBT**2 / (state.settled + _DOUBT) * usual
        return max((state.actual + doubt) / (state.predicted + doubt), 1e-3)

    def _price_of(self, cost: float) -> float:
        """Return the price at which a prompt should cost this much, log-linear between the known ones."""
        at = bisect_left(self.costs, cost)
        if at == 0:
            return float(self.prices[0])
        if at == len(self.costs):
            return float(self.prices[-1])
        share = (cost - self.costs[at - 1]) / (self.costs[at] - self.costs[at - 1])
        return float(self.prices[at - 1] * (self.prices[at] / self.prices[at - 1]) ** share)

    def predicted(self, price: float) -> float:
        """Return what a prompt would cost at a price by prediction, the inverse of `_price_of`."""
        if price >= self.prices[0]:
            return float(self.costs[0])
        if price <= self.prices[-1]:
            return float(self.costs[-1])
        at = bisect_left(self.prices, -price, key=lambda item: -item)
        low, high = self.prices[at - 1], self.prices[at]
        share = math.log(low / price) / math.log(low / high)
        return float(self.costs[at - 1] + share * (self.costs[at] - self.costs[at - 1]))
