"""The protocol between strategies, which decide, and drivers, which do the input and output.

A flow is a generator: it yields new requests, wrapped in `Ask`, is sent whatever has arrived since, and
returns its result; a driver may deliver replies all at once or one by one, in any order, each exactly once.
Flows know no clock, no network and no randomness but the seed they are given; metering, caps and cancellation
are left to the drivers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from planner.ports.ports import Completion, SampleRequest, ScoreRequest
from policies.verifier.learned_verifier import LEARNED

Request: TypeAlias = SampleRequest | ScoreRequest
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One request of one flow, told apart from equal ones by identity.

    Parameters
    ----------
    request : SampleRequest or ScoreRequest
        What is asked for.
    one_by_one : bool
        Each completion is wanted as soon as it is there, so that a driver may send them apart.
    last : bool
        It is the last resort of a flow that a cap has ended.
    """

    request: Request
    one_by_one: bool = False
    last: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a sample or a score did not come.

    Parameters
    ----------
    kind : str
        Name of the error type, or of the cap that refused the request.
    reason : str
        What went wrong, in words.
    refused : bool
        True when a cap refused the request, so that asking again is useless.
    """

    kind: str
    reason: str
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """One completion of a sample request has arrived, or failed.

    Parameters
    ----------
    ask : Ask
        The request.
    index : int
        Which of its completions, from 0.
    reply : Completion or Failure
        A completion that ended with ``"stop"`` or ``"length"``, or why there is none.
    """

    ask: Ask
    index: int
    reply: Completion | Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The scores of a score request have arrived, or failed.

    Parameters
    ----------
    ask : Ask
        The request.
    reply : tuple of float, or Failure
        One finite score per completion of the request, or why there are none.
    """

    ask: Ask
    reply: tuple[float, ...] | Failure


Arrival: TypeAlias = Sampled | Scored
Flow: TypeAlias = Generator[tuple[Ask, ...], tuple[Arrival, ...], T]


def gather(asks: Sequence[Ask]) -> Flow[dict[tuple[Ask, int], Completion | tuple[float, ...] | Failure]]:
    """Ask, and wait for every reply; keys are the ask and the index of the completion (0 for scores)."""
    n_expected = sum(ask.request.n if isinstance(ask.request, SampleRequest) else 1 for ask in asks)
    replies: dict[tuple[Ask, int], Completion | tuple[float, ...] | Failure] = {}
    new = tuple(asks)
    while len(replies) < n_expected:
        for arrival in (yield new):
            index = arrival.index if isinstance(arrival, Sampled) else 0
            replies[arrival.ask, index] = arrival.reply
        new = ()
    return replies


def draw(
    requests: Sequence[SampleRequest], *, last: bool = False
) -> Flow[tuple[tuple[Completion | Failure, ...], ...]]:
    """Ask for samples and wait for all of them, aligned with `requests`, each in order of its completions."""
    asks = [Ask(request, last=last) for request in requests]
    replies = yield from gather(asks)
    result = []
    for ask, request in zip(asks, requests, strict=True):
        row = [replies[ask, index] for index in range(request.n)]
        result.append(tuple(reply for reply in row if not isinstance(reply, tuple)))
    return tuple(result)


def score(request: ScoreRequest) -> Flow[tuple[float | None, ...]]:
    """Ask for scores; None where a completion could not be scored.

    A request of several completions that fails is asked again one completion at a time, so that one
    completion that a verifier cannot read does not lose the others. The learned verifier is not: alone, a
    completion would be scored as if nothing else had been drawn.
    """
    if not request.completions:
        return ()
    ask = Ask(request)
    reply = (yield from gather((ask,)))[ask, 0]
    if isinstance(reply, tuple):
        return reply
    n = len(request.completions)
    if n == 1 or request.verifier == LEARNED or (isinstance(reply, Failure) and reply.refused):
        return (None,) * n
    singles = [Ask(_single(request, index)) for index in range(n)]
    replies = yield from gather(singles)
    rows = [replies[single, 0] for single in singles]
    return tuple(row[0] if isinstance(row, tuple) else None for row in rows)


def together(flows: Sequence[Flow[T]]) -> Flow[tuple[T, ...]]:
    """Run several flows at the same time, as one flow.

    Each moves on as soon as something arrives for it, whatever the others wait for.

    Parameters
    ----------
    flows : sequence of Flow
        Flows that have not been started.

    Returns
    -------
    tuple
        Their results, in the order of `flows`.
    """
    results: dict[int, T] = {}
    owner: dict[Ask, int] = {}
    new: list[Ask] = []

    def advance(which: int, arrivals: tuple[Arrival, ...] | None) -> None:
        flow = flows[which]
        try:
            asks = next(flow) if arrivals is None else flow.send(arrivals)
        except StopIteration as stop:
            results[which] = stop.value
            return
        owner.update(dict.fromkeys(asks, which))
        new.extend(asks)

    for which in range(len(flows)):
        advance(which, None)
    while len(results) < len(flows):
        arrivals = yield tuple(new)
        new.clear()
        inbox: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            inbox.setdefault(owner[arrival.ask], []).append(arrival)
        for which in sorted(inbox):
            if which not in results:
                advance(which, tuple(inbox[which]))
    return tuple(results[which] for which in range(len(flows)))


def _single(request: ScoreRequest, index: int) -> ScoreRequest:
    one = slice(index, index + 1)
    return replace(
        request,
        completions=request.completions[one],
        mean_logprobs=request.mean_logprobs[one],
        output_tokens=request.output_tokens[one],
        answers=request.answers[one],
    )


def told_refusals(flow: Flow[T]) -> Flow[tuple[T, bool]]:
    """Run a flow, and return its result and whether a cap has refused any of its requests."""
    refused = False
    try:
        asks = next(flow)
        while True:
            arrivals = yield asks
            refused |= any(isinstance(one.reply, Failure) and one.reply.refused for one in arrivals)
            asks = flow.send(arrivals)
    except StopIteration as end:
        return end.value, refused
