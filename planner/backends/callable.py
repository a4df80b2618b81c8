"""Make a backend of any function from chat messages to a text.

The function may be plain, and is then called in threads, or asynchronous. Tokens are counted by a counter,
or estimated where there is none; the books then say so.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, final

from difficulty.arguments import check_whole
from difficulty.errors import InvalidInputError
from planner.backends.prompt_text import check_request, messages_of
from planner.ports.ports import Completion, SampleRequest

Speaks: TypeAlias = Callable[[list[Mapping[str, object]]], str | Awaitable[str]]

# Bytes of a token, roughly, in the languages that models are mostly asked in.
_BYTES: Final = 4


@final
class CallableBackend:
    """Draws samples by calling a function; implements the port `Backend`.

    Parameters
    ----------
    function : callable
        Gets chat messages and returns a text; each call is one sample. An error that it raises is raised
        here as well, so that a function which knows how to try again should do so.
    token_counter : callable, optional
        Tokens of a text; by default a quarter of its bytes.
    max_concurrency : int
        Calls at a time, at least 1.

    Raises
    ------
    InvalidInputError
        When the function cannot be called, or `max_concurrency` is below 1.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> backend = CallableBackend(lambda messages: "it is 42")
    >>> request = SampleRequest(prompt=Prompt(text="?"), generator=Generator(name="mine"), n=2, seed=0)
    >>> [one.text for one in asyncio.run(backend.sample([request]))[0]]
    ['it is 42', 'it is 42']
    """

    draws_singly = True

    def __init__(
        self,
        function: Speaks,
        *,
        token_counter: Callable[[str], int] | None = None,
        max_concurrency: int = 64,
    ) -> None:
        if not callable(function):
            raise InvalidInputError(f"function must be callable, got {type(function).__name__}")
        check_whole("max_concurrency", max_concurrency, least=1)
        self._function, self._counter, self._most = function, token_counter, max_concurrency
        call = getattr(function, "__call__", None)  # noqa: B004  # an object may be called asynchronously
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        self._slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return `n` completions per request.

        Raises
        ------
        InvalidInputError
            When a request continues an answer, which a function of messages cannot, or returns no text.
        """
        for request in requests:
            check_request(request)
            if request.prefix:
                raise InvalidInputError(
                    "a function of messages cannot continue an answer; use another strategy"
                )
        async with asyncio.TaskGroup() as group:
            tasks = [
                [group.create_task(self._one(request)) for _ in range(request.n)] for request in requests
            ]
        return [[task.result() for task in row] for row in tasks]

    async def _one(self, request: SampleRequest) -> Completion:
        messages = messages_of(request)
        loop = asyncio.get_running_loop()
        slots = self._slots.setdefault(loop, asyncio.Semaphore(self._most))
        async with slots:
            said: Any
            if self._asynchronous:
                said = await self._function(messages)  # type: ignore[misc]  # it was found to be a coroutine
            else:
                said = await asyncio.to_thread(self._function, messages)
        if not isinstance(said, str):
            raise InvalidInputError(f"the function must return a text, got {type(said).__name__}")
        asked = "".join(str(message.get("content") or "") for message in messages)
        estimated = () if self._counter else ("TokensEstimated: a quarter of the bytes of each text",)
        return Completion(
            text=said,
            prompt_tokens=self._tokens(asked),
            output_tokens=self._tokens(said),
            finish_reason="stop",
            remarks=estimated,
        )

    def _tokens(self, text: str) -> int:
        if self._counter is not None:
            return self._counter(text)
        return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES)
