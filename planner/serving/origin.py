"""What is behind the handler: the server that a route's requests go to, however they travel there.

The proxy's upstreams and the transport of a wrapped client are both origins. Planning is left to the routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from difficulty.generator import Generator
from planner.backends.openai.nested import filled, merged, placed
from planner.ports.ports import Backend
from planner.serving.exchange import Answer, Call


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
    """Who draws for a generator.

    Attributes
    ----------
    origin : Origin
        Sends.
    model : str, optional
        What it calls the model; None for the client's own name.
    fields : mapping
        Request fields of the operator's, nested as the provider wants them; ``"{thinking_tokens}"`` in them
        stands for the generator's thinking budget.
    thinking_field : str
        Where a budget goes that has no place in them, dots going into nested objects.
    """

    origin: Origin
    model: str | None
    fields: Mapping[str, Any] = MappingProxyType({})
    thinking_field: str = "thinking_token_budget"

    def fields_of(self, generator: Generator) -> dict[str, Any]:
        """Return the fields of requests for samples of a generator, its thinking budget among them."""
        budget = generator.thinking_tokens
        found, holds_budget = filled(self.fields, budget)
        if budget is None or holds_budget:
            return found
        return merged(found, placed(self.thinking_field, budget))
