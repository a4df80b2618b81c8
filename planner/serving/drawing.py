"""Draw the samples of one request: each generator from its own origin, with everything counted on the way.

It keeps what outcomes do not tell: thinking texts, reasoning and cached tokens, and how long nothing but a
server was waited for. Sending is left to the origins, capping to the drivers and purses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from difficulty.errors import BackendError
from planner.answers.tool_calls import calls_text
from planner.drivers.exchange import read_completions
from planner.ports.ports import Backend, Completion, Metered, SampleRequest
from planner.ports.spending import usage_of_failure
from planner.serving.refusal import Refusal
from policies.cost.usage import Usage

Read: TypeAlias = Callable[[Sequence[Completion]], Awaitable[None]]


class Said(NamedTuple):
    """Content of a message, and its calls of tools as the server sent them."""

    content: str
    calls: tuple[Mapping[str, object], ...] = ()


class Drawing:
    """A backend for one request; implements the port `Backend`.

    Parameters
    ----------
    backends : mapping of str to Backend
        Who draws, by generator name.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> from planner.simulated import SimulatedBackend
    >>> drawing = Drawing({"tiny": SimulatedBackend()})
    >>> request = SampleRequest(prompt=Prompt(text="?"), generator=Generator(name="tiny"), n=2, seed=0)
    >>> len(asyncio.run(drawing.sample([request]))[0]), drawing.n_samples
    (2, 2)
    """

    draws_singly = True

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = dict(backends)
        self._read: Read | None = None
        self._n_open, self._since = 0, 0.0
        self._thoughts: dict[str, str] = {}
        self._calls: dict[str, tuple[Mapping[str, object], ...]] = {}
        self.waited = 0.0
        self.n_samples = 0
        self.usage = Usage()
        self.reasoning_tokens = 0
        self.refused: Refusal | None = None
        self.retry_after: float | None = None
        self.drawn: dict[str, list[Completion]] = {}

    def reads(self, read: Read) -> None:
        """Have the samples of each request read, by what is awaited, before they vote."""
        self._read = read

    async def sample(self, requests: Sequence[SampleRequest]) -> Sequence[Sequence[Completion]]:
        """Return the completions of each request."""
        if self._n_open == 0:
            self._since = time.perf_counter()
        self._n_open += 1
        try:
            # One request at a time is how drivers of servers ask.
            rows = [row for request in requests for row in await self._draw(request)]
            for request, row in zip(requests, rows, strict=True):
                self.usage += read_completions(row, n=request.n).usage
            if self._read is not None:
                for row in rows:
                    await self._read(row)
        except BackendError as error:
            self._note(error)
            self.usage += usage_of_failure(error)
            raise
        finally:
            self._n_open -= 1
            if self._n_open == 0:
                self.waited += time.perf_counter() - self._since
        for request, row in zip(requests, rows, strict=True):
            self.drawn.setdefault(request.generator.name, []).extend(row)
            for one in row:
                self.n_samples += 1
                self.reasoning_tokens += one.reasoning_tokens
                if one.reasoning:
                    self._thoughts.setdefault(one.text, one.reasoning)
                if one.tool_calls:
                    self._calls.setdefault(one.text, one.tool_calls)
        return rows

    def thought_of(self, text: str) -> str | None:
        """Return the thinking that came with a text."""
        return self._thoughts.get(text)

    def said(self, text: str) -> Said:
        """Return what a text was on the wire: its content, and the calls of tools beside it."""
        calls = self._calls.get(text, ())
        content = text.removesuffix(calls_text(calls)).removesuffix("\n") if calls else text
        return Said(content, calls)

    def _note(self, error: BackendError) -> None:
        """Remember when to ask again, and a refusal that the client can mend, in the words of the server
        without its address.
        """
        self.retry_after = error.retry_after
        if error.status is not None and 400 <= error.status < 500:
            words = error.reason.partition(f"HTTP {error.status}: ")[2]
            self.refused = Refusal(
                error.status,
                words or "the upstream refused",
                code="upstream_refused",
                retry_after=error.retry_after,
            )

    async def _draw(self, request: SampleRequest) -> Sequence[Sequence[Completion]]:
        # A name of the bundle is no model: what the origin calls it stands in the generator.
        # Its thinking budget stands in the fields that the origin sends.
        generator = replace(request.generator, prompt_template=None, thinking_tokens=None)
        own = replace(request, generator=generator)
        try:
            return await self._backends[request.generator.name].sample([own])
        except asyncio.CancelledError as error:
            # Nobody waits for it any more: what is known of it, at least that it was sent.
            metered = Metered.of(error)
            self.usage += Usage(requests=1, failed_requests=1) if metered is None else metered.usage
            raise
