"""Draw samples from any OpenAI-compatible server: vLLM, SGLang, llama.cpp, hosted ones.

The official client does connections, retries with backoff and ``Retry-After``; this file spreads the samples
over requests, finds out what the server honours, and keeps the books. It assumes that the server batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, Self, final
from urllib.parse import urlsplit

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError
from planner.backends.openai.client import Connection, Line
from planner.backends.openai.request import RequestStyle, ServerTraits, learn_from_refusal
from planner.backends.openai.stream import Pieces, stream_fields
from planner.backends.openai.wire import Reply, count_tokens, read_reply, to_completion
from planner.backends.prompt_text import check_request
from planner.backends.results import Drawn, Meter, Spent, assemble
from planner.ports.ports import Completion, SampleRequest
from policies.cost.usage import Usage

__all__ = ["OpenAIBackend"]


@final
class OpenAIBackend:
    """Draws samples from an OpenAI-compatible server.

    Parameters
    ----------
    base_url : str
        Address up to ``/v1``; fixed here, so that the key can go nowhere else. Redirects are not followed.
    model, api_key : str, optional
        Model where a generator names none; key, never read from the environment.
    api : {"chat", "completions"}
        Which endpoint; ``"completions"`` sends the generator's template as plain text.
    n_choices : {"auto", "single"}
        ``"auto"`` asks for all samples of a prompt at once until the server is found not to honour ``n`` or
        not to let the tokens of each choice be known; ``"single"`` sends one request per sample.
    logprobs : bool
        Ask for log-probabilities; dropped where the server refuses them.
    continuation : {"flags", "prefill", "none"}
        How a chat server continues a prefix: vLLM's and SGLang's flags, a last assistant message, not at all.
    thinking_field : str, optional
        Field for a generator's thinking budget; None where the server takes none.
    extra_body : mapping, optional
        Further fields, e.g. ``{"top_k": 0, "min_p": 0}`` for llama.cpp, whose defaults truncate the
        distribution.
    token_counter : callable, optional
        Tokens of a text, for servers that send no usage.
    max_concurrency, max_retries : int
        Requests in flight; tries after the first on 408, 409, 429, 5xx, timeouts and disconnects.
    timeout_seconds : float
        Limit for the server to answer one try.

    Raises
    ------
    InvalidInputError
        When the address is not http(s) or holds credentials, or a number is out of range.

    Examples
    --------
    >>> OpenAIBackend(base_url="http://127.0.0.1:8000/v1", model="tiny").traits.native_n
    True
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str | None = None,
        api_key: str | None = None,
        api: Literal["chat", "completions"] = "chat",
        n_choices: Literal["auto", "single"] = "auto",
        logprobs: bool = True,
        continuation: Literal["flags", "prefill", "none"] = "flags",
        thinking_field: str | None = "thinking_token_budget",
        extra_body: Mapping[str, object] | None = None,
        token_counter: Callable[[str], int] | None = None,
        max_concurrency: int = 64,
        max_retries: int = 4,
        timeout_seconds: float = 600.0,
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username is not None:
            raise InvalidInputError("base_url must look like http://127.0.0.1:8000/v1, no credentials")
        if max_concurrency < 1 or max_retries < 0 or not timeout_seconds > 0:
            raise InvalidInputError("max_concurrency must be >= 1, max_retries >= 0 and timeout_seconds > 0")
        self._connection = Connection(base_url, api_key, max_retries, timeout_seconds, max_concurrency)
        self._style = RequestStyle(
            model=model, api=api, continuation=continuation, thinking_field=thinking_field,
            extra_body=dict(extra_body or {}),
        )  # fmt: skip
        self._counter = token_counter
        self._lines: dict[asyncio.AbstractEventLoop, Line] = {}
        self._held: list[AbstractAsyncContextManager[Line]] = []
        self.traits = ServerTraits(native_n=n_choices == "auto", logprobs=logprobs)
        self.spent = Spent()

    @property
    def draws_singly(self) -> bool:
        """Whether each sample is a request of its own; a driver then sends and records them one by one."""
        return not (self.traits.native_n and self.traits.logprobs)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return `n` completions per request; see the port `Backend` for failures.

        A call that is cancelled says what it has used (`planner.ports.ports.Metered`): exactly where nothing
        was in flight, as a lower bound where a request's reply was streamed (`SampleRequest.revocable`), and
        not at all otherwise.

        Raises
        ------
        InvalidInputError
            Before anything is sent, when a request cannot be meant.
        BackendError
            When nothing could be drawn.
        """
        for request in requests:
            check_request(request)
            self._style.model_of(request)
            self._style.body(request, n=request.n, seed=request.seed, traits=self.traits)
        meter = Meter()
        try:
            async with self._line() as line, asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._draw(line, request, meter)) for request in requests]
        except asyncio.CancelledError as error:
            # The same error again: `asyncio.timeout` knows its own by their type.
            error.args = meter.read()
            raise
        return assemble([task.result() for task in tasks])

    async def __aenter__(self) -> Self:
        """Keep connections open between calls, until the context ends."""
        held = self._line()
        await held.__aenter__()
        self._held.append(held)
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._held.pop().__aexit__(None, None, None)

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Line]:
        """Share one connection pool per event loop among the calls in flight; the last one closes it."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            self._lines[loop] = Line(self._connection)
        line = self._lines[loop]
        line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if line.users == 0:
                del self._lines[loop]
                await line.client.close()

    async def _draw(self, line: Line, request: SampleRequest, meter: Meter) -> list[Drawn]:
        """Draw all samples of one request: together where the server can, one by one where it cannot."""
        first: list[Drawn] = []
        # Without log-probabilities nobody could say how the usage of one request splits over its choices.
        if request.n > 1 and not self.draws_singly:
            first = await self._ask(line, request, meter, n=request.n, offset=0)
        async with asyncio.TaskGroup() as group:
            offsets = range(len(first), request.n)
            rest = [
                group.create_task(self._ask(line, request, meter, n=1, offset=offset)) for offset in offsets
            ]
        return first + [drawn for task in rest for drawn in task.result()]

    async def _ask(
        self, line: Line, request: SampleRequest, meter: Meter, *, n: int, offset: int, failed: int = 0
    ) -> list[Drawn]:
        """Send one request for `n` samples; return what came (fewer if it is not honoured) or its error.

        `failed` tries have gone before; after a reply that broke off, the next comes at once.
        """
        traits, sent, pieces = self.traits, False, Pieces(n=n)
        body = self._style.body(request, n=n, seed=request.seed + offset, traits=traits)
        streamed = request.revocable and traits.streams and not failed
        try:
            async with line.slots:
                sent = True
                if streamed:
                    fields = body | stream_fields(running_usage=traits.running_usage)
                    failed += await line.stream(self._style.model_of(request), fields, pieces)
                    reply = pieces.reply()
                else:
                    whole = await line.send(self._style.model_of(request), body)
                    failed += whole.failed_requests
                    reply = read_reply(whole.content, n=n)
            return list(self._read(reply, request, meter, n=n, failed=failed))
        except asyncio.CancelledError:
            used = (pieces.usage() if streamed else Usage(samples=n, requests=1)) if sent else Usage()
            meter.cancel(used, known=streamed or not sent, exact=not sent)
            self.spent = self.spent._replace(cancelled=self.spent.cancelled + used)
            raise
        except BackendError as error:
            tries = error.failed_requests
            lost = Usage(samples=n, requests=tries, failed_requests=tries)
            lost += Usage(output_tokens=pieces.usage().output_tokens)
            self.spent = self.spent._replace(failed=self.spent.failed + lost)
            if pieces.begun:
                return await self._ask(
                    line, request, meter, n=n, offset=offset, failed=failed + max(tries, 1)
                )
            learnt = None
            if error.status in (400, 422):
                learnt = learn_from_refusal(traits, error.reason, n=n, streamed=streamed)
            if learnt is None:
                return [error] * n
            if self.traits == traits:
                self.traits = learnt
            refused_n = n > 1 and self.draws_singly
            return [] if refused_n else await self._ask(line, request, meter, n=n, offset=offset)

    def _read(
        self, reply: Reply, request: SampleRequest, meter: Meter, *, n: int, failed: int
    ) -> list[Completion]:
        """Read a reply after `failed` tries, book it, and note where the server does not honour ``n``."""
        if len(reply.choices) < n:
            if n == 1:
                raise InvalidResponseError("the server's reply has no choices")
            self._single(f"{len(reply.choices)} of {n} choices came")
        counts = count_tokens(reply, prompt=self._style.prompt_text(request), counter=self._counter)
        if counts.usage_fell_short and n > 1:
            self._single("the usage counts fewer tokens than the choices have")
        completed = Usage(
            samples=len(reply.choices), requests=1, prompt_tokens=counts.prompt,
            output_tokens=sum(counts.output), cached_prompt_tokens=counts.cached,
        )  # fmt: skip
        tries = Usage(requests=failed, failed_requests=failed)
        meter.complete(completed + tries)
        self.spent = self.spent._replace(
            completed=self.spent.completed + completed, failed=self.spent.failed + tries
        )
        return [
            to_completion(
                choice,
                prompt_tokens=0 if index else counts.prompt,
                cached=0 if index else counts.cached,
                output_tokens=counts.output[index],
                failed_requests=0 if index else failed,
                echo=self._style.echo(request),
            )
            for index, choice in enumerate(reply.choices)
        ]

    def _single(self, reason: str) -> None:
        """Send one request per sample from now on."""
        if self.traits.native_n:
            self.traits = self.traits.single(reason)
