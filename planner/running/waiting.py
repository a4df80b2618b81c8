"""Requests that wait for money of a purse, in queues of those that hold about as much.

Where the first of a queue cannot be paid yet, those behind it are not looked at: a settlement costs as much,
however many wait. Who may be paid is left to `planner.running.purse`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from planner.drivers.accounts import Account, Permit
from planner.drivers.lengths import about_as_much
from planner.ports.ports import SampleRequest

NEVER: Final = Permit(0, None, None, True)
"""The answer to whoever shall wait no longer."""

_Key: TypeAlias = tuple[bool, tuple[str, int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """A request for up to `n` samples; `number` tells who came first."""

    account: Account
    request: SampleRequest
    n: int
    number: int
    answer: asyncio.Future[Permit]


class Waiting:
    """All that wait: first those of prompts that have drawn nothing, each in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[_Key, deque[Waiter]] = {}
        self._n_came = 0

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def n_first(self) -> int:
        """How many wait for the first sample of their prompt."""
        return sum(len(queue) for (is_first, _), queue in self._queues.items() if is_first)

    def add(self, account: Account, request: SampleRequest, n: int) -> Waiter:
        """Let a request wait."""
        self._n_came += 1
        answer: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        waiter = Waiter(account, request, n, self._n_came, answer)
        self._queue((account.reserve > 0, about_as_much(request))).append(waiter)
        return waiter

    def drop(self, waiter: Waiter) -> None:
        """Let a request wait no longer, if it still does: nobody wants its answer."""
        for queue in self._queues.values():
            with suppress(ValueError):
                queue.remove(waiter)

    def keep(self, n: int) -> None:
        """Tell the last of those that have drawn that they wait in vain, until `n` of them are left."""
        others = [queue for (is_first, _), queue in self._queues.items() if not is_first]
        for _ in range(sum(map(len, others)) - n):
            one = max((queue for queue in others if queue), key=lambda queue: queue[-1].number).pop()
            if not one.answer.done():
                one.answer.set_result(NEVER)

    def answer(self, look: Callable[[Account, SampleRequest, int, int], Permit | None]) -> None:
        """Answer those that need not wait any more.

        Parameters
        ----------
        look : callable
            Says what a request for so many samples may send, None where it is to wait, beside so many others
            that wait for the first sample of their prompt.
        """
        self._queues = {key: queue for key, queue in self._queues.items() if queue}
        heads = [(not key[0], queue[0].number, key) for key, queue in self._queues.items()]
        heapify(heads)
        n_first = self.n_first
        while heads:
            _, _, key = heappop(heads)
            queue = self._queues[key]
            if not queue:
                continue
            one, is_first = queue[0], queue[0].account.reserve > 0
            if key[0] and not is_first:  # another sample of its prompt came first
                other = False, key[1]
                self._queue(other).appendleft(one)
                heappush(heads, (True, one.number, other))
            elif not one.answer.done():
                permit = look(one.account, one.request, one.n, n_first - is_first)
                if permit is None:
                    continue
                one.answer.set_result(permit)
            queue.popleft()
            n_first -= key[0]
            if queue:
                heappush(heads, (not key[0], queue[0].number, key))

    def _queue(self, key: _Key) -> deque[Waiter]:
        return self._queues.setdefault(key, deque())
