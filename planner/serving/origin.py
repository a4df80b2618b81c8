"""What is behind the handler: the server that a route's requests go to, however they travel there.

The proxy's upstreams and the transport of a wrapped client are both origins. Planning is left to the routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from planner.ports.ports import Backend
from planner.serving.exchange import Answer, Call

__all__ = ["Origin", "Source"]


class Origin(Protocol):
    """Sends calls on."""

    async def forward(self, call: Call, *, body: bytes | None = None) -> Answer:
        """Send a call on as it is, or with another body, and return what comes, byte for byte.

        Raises
        ------
        Refusal
            5xx, when there is no answer.
        """
        ...

    def drawing(self, call: Call, fields: Mapping[str, object]) -> Backend:
        """Return what draws samples for a call, with further request fields.

        A request for samples names the model in its generator.
        """
        ...


class Source(NamedTuple):
    """Who draws for a generator: an origin, and what it calls the model; None for the client's own name."""

    origin: Origin
    model: str | None
