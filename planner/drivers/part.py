"""Parts of an ask: what one request to a backend draws, and how its replies arrive at the flow that asked.

Who sends a part, and what is booked for it, is left to the drivers and their desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.drivers.accounts import Hold
from planner.drivers.session import Session
from planner.ports.ports import Completion, SampleRequest
from planner.strategies.flow import Arrival, Ask, Failure, Sampled


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some of the completions of an ask: what one request to a backend draws.

    Parameters
    ----------
    session : Session
        Whose ask it is.
    ask : Ask
        The ask.
    whole : SampleRequest
        The request of the ask.
    request : SampleRequest
        The request for this part, with its own `n` and seed.
    first : int
        Index of the part's first completion within the ask.
    hold : Hold
        What the ledger holds for it.
    """

    session: Session
    ask: Ask
    whole: SampleRequest
    request: SampleRequest
    first: int
    hold: Hold

    def arrived(self, replies: Sequence[Completion | Failure]) -> tuple[Sampled, ...]:
        """Return the replies as they arrive."""
        return tuple(
            Sampled(ask=self.ask, index=self.first + index, reply=reply)
            for index, reply in enumerate(replies)
        )


def refused(ask: Ask, indices: Sequence[int], failure: Failure) -> list[Arrival]:
    """Return the arrivals of completions that a cap refused."""
    return [Sampled(ask=ask, index=index, reply=failure) for index in indices]
