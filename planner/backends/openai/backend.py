"""Draw samples from any OpenAI-compatible server: vLLM, SGLang, llama.cpp, hosted ones.

This file spreads the samples over requests and shares what is found out among them; each request's life, with
its retries, is in `planner.backends.openai.asking`. It assumes that the server batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Any, Literal, Self, final
from urllib.parse import urlsplit

from difficulty.errors import InvalidInputError
from planner.backends.openai.asking import Asking, Server
from planner.backends.openai.base_url import split_base_url
from planner.backends.openai.client import Line
from planner.backends.openai.learning import Findings, ServerTraits
from planner.backends.openai.nested import check_fields
from planner.backends.openai.own_client import ClientLine, library_of
from planner.backends.openai.patience import Patience
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.secret import Secret
from planner.backends.openai.sending import Connection, Sender
from planner.backends.prompt_text import check_request
from planner.backends.results import Books, Drawn, Meter, Spent, assemble
from planner.ports.ports import Completion, SampleRequest


@final
class OpenAIBackend:
    """Draws samples from an OpenAI-compatible server.

    Parameters
    ----------
    base_url : str
        Address up to ``/v1``; fixed here, so that the key can go nowhere else. Redirects are not followed.
    model, api_key : str, optional
        Model where a generator names none; key, never read from the environment, not shown, not pickled, and
        taken out of whatever a server sends back.
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
        Field for a generator's thinking budget, dots going into nested objects; None where the server takes
        none.
    extra_body : mapping, optional
        Further fields, e.g. ``{"top_k": 0, "min_p": 0}`` for llama.cpp, whose defaults truncate the
        distribution.
    generator_bodies : mapping of str to mapping, optional
        Further fields by generator, nested as its provider wants them; ``"{thinking_tokens}"`` in them stands
        for its thinking budget, which then goes nowhere else.
    token_counter : callable, optional
        Tokens of a text, for servers that send no usage.
    default_headers : mapping, optional
        Headers that go with every request.
    client : httpx.AsyncClient, optional
        Sends requests in the place of our own connections, with its proxies, certificates and transport; of
        httpx or httpx2. It is never closed here, and without `api_key` its own headers stand.
    max_concurrency, max_retries : int
        Requests in flight; tries after the first on 408, 409, 429, 5xx, timeouts and disconnects.
    timeout_seconds : float
        Limit for one try, from connecting to the last byte of the reply; a ``Retry-After`` above it is not
        waited for.

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
        generator_bodies: Mapping[str, Mapping[str, object]] | None = None,
        token_counter: Callable[[str], int] | None = None,
        default_headers: Mapping[str, str] | None = None,
        client: Any = None,
        max_concurrency: int = 64,
        max_retries: int = 4,
        timeout_seconds: float = 600.0,
    ) -> None:
        split_base_url(base_url)
        if max_concurrency < 1 or max_retries < 0 or not timeout_seconds > 0:
            raise InvalidInputError("max_concurrency must be >= 1, max_retries >= 0 and timeout_seconds > 0")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise InvalidInputError(
                "api_key must be printable ASCII characters; is there a line break in it?"
            )
        if client is not None:
            library_of(client)
        bodies = {name: dict(body) for name, body in (generator_bodies or {}).items()}
        for name, body in bodies.items():
            check_fields(body, where=f"the fields of generator {name!r}")
        secret = Secret(api_key)
        self._connection = Connection(base_url, secret, timeout_seconds, max_concurrency)
        self._style = RequestStyle(
            model=model, api=api, continuation=continuation, thinking_field=thinking_field,
            extra_body=dict(extra_body or {}), generator_bodies=bodies, headers=dict(default_headers or {}),
        )  # fmt: skip
        self._server = Server(
            where=self._connection.where,
            style=self._style,
            findings=Findings(ServerTraits(native_n=n_choices == "auto", logprobs=logprobs)),
            patience=Patience(max_retries=max_retries, timeout_seconds=timeout_seconds),
            secret=secret,
            counter=token_counter,
            books=Books(),
        )
        self._client = client
        self._lines: dict[asyncio.AbstractEventLoop, Sender] = {}
        self._held: list[AbstractAsyncContextManager[Sender]] = []

    @property
    def traits(self) -> ServerTraits:
        """What was found out about the server, for the model that it last answered for."""
        return self._server.findings.latest()

    @property
    def spent(self) -> Spent:
        """What was spent since construction."""
        return self._server.books.spent

    @property
    def draws_singly(self) -> bool:
        """Whether each sample is a request of its own; a driver then sends and records them one by one."""
        return _singly(self.traits)

    @property
    def may_draw_singly(self) -> bool:
        """Whether that may still turn out: no request has brought several samples yet."""
        return self.draws_singly or self.traits.most_n == 1

    def sending(
        self,
        *,
        fields: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        url: str | None = None,
    ) -> OpenAIBackend:
        """Return a view of this backend that writes its requests with further fields and headers.

        The view shares connections, caps, books and all that is found out about the server.

        Parameters
        ----------
        fields : mapping, optional
            Request fields beside those of `extra_body`.
        headers : mapping, optional
            Headers beside `default_headers`.
        url : str, optional
            Whole address of the endpoint in place of the usual one; it must be on the host of `base_url`.

        Raises
        ------
        InvalidInputError
            When `url` is on another host: the key would go there.
        """
        base = urlsplit(self._connection.base_url)
        if url is not None and urlsplit(url)[:2] != base[:2]:
            raise InvalidInputError("url must be on the host of base_url")
        view = copy(self)
        view._style = replace(
            self._style,
            extra_body={**self._style.extra_body, **(fields or {})},
            headers={**self._style.headers, **(headers or {})},
            url=url,
        )
        view._server = self._server._replace(style=view._style)
        return view

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
        self._connection.secret.header()
        for request in requests:
            check_request(request)
            self._style.body(request, n=request.n, seed=request.seed, traits=self.traits)
        meter = Meter()
        try:
            async with self._line() as line:
                if len(requests) == 1:
                    return assemble([await self._draw(line, requests[0], meter)])
                async with asyncio.TaskGroup() as group:
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
    async def _line(self) -> AsyncIterator[Sender]:
        """Share one connection pool per event loop among the calls in flight; the last one closes it."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            client = self._client
            self._lines[loop] = (
                Line(self._connection) if client is None else ClientLine(self._connection, client)
            )
        line = self._lines[loop]
        line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if line.users == 0:
                del self._lines[loop]
                await line.close()

    async def _draw(self, line: Sender, request: SampleRequest, meter: Meter) -> list[Drawn]:
        """Draw all samples of one request: together where the server can, one by one where it cannot."""

        def ask(n: int, offset: int) -> Asking:
            return Asking(self._server, line, request, n=n, offset=offset, meter=meter)

        first: list[Drawn] = []
        known = self._server.findings.known(self._style.model_of(request))
        # Without log-probabilities nobody could say how the usage of one request splits over its choices.
        if request.n > 1 and not _singly(known):
            first = await ask(request.n, 0).drawn()
        offsets = range(len(first), request.n)
        if len(offsets) <= 1:
            return first + [drawn for offset in offsets for drawn in await ask(1, offset).drawn()]
        async with asyncio.TaskGroup() as group:
            rest = [group.create_task(ask(1, offset).drawn()) for offset in offsets]
        return first + [drawn for task in rest for drawn in task.result()]


def _singly(traits: ServerTraits) -> bool:
    return not (traits.native_n and traits.logprobs)
