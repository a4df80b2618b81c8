"""A budget per window for prompts that come when they will: the price of the moment, and a purse per window.

The price follows what prompts really cost (`policies.control.stream`); the purse of a prompt's window holds
the cap, sample by sample. The state is a small file that a restart goes on from, of one process at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.files.whole import written_whole
from planner.drivers.ledger import Account
from planner.drivers.limits import Price
from planner.ports.ports import Backend
from planner.running.purse import Purse, Pursed
from policies.control.stream import ClockName, StreamControl, StreamState, Ticket
from policies.cost.budget import Unit

_SCHEMA: Final = 2
_EARLIER: Final = 1
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
# Windows whose prompts may still be in flight; what is older has long been answered or given up.
_WINDOWS: Final = 1024


class _Saved(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file; `stale` was reserved by a dead process, which earlier versions kept."""

    stream: int
    unit: str
    clock: str
    state: dict[str, float]
    stale: float = 0.0
    stale_window: float = 0.0


@dataclass(slots=True, eq=False)
class _Window:
    """A window: its purse, what its settled prompts have cost, and what those in flight would cost by
    prediction, each and together; and how many prompts drew nothing when it was full already."""

    purse: Purse
    settled: float
    unserved: int = 0
    open: dict[int, float] = field(default_factory=dict)
    predicted: float = 0.0

    def expect(self, slot: Slot, predicted: float) -> None:
        """Note what a prompt in flight would cost by prediction, 0 for one that is settled."""
        self.predicted += predicted - self.open.pop(id(slot), 0.0)
        if predicted:
            self.open[id(slot)] = predicted


@dataclass(slots=True, eq=False)
class Slot:
    """Leave to spend on one prompt: its price, its window's purse and its books there.

    `price` is the ticket's, or a lower one that `Till.lower` has found since, so many times.
    """

    ticket: Ticket
    purse: Purse
    account: Account
    price: float
    lowered: int = 0

    def paying(self, backend: Backend) -> Pursed:
        """Return a backend whose samples are paid from the window."""
        return Pursed(backend, self.purse, self.account)


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
        if hard_cap is not None and not (math.isfinite(hard_cap) and hard_cap > 0):
            raise InvalidBudgetError(f"hard_cap must be finite and above 0, got {hard_cap!r}")
        self._cap = min(math.inf if hard_cap is None else hard_cap, _ABOVE * control.limit)
        self._control, self._price, self.unit, self._path, self._now = control, price, unit, path, now
        self._windows: dict[float, _Window] = {}
        self._least = self._control.least
        if path is not None and path.exists():
            self._resume(path)

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
    def purses(self) -> list[Purse]:
        """The purses of the latest windows, in order."""
        return [window.purse for window in self._windows.values()]

    @property
    def unserved(self) -> list[int]:
        """How many prompts of each of these windows drew nothing, too late for others to take their place."""
        return [window.unserved for window in self._windows.values()]

    @property
    def price(self) -> float:
        """Price that the next prompt would be planned at, as far as that is known before it comes."""
        return self._control.latest

    def open(self) -> Slot:
        """Return leave to spend on the next prompt."""
        control = self._control
        ticket = control.open(now=self._now())
        window = self._windows.get(ticket.window)
        if window is None:
            spent = control.state.spent
            window = self._windows[ticket.window] = _Window(Purse(self._cap, self._price, spent=spent), spent)
            while len(self._windows) > _WINDOWS:
                del self._windows[next(iter(self._windows))]
        least = min(_MORE * max(control.least, self._least), _SET_ASIDE * control.nominal)
        purse = window.purse
        purse.set_aside(least * control.remaining)
        slot = Slot(ticket, purse, purse.open(least=least), ticket.price)
        window.expect(slot, control.predicted(slot.price))
        self._save()
        return slot

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
        n_open, own = len(window.open), window.open.get(id(slot), 0.0)
        coming = max(window.predicted - own, 0.0) * control.drift
        left = _FULL * control.limit - window.settled - coming - slot.account.cost
        if left <= control.least or left <= _LEFT * control.limit / n_open:
            return None
        shares = _EARLY if n_open <= _FEW else 1.0
        price = control.price_for(control.expected(slot.price) + shares * left / n_open)
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
        """Book what a prompt has cost; None where nobody knows, and what was expected is booked.

        A prompt that drew nothing teaches nothing. Where nobody refused it money it has met no upstream: it
        does not count, and the next prompt takes its place.
        """
        slot.purse.close(slot.account)
        window = self._windows.get(slot.ticket.window)
        if window is not None:
            window.expect(slot, 0.0)
        account = slot.account
        if cost == 0.0 and account.cost == 0.0 and not account.usage.samples:
            current = self._control.withdraw(slot.ticket, counts=account.refused)
            if window is not None and not (current or account.refused):
                window.unserved += 1
            self._save()
            return
        if slot.account.usage.samples:
            each = slot.account.cost / slot.account.usage.samples
            self._least += (each - self._least) / _MEMORY
        known = slot.account.cost if cost is None else cost
        booked = max(known, slot.ticket.expected) if cost is None else cost
        if window is not None:
            window.settled += booked
        self._control.settle(slot.ticket, cost=booked, price=slot.price)
        self._save()

    def _save(self) -> None:
        if self._path is None:
            return
        saved = _Saved(stream=_SCHEMA, unit=self.unit, clock=self._control.clock, state=self._control.saved())
        with written_whole(self._path) as part:
            part.write_bytes(msgspec.json.encode(saved))

    def _resume(self, path: Path) -> None:
        """Take over a saved state; what was in flight is booked as expected."""
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
        except msgspec.MsgspecError as error:
            raise InvalidInputError(
                f"{path} is not the state of a stream: {error}; take another path"
            ) from error
        control = self._control
        ours, theirs = (self.unit, control.clock), (saved.unit, saved.clock)
        if saved.stream not in (_SCHEMA, _EARLIER) or ours != theirs:
            raise InvalidInputError(
                f"{path} is the state of another stream: schema, unit and clock are {saved.stream}, "
                f"{saved.unit}, {saved.clock}, here {_SCHEMA}, {', '.join(ours)}; take another path"
            )
        self._control = StreamControl.resumed(
            saved.state,
            limit=control.limit,
            window=control.window,
            prices=control.prices,
            costs=control.costs,
            clock=control.clock,
        )
