"""One window of a budget: its purse, the prompts in it, and the places in it that no upstream served.

What a prompt is planned at, and which window it comes into, is left to `planner.running.till`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from planner.drivers.accounts import Account
from planner.ports.ports import Backend
from planner.running.purse import Purse, Pursed
from policies.control.stream import Ticket


@dataclass(slots=True, eq=False)
class Window:
    """A window: its purse, what its settled prompts have cost, and what those in flight would cost by
    prediction, each and together.

    `places` is how many prompts may still come into it although it is full, as an upstream failed others:
    one that drew a part of what was expected leaves the rest of its place.
    """

    purse: Purse
    settled: float
    places: float = 0.0
    open: dict[int, float] = field(default_factory=dict)
    predicted: float = 0.0

    def expect(self, slot: Slot, predicted: float) -> None:
        """Note what a prompt in flight would cost by prediction, 0 for one that is settled."""
        self.predicted += predicted - self.open.pop(id(slot), 0.0)
        if predicted:
            self.open[id(slot)] = predicted

    @property
    def sharing(self) -> float:
        """How many prompts share what it has left: those in flight, and those that may still come."""
        return len(self.open) + self.places


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
