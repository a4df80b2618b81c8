"""One prompt in progress: its flow, its books, its failures.

Both drivers move sessions; a session knows no backend and no clock. When its flow returns, the session adds
to the outcome what only the driver's side knows: actual usage, cost, errors, and the cap or outage that ended
it, where one did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from difficulty.errors import InvalidInputError
from planner.drivers.accounts import Account
from planner.drivers.ledger import Ledger
from planner.ports.outcome import Outcome, OutcomeError, StopReason
from planner.ports.ports import Completion, SampleRequest, Verifier
from planner.strategies.flow import Arrival, Ask, Failure, Flow, Sampled
from planner.strategies.registry import strategy_of
from planner.strategies.task import Strategy, Task
from policies.cost.usage import Usage

DriverName: TypeAlias = Literal["lockstep", "concurrent"]

# Failures of the connection or the server, and not of the sample: asking again later may bring it.
_OUTAGES = frozenset(
    {
        "RetryableBackendError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
        "ConnectionAbortedError", "BrokenPipeError", "TimeoutError",
    }
)  # fmt: skip
_STOP_REASONS: Mapping[str, StopReason] = {
    "BudgetSpent": "budget",
    "LimitReached": "limit",
    "TimeLimitReached": "time",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    n_done, n_tasks : int
        Prompts that are done, and all.
    outcome : Outcome
        The one that has just been done.
    spent : Usage
        Usage of the run so far.
    """

    n_done: int
    n_tasks: int
    outcome: Outcome
    spent: Usage


OnProgress: TypeAlias = Callable[[Progress], None]


class Session:
    """Moves one flow and keeps what the driver knows about it.

    Parameters
    ----------
    task : Task
        The prompt and its allocation.
    strategy : Strategy
        How to spend it.
    ledger : Ledger
        The books of the run.
    account : Account
        Those of the prompt.
    errors : sequence of OutcomeError
        What failed when the prompt was open before.
    """

    def __init__(
        self,
        task: Task,
        strategy: Strategy,
        ledger: Ledger,
        account: Account,
        errors: Sequence[OutcomeError] = (),
    ) -> None:
        self.task = task
        self.outcome: Outcome | None = None
        self.account = account
        self._ledger = ledger
        self._flow: Flow[Outcome] = strategy.flow(task)
        self._errors = list(errors)
        self._refusal: Failure | None = None
        self._lost: dict[Ask, int] = {}
        self._outage = False

    def start(self) -> tuple[Ask, ...]:
        """Return the first requests."""
        return self._advance(None)

    def deliver(self, arrivals: Sequence[Arrival]) -> tuple[Ask, ...]:
        """Hand over replies and return new requests; empty when the flow waits for more, or is done."""
        for arrival in arrivals:
            if isinstance(arrival.reply, Failure):
                self._note(arrival.reply)
            if isinstance(arrival, Sampled):
                self._outage = self._is_lost(arrival)
        return self._advance(tuple(arrivals))

    def note_error(self, kind: str, reason: str) -> None:
        """Add a failure that no flow sees."""
        self._errors.append(OutcomeError(kind=kind, reason=reason))

    def note_remarks(self, completions: Sequence[Completion]) -> None:
        """Say in the outcome what must be known about the counts of completions."""
        for completion in completions:
            for remark in completion.remarks:
                error = OutcomeError.parse(remark)
                self.note_error(error.kind, error.reason)

    def close(self) -> Outcome:
        """Return the outcome with actual usage, cost, errors and stop reason; call it when all is settled."""
        if self.outcome is None:
            raise RuntimeError("a session was closed before its flow returned")
        stop_reason = self.outcome.stop_reason
        if self._refusal is not None and stop_reason != "satisfied":
            stop_reason = _STOP_REASONS[self._refusal.kind]
        elif self._outage and (stop_reason == "satisfied" or self.task.strategy is not None):
            # What an outage has taken says nothing about the prompt: a plan that reacts to it was misled, and
            # its last wave is still to be drawn. A fixed plan keeps what came.
            stop_reason = "failed"
        self.outcome = replace(
            self.outcome,
            usage=self.account.usage,
            cost=None if self._ledger.limits.price is None else self.account.cost,
            stop_reason=stop_reason,
            errors=tuple(self._errors),
        )
        return self.outcome

    def _is_lost(self, arrival: Sampled) -> bool:
        """Whether an outage has taken the whole of the request whose last sample this is."""
        if not isinstance(arrival.reply, Failure) or arrival.reply.kind not in _OUTAGES:
            self._lost.pop(arrival.ask, None)
            return False
        n_lost = self._lost[arrival.ask] = self._lost.get(arrival.ask, 0) + 1
        asked = arrival.ask.request
        return isinstance(asked, SampleRequest) and n_lost == asked.n

    def _note(self, failure: Failure) -> None:
        if failure.refused:
            self._refusal = self._refusal or failure
        else:
            self._errors.append(OutcomeError(kind=failure.kind, reason=failure.reason))

    def _advance(self, arrivals: tuple[Arrival, ...] | None) -> tuple[Ask, ...]:
        try:
            asks = next(self._flow) if arrivals is None else self._flow.send(arrivals)
        except StopIteration as stop:
            self.outcome = stop.value
            return ()
        if any(ask.last for ask in asks):
            self.account.kept = False
        return asks


async def delivered(session: Session, arrivals: Sequence[Arrival]) -> tuple[Ask, ...]:
    """Deliver arrivals; in a thread where finding an answer may take seconds, so that no other one waits."""
    if getattr(session.task.extractor, "blocks", False):
        return await asyncio.to_thread(session.deliver, arrivals)
    return session.deliver(arrivals)


def check_tasks(tasks: Sequence[Task], verifiers: Mapping[str, Verifier]) -> tuple[Strategy, ...]:
    """Return the strategy of each task, before anything is spent.

    Raises
    ------
    InvalidInputError
        When a strategy's parameters are wrong, its verifier is missing, or a task's generator is not the
        allocation's.
    """
    strategies = []
    for task in tasks:
        strategy = task.strategy or strategy_of(task.allocation)
        for name in strategy.verifiers:
            if name not in verifiers:
                raise InvalidInputError(
                    f"prompt {task.prompt.id!r}: {task.allocation.strategy} needs the verifier {name!r}; "
                    f"given: {', '.join(verifiers) or 'none'}; give one that scores (--verifier, verifier=)"
                )
        if task.generator.name != task.allocation.generator:
            raise InvalidInputError(
                f"prompt {task.prompt.id!r}: the task's generator is {task.generator.name!r}, "
                f"the allocation names {task.allocation.generator!r}"
            )
        strategies.append(strategy)
    return tuple(strategies)
