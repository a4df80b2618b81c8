"""A budget per window for prompts that come when they will: the price of the moment, and a purse per window.

The price follows what prompts really cost (`policies.control.stream`); the purse of a prompt's window holds
the cap, sample by sample. The state is a small file that a restart goes on from, of one process at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from difficulty.arguments import check_number
from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.drivers.limits import Price
from planner.running.purse import Purse
from planner.running.till_state import resumed, write_state
from planner.running.window import Slot, Window
from policies.control.state import StreamState
from policies.control.stream import ClockName, StreamControl, Ticket
from policies.cost.budget import Unit

# Windows end no further above their limit than this.
_ABOVE: Final = 1.01
# Set aside for a prompt that has drawn nothing: so much more than what a sample cost lately, on average over
# so many prompts.
_MORE: Final = 1.5
# … and at most this share of what a prompt may cost on average.
_SET_ASIDE: Final = 0.5
_MEMORY: Final = 50.0
# A window that no more prompts come into shares what is left of so much of its limit, where a prompt would
# get more than this share of it, and lowers a price where it falls at least to that share.
_FULL: Final = 1.005
_LEFT: Final = 0.002
_LOWER: Final = 0.97
# Where few are left they are offered so many shares: some agree before they have spent one, and the last
# cannot spend what all others have left. What many will come to is known too badly for that.
_EARLY: Final = 2.0
_FEW: Final = 40
# Times that one prompt is planned again: each takes milliseconds.
_TIMES: Final = 8
# Whoever takes the place of one that no upstream served costs at most so many times an even share.
_DEAREST: Final = 8.0
# Windows whose prompts may still be in flight; what is older has long been answered or given up.
_WINDOWS: Final = 1024


class Till:
    """A budget per window.

    Parameters
    ----------
    control : StreamControl
        Says what a prompt may cost.
    price : callable
        Price of a usage of a generator, in `unit`.
    unit : str
        Unit of the budget.
    hard_cap : float, optional
        What a window never exceeds, where that is less than 1.01 × its limit.
    path : Path, optional
        File of the state; where it exists, the till goes on from it.
    now : callable
        Seconds that go on across restarts.

    Raises
    ------
    InvalidInputError
        When the file is not the state of such a till.
    """

    def __init__(
        self,
        control: StreamControl,
        price: Price,
        *,
        unit: Unit,
        hard_cap: float | None = None,
        path: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        check_number("hard_cap", hard_cap, "above 0", optional=True, error=InvalidBudgetError)
        self._cap = min(math.inf if hard_cap is None else hard_cap, _ABOVE * control.limit)
        if path is not None and path.exists():
            control = resumed(path, control, unit)
        self._control, self._price, self.unit, self._path, self._now = control, price, unit, path, now
        self._windows: dict[float, Window] = {}
        self._free: set[float] = set()
        self._least = self._control.least

    @classmethod
    def of(
        cls,
        frontier: Sequence[tuple[float, float]],
        price: Price,
        *,
        limit: float,
        window: float,
        unit: Unit,
        clock: ClockName = "prompts",
        hard_cap: float | None = None,
        path: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> Till:
        """Return a till that starts from what typical prompts cost.

        Parameters
        ----------
        frontier : sequence of pairs
            Price and expected cost per prompt, prices falling; at least two.
        """
        if len(frontier) < 2:
            raise InvalidInputError(
                "a budget per window needs typical prompts and at least two plans to choose between; got "
                f"{len(frontier)} points of the frontier"
            )
        control = StreamControl(
            limit=limit,
            window=window,
            prices=[at for at, _ in frontier],
            costs=[cost for _, cost in frontier],
            clock=clock,
        )
        return cls(control, price, unit=unit, hard_cap=hard_cap, path=path, now=now)

    @property
    def state(self) -> StreamState:
        """What has been spent and opened in the current window."""
        return self._control.state

    @property
    def least(self) -> float:
        """What the cheapest plan is expected to cost."""
        return self._control.least

    @property
    def purses(self) -> list[Purse]:
        """The purses of the latest windows, in order."""
        return [window.purse for window in self._windows.values()]

    @property
    def unserved(self) -> list[float]:
        """How many places of each of these windows no upstream served, and nobody has taken yet."""
        return [window.places for window in self._windows.values()]

    @property
    def price(self) -> float:
        """Price that the next prompt would be planned at, as far as that is known before it comes."""
        return self._control.latest

    def open(self) -> Slot:
        """Return leave to spend on the next prompt.

        It comes into the current window; but where an upstream failed prompts of one that is full, it takes
        their place there.
        """
        control = self._control
        ticket = self._free_place()
        if ticket is None:
            ticket = control.open(now=self._now())
            self._begin(ticket.window)
            least = min(_MORE * max(control.least, self._least), _SET_ASIDE * control.nominal)
            self._windows[ticket.window].purse.set_aside(least * control.remaining)
        else:
            least = min(_MORE * max(control.least, self._least), _SET_ASIDE * ticket.expected)
        window = self._windows[ticket.window]
        slot = Slot(ticket, window.purse, window.purse.open(least=least), ticket.price)
        window.expect(slot, control.predicted(slot.price))
        self._save()
        return slot

    def _begin(self, start: float) -> None:
        if start not in self._windows:
            spent = self._control.state.spent
            self._windows[start] = Window(Purse(self._cap, self._price, spent=spent), spent)
            while len(self._windows) > _WINDOWS:
                oldest = next(iter(self._windows))
                del self._windows[oldest]
                self._free.discard(oldest)

    def _free_place(self) -> Ticket | None:
        """Return the place of a prompt that no upstream served, in a window that is full."""
        control = self._control
        for start in sorted(self._free):
            window = self._windows[start]
            left = self._left(window)
            if window.places < 1 or not control.is_closed(start, now=self._now()):
                continue
            if left <= control.least:
                self._free.discard(start)
                continue
            price = control.price_for(min(left / window.sharing, _DEAREST * control.nominal))
            window.places -= 1
            return Ticket(price=price, expected=control.expected(price), window=start)
        return None

    def _left(self, window: Window) -> float:
        """Return what a window has left beside what its prompts in flight would cost by prediction."""
        control = self._control
        return _FULL * control.limit - window.settled - window.predicted * control.drift

    def lower(self, slot: Slot) -> float | None:
        """Return a lower price for a prompt that is done, where its window would be left with money.

        Nobody else can spend what a window has left once all of its prompts have come: those that are in
        flight share it. The slot is then at that price; None where it is to be settled.
        """
        control, window = self._control, self._windows.get(slot.ticket.window)
        if window is None or slot.lowered >= _TIMES:
            return None
        if not control.is_closed(slot.ticket.window, now=self._now()):
            return None
        own, n_sharing = window.open.get(id(slot), 0.0), window.sharing
        left = self._left(window) + own * control.drift - slot.account.cost
        if left <= control.least or left <= _LEFT * control.limit / n_sharing:
            return None
        shares = _EARLY if n_sharing <= _FEW else 1.0
        price = control.price_for(control.expected(slot.price) + shares * left / n_sharing)
        if not price < _LOWER * slot.price:
            return None
        slot.price, slot.lowered = price, slot.lowered + 1
        window.expect(slot, control.predicted(price))
        return price

    def goes_on(self, slot: Slot) -> bool:
        """Return whether a prompt goes to the next window: its own is full, and could not pay one sample."""
        account = slot.account
        unpaid = account.refused and not account.usage.samples and not account.cost
        return unpaid and self._control.is_closed(slot.ticket.window, now=self._now())

    def settle(self, slot: Slot, *, cost: float | None) -> None:
        """Book what a prompt has cost; None where it broke off, and the most that it may have cost is booked.

        A prompt that drew nothing teaches nothing. Where nobody refused it money it has met no upstream, or
        its client did not wait: it does not count, and the next prompt takes its place. So it is with what an
        upstream failed to bring, or a client did not wait for, in a window that is full.
        """
        control, account, ticket = self._control, slot.account, slot.ticket
        slot.purse.close(account)
        window = self._windows.get(ticket.window)
        if window is not None:
            window.expect(slot, 0.0)
        booked = account.cost + account.held_cost if cost is None else cost
        if booked == 0.0 and account.cost == 0.0 and not account.usage.samples:
            if not control.withdraw(ticket, counts=account.refused) and window is not None:
                if account.refused:  # who would take a place there would be refused, too
                    self._free.discard(ticket.window)
                else:
                    self._leave(window, ticket, 1.0)
            self._save()
            return
        if account.usage.samples:
            each = account.cost / account.usage.samples
            self._least += (each - self._least) / _MEMORY
        if window is not None:
            window.settled += booked
            cut = account.failed or cost is None
            if cut and control.is_closed(ticket.window, now=self._now()):
                self._leave(window, ticket, max(1 - booked / max(ticket.expected, 1e-300), 0.0))
        # A plan that money cut short looks cheap: plans to come would be the dearer, and cut short, too.
        control.settle(ticket, cost=booked, price=slot.price, teaches=not account.refused)
        self._save()

    def _leave(self, window: Window, ticket: Ticket, place: float) -> None:
        """Note which part of its place a prompt of a full window leaves to the next ones."""
        if self._control.clock == "prompts":
            window.places += place
            self._free.add(ticket.window)

    def _save(self) -> None:
        if self._path is not None:
            write_state(self._path, self._control, self.unit)
