"""Draw the samples of one call from an upstream; an address that cannot be reached is passed over.

What failed on the way is counted with what comes of it in the end. Which addresses may be tried is left to
`planner.serving.upstream`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

from difficulty.errors import RetryableBackendError
from planner.backends.openai import OpenAIBackend
from planner.ports.ports import Completion, SampleRequest
from planner.serving.address import Address
from planner.serving.refusal import Refusal


class Addressed(Protocol):
    """Knows the addresses that may be tried, and what draws from each."""

    def choose(self) -> Iterator[Address]:
        """Yield the addresses that may be tried, the next in turn first."""
        ...

    def backend(self, address: Address, api: Literal["chat", "completions"]) -> OpenAIBackend:
        """Return what draws samples from one address."""
        ...


class Sampling:
    """Draws the samples of one call; an address that cannot be reached is passed over for the next."""

    draws_singly = True

    def __init__(
        self, upstream: Addressed, path: str, fields: Mapping[str, object], headers: Mapping[str, str]
    ) -> None:
        self._upstream, self._fields, self._headers = upstream, fields, headers
        self._api: Literal["chat", "completions"] = (
            "chat" if path.endswith("/chat/completions") else "completions"
        )

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request."""
        try:
            addresses = list(self._upstream.choose())
        except Refusal as refusal:
            raise RetryableBackendError(
                refusal.message, status=refusal.status, failed_requests=0, retry_after=refusal.retry_after
            ) from None
        failed: RetryableBackendError | None = None
        for address in addresses:
            view = self._upstream.backend(address, self._api).sending(
                fields=self._fields, headers=self._headers
            )
            try:
                rows = await view.sample(requests)
            except RetryableBackendError as error:
                address.failed()
                if failed is not None:
                    error.failed_requests += failed.failed_requests
                    error.prompt_tokens += failed.prompt_tokens
                    error.output_tokens += failed.output_tokens
                failed = error
                continue
            address.answered()
            return rows
        assert failed is not None
        raise failed
