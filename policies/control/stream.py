"""Keep a stream of prompts on its budget, per window of prompts or of time, by a price that moves.

The control knows what a prompt is expected to cost at each price and learns by how much reality differs;
before each prompt it asks what may be spent per prompt until the window ends, and returns the price that
spends just that. A hard cap is kept by reserving the most that a prompt can cost. State is a few numbers that
survive a restart; who spends what is left to the caller.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

from difficulty.errors import InvalidBudgetError, InvalidInputError

__all__ = ["StreamControl", "StreamState", "Ticket"]

ClockName: TypeAlias = Literal["prompts", "seconds"]

# How fast the control forgets: prompts of memory for cost drift and for the arrival rate.
_DRIFT_MEMORY: Final = 150.0
_RATE_MEMORY: Final = 60.0
# The allowance per prompt moves within these factors of the nominal one, so that the end of a window does not
# swing.
_SWING: Final = 8.0


class Ticket(NamedTuple):
    """Leave to spend on one prompt.

    Attributes
    ----------
    price : float
        Price λ to plan at, value per unit of cost.
    allowance : float
        The most that this prompt may cost under the hard cap; 0 = refuse it (or answer at no cost).
    expected : float
        What it is expected to cost at that price.
    """

    price: float
    allowance: float
    expected: float


@dataclass(kw_only=True, slots=True)
class StreamState:
    """All that a stream control remembers; plain numbers, for JSON.

    Parameters
    ----------
    window_start : float
        Reading of the clock at which the current window began.
    opened : int
        Prompts opened in this window.
    spent, reserved, pending : float
        Spent in this window; the most, and the expected, that open prompts can still cost.
    actual, predicted : float
        Fading sums of what settled prompts cost and were predicted to cost.
    arrivals, elapsed : float
        Fading sums of prompts and of seconds between them.
    last_seen : float
        Clock at the latest prompt; below `window_start` when there was none yet.
    """

    window_start: float = 0.0
    opened: int = 0
    spent: float = 0.0
    reserved: float = 0.0
    pending: float = 0.0
    actual: float = 0.0
    predicted: float = 0.0
    arrivals: float = 0.0
    elapsed: float = 0.0
    last_seen: float = -1.0


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
    hard_cap : float, optional
        What a window never exceeds; by default 1.02 × `limit`.
    state : StreamState
        Where to go on; a new stream by default.

    Raises
    ------
    InvalidBudgetError
        When limit, window or cap cannot be meant.
    InvalidInputError
        When prices and costs do not fit together.

    Examples
    --------
    >>> control = StreamControl(limit=100.0, window=50, clock="prompts", prices=[1.0, 0.1], costs=[1.0, 3.0])
    >>> ticket = control.open(worst=5.0)
    >>> control.settle(ticket, cost=2.5)
    >>> round(ticket.price, 3), control.state.spent
    (0.316, 2.5)
    """

    limit: float
    window: float
    prices: Sequence[float]
    costs: Sequence[float]
    clock: ClockName = "prompts"
    hard_cap: float | None = None
    state: StreamState = field(default_factory=StreamState)

    def __post_init__(self) -> None:
        cap = 1.02 * self.limit if self.hard_cap is None else self.hard_cap
        if not all(math.isfinite(item) and item > 0 for item in (self.limit, self.window, cap)):
            raise InvalidBudgetError(
                "limit, window and hard_cap must be finite and above 0; "
                f"got {self.limit}, {self.window}, {cap}"
            )
        if self.clock not in ("prompts", "seconds"):
            raise InvalidInputError(f"clock must be 'prompts' or 'seconds', got {self.clock!r}")
        prices, costs = list(self.prices), list(self.costs)
        falling = all(a > b for a, b in pairwise(prices))
        rising = all(a <= b for a, b in pairwise(costs))
        if len(prices) < 2 or len(prices) != len(costs) or not (falling and rising):
            raise InvalidInputError("prices must fall and costs must not, with at least two of each")
        if prices[-1] <= 0 or costs[0] < 0 or costs[-1] <= 0:
            raise InvalidInputError("prices must be above 0 and costs at least 0, with some cost above 0")
        self.hard_cap, self.prices, self.costs = cap, prices, costs

    def open(self, *, worst: float, now: float | None = None) -> Ticket:
        """Return the price for the next prompt, and reserve what it can cost at most.

        Parameters
        ----------
        worst : float
            The most that the prompt can cost, at least 0; the ticket allows less where the hard cap is near.
        now : float, optional
            Seconds that never go back; needed where windows are of time.
        """
        if not (math.isfinite(worst) and worst >= 0):
            raise InvalidInputError(f"worst must be a finite number >= 0, got {worst!r}")
        state = self.state
        remaining_prompts = self._advance(now)
        nominal = self._nominal(remaining_prompts)
        room = self.limit - state.spent - state.pending
        target = min(max(room / max(remaining_prompts, 1.0), nominal / _SWING), nominal * _SWING)
        drift = self._drift()
        price = self._price_of(target / drift) if room > 0 else float(self.prices[0])
        expected = self._cost_of(price) * drift
        cap = float(self.hard_cap or self.limit)
        allowance = max(min(worst, cap - state.spent - state.reserved), 0.0)
        expected = min(expected, allowance)
        state.opened += 1
        state.reserved += allowance
        state.pending += expected
        return Ticket(price=price, allowance=allowance, expected=expected)

    def settle(self, ticket: Ticket, *, cost: float) -> None:
        """Book what a prompt has cost.

        Parameters
        ----------
        ticket : Ticket
            From `open`.
        cost : float
            At least 0; at most the allowance where the caller keeps to it.
        """
        if not (math.isfinite(cost) and cost >= 0):
            raise InvalidInputError(f"a cost must be a finite number >= 0, got {cost!r}")
        state = self.state
        state.spent += cost
        state.reserved = max(state.reserved - ticket.allowance, 0.0)
        state.pending = max(state.pending - ticket.expected, 0.0)
        # A prompt that the cap cut short says nothing about drift.
        if cost < ticket.allowance or ticket.allowance >= ticket.expected:
            keep = 1 - 1 / _DRIFT_MEMORY
            state.actual = keep * state.actual + cost
            state.predicted = keep * state.predicted + self._cost_of(ticket.price)

    def saved(self) -> dict[str, float]:
        """Return the state as plain numbers, for JSON."""
        return asdict(self.state)

    @classmethod
    def resumed(
        cls,
        saved: Mapping[str, float],
        *,
        limit: float,
        window: float,
        prices: Sequence[float],
        costs: Sequence[float],
        clock: ClockName = "prompts",
        hard_cap: float | None = None,
    ) -> StreamControl:
        """Return a control that goes on where another one was saved; prompts in flight then stay reserved.

        Raises
        ------
        InvalidInputError
            When the saved state has other fields.
        """
        names = {item.name for item in fields(StreamState)}
        if set(saved) != names:
            raise InvalidInputError(f"a saved state has the fields {sorted(names)}; got {sorted(saved)}")
        state = StreamState(**{**saved, "opened": int(saved["opened"])})  # type: ignore[arg-type]
        return cls(
            limit=limit,
            window=window,
            prices=prices,
            costs=costs,
            clock=clock,
            hard_cap=hard_cap,
            state=state,
        )

    def _advance(self, now: float | None) -> float:
        """Move the clock, start a window where one is due, and return how many prompts it still expects."""
        state = self.state
        if self.clock == "prompts":
            if state.opened >= self.window:
                self._new_window(state.window_start + self.window)
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
            self._new_window(state.window_start + over * self.window)
        rate = state.arrivals / state.elapsed if state.elapsed > 0 else state.arrivals / self.window
        return max(rate * (state.window_start + self.window - now), 1.0)

    def _nominal(self, remaining_prompts: float) -> float:
        """Return what a prompt may cost if the rest of the window gets its even share."""
        if self.clock == "prompts":
            return self.limit / self.window
        state = self.state
        left = state.window_start + self.window - state.last_seen
        return self.limit * max(left, 1e-9) / self.window / max(remaining_prompts, 1.0)

    def _new_window(self, start: float) -> None:
        state = self.state
        state.window_start, state.opened, state.spent = start, 0, 0.0

    def _drift(self) -> float:
        """Return by which factor prompts cost more than predicted, with a few prompts' worth of doubt."""
        doubt = 5.0 * (sum(self.costs) / len(self.costs))
        return max((self.state.actual + doubt) / (self.state.predicted + doubt), 1e-3)

    def _price_of(self, cost: float) -> float:
        """Return the price at which a prompt should cost this much, log-linear between the known ones."""
        at = bisect_left(self.costs, cost)
        if at == 0:
            return float(self.prices[0])
        if at == len(self.costs):
            return float(self.prices[-1])
        share = (cost - self.costs[at - 1]) / (self.costs[at] - self.costs[at - 1])
        return float(self.prices[at - 1] * (self.prices[at] / self.prices[at - 1]) ** share)

    def _cost_of(self, price: float) -> float:
        """Return the expected cost at a price, the inverse of `_price_of`."""
        if price >= self.prices[0]:
            return float(self.costs[0])
        if price <= self.prices[-1]:
            return float(self.costs[-1])
        at = bisect_left(self.prices, -price, key=lambda item: -item)
        low, high = self.prices[at - 1], self.prices[at]
        share = math.log(low / price) / math.log(low / high)
        return float(self.costs[at - 1] + share * (self.costs[at] - self.costs[at - 1]))
