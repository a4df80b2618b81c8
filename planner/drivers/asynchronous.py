"""The asyncio driver: each prompt moves on as soon as its replies arrive, and drops what it no longer needs.

It suits servers. Requests in flight are limited by `max_concurrency`; when a flow returns early, or time is
up, what is still in flight is cancelled and booked: with the tokens that the backend says it has used by
then, or as unmetered.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import replace

from planner.drivers.accounts import TIME_IS_UP, Permit
from planner.drivers.desk import BACKEND_ERRORS, VERIFIER_ERRORS, Desk
from planner.drivers.exchange import failure_of, sampled, scored, sent_singly
from planner.drivers.lengths import about_as_much
from planner.drivers.neighbours import runs_of
from planner.drivers.part import Part, refused
from planner.drivers.session import Session, delivered
from planner.ports.ports import Backend, Metered, SampleRequest, ScoreRequest, Verifier
from planner.strategies.flow import Arrival, Ask, Scored
from policies.cost.usage import Usage

# Seconds that a request may take, before one was seen.
_UNKNOWN = 120.0


async def send_as_they_come(
    desk: Desk, backend: Backend, verifiers: Mapping[str, Verifier], *, max_concurrency: int, n_workers: int
) -> None:
    """Send what the tasks of a desk want, one request at a time and many at once, until the run is over."""
    shared = _Driver(desk, backend, verifiers, max_concurrency)
    workers = [asyncio.create_task(shared.work()) for _ in range(n_workers)]
    try:
        if workers:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class _Driver:
    """The parts of a run that its workers share."""

    def __init__(
        self, desk: Desk, backend: Backend, verifiers: Mapping[str, Verifier], max_concurrency: int
    ) -> None:
        self._desk = desk
        self._backend = backend
        self._verifiers = verifiers
        self._slots = asyncio.Semaphore(max_concurrency)
        self._room = asyncio.Event()  # set, and replaced, when a cap may have room again
        self._queues = defaultdict[object, asyncio.Lock](asyncio.Lock)  # of those that hold about as much
        self._longest = 0.0  # seconds of a request so far
        self._queue = deque[int]()
        self._turn = asyncio.Lock()  # of the worker that takes the next task
        self._news = asyncio.Event()  # set when there may be one
        self._n_open = self._part_size = 0
        self._over = False

    async def work(self) -> None:
        """Take tasks until there are none left."""
        while (number := await self._take()) is not None:
            session = self._desk.open(number)
            if session is not None:
                await self._run(session)
                self._desk.close(number, session)
            self._n_open -= 1
            self._news.set()

    async def _take(self) -> int | None:
        """Return the next task; a new part begins when no more than a quarter of the last is in progress."""
        async with self._turn:
            while not self._queue:
                if self._over:
                    return None
                if 4 * self._n_open <= self._part_size:
                    self._queue.extend(self._desk.next_part())
                    self._part_size, self._over = len(self._queue), not self._queue and not self._n_open
                    if self._queue or self._over:
                        continue
                self._news.clear()
                await self._news.wait()
            self._n_open += 1
            return self._queue.popleft()

    async def _run(self, session: Session) -> None:
        """Move one session to its outcome; when it returns, nothing of it is in flight."""
        pending: dict[asyncio.Task[tuple[Arrival, ...]], Ask] = {}
        missing: dict[Ask, set[int]] = {}
        asks = session.start()
        try:
            while session.outcome is None:
                for ask in asks:
                    n = ask.request.n if isinstance(ask.request, SampleRequest) else 1
                    missing[ask] = set(range(n))
                    pending.update(dict.fromkeys(self._send(session, ask), ask))
                arrivals = await self._next(pending, missing)
                for arrival in arrivals:
                    missing[arrival.ask].discard(0 if isinstance(arrival, Scored) else arrival.index)
                asks = await delivered(session, arrivals)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _next(
        self, pending: dict[asyncio.Task[tuple[Arrival, ...]], Ask], missing: Mapping[Ask, set[int]]
    ) -> list[Arrival]:
        """Wait for something to arrive; when time is up, cancel everything and report it as refused."""
        done, _ = await asyncio.wait(
            pending, timeout=self._desk.seconds_left(), return_when=asyncio.FIRST_COMPLETED
        )
        if done:
            # In the order of sending, so that replies that arrive together are seen in one order.
            ready = [task for task in pending if task in done]
            for task in ready:
                del pending[task]
            return [arrival for task in ready for arrival in task.result()]
        self._desk.seconds_left()
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        pending.clear()
        arrivals: list[Arrival] = []
        for ask, indices in missing.items():
            if isinstance(ask.request, ScoreRequest):
                arrivals += [Scored(ask=ask, reply=TIME_IS_UP)] if indices else []
            else:
                arrivals += refused(ask, sorted(indices), TIME_IS_UP)
        return arrivals

    def _send(self, session: Session, ask: Ask) -> list[asyncio.Task[tuple[Arrival, ...]]]:
        """Start what an ask needs: one request, or one per completion where it wants them one by one."""
        request = ask.request
        if isinstance(request, ScoreRequest):
            return [asyncio.create_task(self._score(session, ask, request))]
        recorded = self._desk.earlier.samples(session, ask, request)
        tasks = [asyncio.create_task(_ready(tuple(recorded.values())))] if recorded else []
        # A backend that sends each sample by itself loses nothing by it, and a kill then loses no reply.
        one_by_one = ask.one_by_one or sent_singly(self._backend).surely
        left = [index for index in range(request.n) if index not in recorded]
        for first, n in [(index, 1) for index in left] if one_by_one else runs_of(left):
            tasks.append(asyncio.create_task(self._sample(session, ask, request, first, n)))
        return tasks

    async def _sample(
        self, session: Session, ask: Ask, request: SampleRequest, first: int, n: int
    ) -> tuple[Arrival, ...]:
        """Draw completions ``first … first + n - 1`` of a request, in as many parts as the caps need."""
        arrivals: list[Arrival] = []
        while n:
            permit = await self._admit(session, request, n)
            if permit.hold is None:
                self._desk.ledger.give_way(session.account)
                return (*arrivals, *refused(ask, range(first, first + n), permit.refusal or TIME_IS_UP))
            granted = permit.n
            own = replace(permit.of(request, first), revocable=self._may_be_cancelled(ask))
            part = Part(session=session, ask=ask, whole=request, request=own, first=first, hold=permit.hold)
            try:
                arrivals += await self._draw(part)
            finally:
                self._wake()
            first, n = first + granted, n - granted
        return tuple(arrivals)

    def _may_be_cancelled(self, ask: Ask) -> bool:
        """Say whether a flow may drop a request, or time may run out on it by what others have taken."""
        left = self._desk.seconds_left()
        return ask.one_by_one or (left is not None and left < (2 * self._longest or _UNKNOWN))

    async def _admit(self, session: Session, request: SampleRequest, n: int) -> Permit:
        """Wait until a sample may be sent, or until it is certain that none ever may."""
        ledger, account = self._desk.ledger, session.account

        def look() -> tuple[Permit, bool]:
            apart = sent_singly(self._backend).perhaps
            permit = ledger.admit(account, request, n, apart=apart)
            return permit, permit.hold is not None or ledger.nothing_in_flight or ledger.time_is_up

        permit, is_certain = look()
        if is_certain:
            return permit
        like = account.reserve > 0, about_as_much(request)
        async with self._queues[like] if permit.for_all else asyncio.Lock():
            while True:
                permit, is_certain = look()
                if is_certain:
                    return permit
                await self._room.wait()

    def _wake(self) -> None:
        """Let those that wait for a cap look again, the first of each queue."""
        self._room.set()
        self._room = asyncio.Event()

    async def _draw(self, part: Part) -> tuple[Arrival, ...]:
        """Send one request and book what comes of it, also when it is cancelled on the way."""
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._desk.ledger.settle(part.hold, Usage())
            raise
        started = self._desk.clock()
        try:
            rows = await sampled(self._backend, [part.request])
        except BACKEND_ERRORS as error:
            self._desk.book_attempts([part], error, seconds=self._desk.clock() - started)
            return self._desk.book_failure(part, error)
        except asyncio.CancelledError as error:
            self._desk.book_cancelled(part, Metered.of(error), seconds=self._desk.clock() - started)
            raise
        finally:
            self._slots.release()
        completions, seconds = rows[0] if rows else (), self._desk.clock() - started
        self._longest = max(self._longest, seconds)
        return self._desk.book_completions(part, completions, seconds=seconds)

    async def _score(self, session: Session, ask: Ask, request: ScoreRequest) -> tuple[Arrival, ...]:
        recorded = self._desk.earlier.scores(session, ask, request)
        if recorded is not None:
            return (recorded,)
        started = self._desk.clock()
        try:
            rows = await scored(self._verifiers[request.verifier], [request])
        except VERIFIER_ERRORS as error:
            return (Scored(ask=ask, reply=failure_of(error)),)
        seconds = self._desk.clock() - started
        return (self._desk.book_scores(session, ask, request, rows[0] if rows else (), seconds=seconds),)


async def _ready(arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
    return arrivals
