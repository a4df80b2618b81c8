"""The lock-step driver: one backend call per round for all prompts.

It suits engines that batch by themselves and offline runs over many prompts. A round sends everything that
all flows are waiting for, as far as the caps permit; a call in progress is never interrupted, so that the
limit on seconds is kept between rounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from difficulty.errors import BackendError
from planner.drivers.desk import BACKEND_ERRORS, VERIFIER_ERRORS, Desk
from planner.drivers.exchange import failure_of, sampled, scored, sent_singly
from planner.drivers.neighbours import runs_of
from planner.drivers.part import Part, refused
from planner.drivers.session import Session, delivered
from planner.ports.ports import Backend, SampleRequest, ScoreRequest, Verifier
from planner.strategies.flow import Arrival, Ask, Scored

# A failing call for many prompts is halved to find the one at fault; an outage shows by failing this often.
_MAX_FAILED_CALLS = 16


@dataclass(kw_only=True, slots=True)
class _Open:
    """An ask that is not fully sent yet; `left` are the indices still wanted."""

    session: Session
    ask: Ask
    request: SampleRequest
    left: deque[int]


async def send_in_rounds(desk: Desk, backend: Backend, verifiers: Mapping[str, Verifier]) -> None:
    """Send what the tasks of a desk want, one call per round, until the run is over."""
    sessions: dict[Session, int] = {}
    samples: list[_Open] = []
    early: dict[Session, list[Arrival]] = {}
    scores: list[tuple[Session, Ask, ScoreRequest]] = []

    def post(session: Session, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if isinstance(ask.request, SampleRequest):
                recorded = desk.earlier.samples(session, ask, ask.request)
                early.setdefault(session, []).extend(recorded[index] for index in sorted(recorded))
                left = deque(index for index in range(ask.request.n) if index not in recorded)
                samples.append(_Open(session=session, ask=ask, request=ask.request, left=left))
            else:
                scores.append((session, ask, ask.request))

    def open_part() -> bool:
        numbers = desk.next_part()
        for number in numbers:
            session = desk.open(number)
            if session is not None:
                sessions[session] = number
                post(session, session.start())
        return bool(numbers)

    while sessions or open_part():
        desk.seconds_left()
        inbox: dict[Session, list[Arrival]] = {session: early.pop(session, []) for session in sessions}
        parts = _admit(desk, samples, inbox, backend)
        await _sample(desk, backend, parts, inbox)
        await _score(desk, verifiers, scores, inbox)
        samples = [entry for entry in samples if entry.left]
        scores.clear()
        for session, arrivals in inbox.items():
            if arrivals:
                post(session, await delivered(session, arrivals))
            if session.outcome is not None:
                desk.close(sessions.pop(session), session)
        samples = [entry for entry in samples if entry.session in sessions]


def _admit(
    desk: Desk, samples: Sequence[_Open], inbox: Mapping[Session, list[Arrival]], backend: Backend
) -> list[Part]:
    """Take what the caps permit, in order; where that is nothing at all, refuse everything."""
    parts: list[Part] = []
    singly, apart = sent_singly(backend)
    for entry in samples:
        admission = None
        while entry.left:
            first, run = (entry.left[0], 1) if singly else runs_of(entry.left)[0]
            admission = desk.ledger.admit(entry.session.account, entry.request, run, apart=apart)
            if admission.hold is None:
                break
            for _ in range(admission.n):
                entry.left.popleft()
            own = admission.of(entry.request, first)
            parts.append(
                Part(
                    session=entry.session,
                    ask=entry.ask,
                    whole=entry.request,
                    request=own,
                    first=first,
                    hold=admission.hold,
                )
            )
        if admission is None or admission.refusal is None:
            continue
        if not desk.ledger.nothing_in_flight:
            if admission.for_all:
                break
            continue
        desk.ledger.give_way(entry.session.account)
        inbox[entry.session].extend(refused(entry.ask, list(entry.left), admission.refusal))
        entry.left.clear()
    return parts


async def _sample(
    desk: Desk, backend: Backend, parts: Sequence[Part], inbox: Mapping[Session, list[Arrival]]
) -> None:
    """Draw all parts in one call; where it fails, halve it until the requests at fault stand alone."""
    calls = deque([list(parts)]) if parts else deque()
    n_failed = 0
    while calls:
        call = calls.popleft()
        started = desk.clock()
        try:
            rows = await sampled(backend, [part.request for part in call])
        except BACKEND_ERRORS as error:
            n_failed += 1
            failed = error.failed_requests if isinstance(error, BackendError) else 1
            desk.book_attempts(call, error, seconds=desk.clock() - started)
            # A backend that tried each request on its own says so by its count: then nothing is to be found.
            if failed < len(call) > 1 and n_failed < _MAX_FAILED_CALLS:
                middle = len(call) // 2
                calls.extendleft((call[middle:], call[:middle]))
                continue
            for part in call:
                inbox[part.session].extend(desk.book_failure(part, error))
            continue
        seconds = desk.clock() - started
        rows = list(rows) + [()] * (len(call) - len(rows))
        total = sum(sum(completion.output_tokens for completion in row) for row in rows)
        for part, row in zip(call, rows, strict=False):
            tokens = sum(completion.output_tokens for completion in row)
            # A call's wall time is split by tokens, so that the prompts' seconds add up to the run's.
            share = tokens / total if total > 0 else 1 / len(call)
            inbox[part.session].extend(desk.book_completions(part, row, seconds=seconds * share))


async def _score(
    desk: Desk,
    verifiers: Mapping[str, Verifier],
    scores: Sequence[tuple[Session, Ask, ScoreRequest]],
    inbox: Mapping[Session, list[Arrival]],
) -> None:
    """Score in one call per verifier; where it fails, ask for one request at a time."""
    by_name: dict[str, list[tuple[Session, Ask, ScoreRequest]]] = {}
    for session, ask, request in scores:
        recorded = desk.earlier.scores(session, ask, request)
        if recorded is not None:
            inbox[session].append(recorded)
        else:
            by_name.setdefault(request.verifier, []).append((session, ask, request))
    for name, entries in by_name.items():
        calls = deque([entries])
        while calls:
            call = calls.popleft()
            started = desk.clock()
            try:
                rows = await scored(verifiers[name], [request for _, _, request in call])
            except VERIFIER_ERRORS as error:
                if len(call) > 1:
                    calls.extend([entry] for entry in call)
                    continue
                session, ask, _ = call[0]
                inbox[session].append(Scored(ask=ask, reply=failure_of(error)))
                continue
            seconds = (desk.clock() - started) / len(call)
            rows = list(rows) + [()] * (len(call) - len(rows))
            for (session, ask, request), row in zip(call, rows, strict=False):
                inbox[session].append(desk.book_scores(session, ask, request, row, seconds=seconds))
