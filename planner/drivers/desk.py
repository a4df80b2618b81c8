"""What both drivers share: looking replies up in the run log, booking them, and handing in outcomes.

The desk knows the ledger, the run log and the progress callback; it sends nothing itself. How requests are
batched, awaited and cancelled is left to the two drivers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from difficulty.errors import BackendError, VerifierError
from planner.drivers.accounts import Account
from planner.drivers.earlier import Earlier
from planner.drivers.exchange import Draws, failure_of, read_completions, read_scores
from planner.drivers.ledger import Ledger
from planner.drivers.lengths import Counting
from planner.drivers.limits import Limits
from planner.drivers.memory import Memory
from planner.drivers.part import Part
from planner.drivers.run_log import RunLog
from planner.drivers.session import OnProgress, Progress, Session, check_tasks
from planner.drivers.thinking import IGNORED, ignored_budget
from planner.drivers.turns import Standing, Turns
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, Metered, ScoreRequest, Scores, Verifier
from planner.ports.spending import shared, usage_of_completion, usage_of_failure
from planner.strategies.flow import Ask, Failure, Sampled, Scored
from planner.strategies.task import Task
from policies.cost.usage import Usage

_COUNTING = Counting()
Clock: TypeAlias = Callable[[], float]
BACKEND_ERRORS = (BackendError, ConnectionError, TimeoutError)
VERIFIER_ERRORS = (VerifierError, BackendError, ConnectionError, TimeoutError)


class Desk:
    """The books, the run log and the outcomes of one run.

    Parameters
    ----------
    tasks : sequence of Task
        All prompts of the run.
    verifiers : mapping of str to Verifier
        Verifiers by name.
    limits : Limits
        Hard caps.
    run_log : RunLog, optional
        Where to record, and what to resume from.
    progress : callable, optional
        Called after each outcome.
    clock : callable
        Monotonic seconds.
    turns : Turns, optional
        Which prompts are opened next; by default all, in order.
    counting : Counting
        How prompts are counted before they are sent.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        verifiers: Mapping[str, Verifier],
        limits: Limits,
        run_log: RunLog | None,
        progress: OnProgress | None,
        clock: Clock,
        turns: Turns | None = None,
        counting: Counting = _COUNTING,
    ) -> None:
        self.ledger = Ledger(limits, counting)
        self.clock = clock
        self._tasks = list(tasks)
        self._verifiers = verifiers
        self._strategies = list(check_tasks(tasks, verifiers))
        self._turns = turns
        self._queue = deque(range(len(tasks))) if turns is None else deque[int]()
        self._opened: set[int] = set()
        self._memory = Memory() if turns is not None and turns.comes_back else None
        self._run_log = run_log
        self.earlier = Earlier(self.ledger, self._memory, run_log)
        self._accounts = self.earlier.hold(tasks)
        self._progress = progress
        self._outcomes: dict[int, Outcome] = {}
        self._deadline = None if limits.max_seconds is None else clock() + limits.max_seconds

    def next_part(self) -> list[int]:
        """Return the numbers of the tasks to be opened now; none when the run is over."""
        if not self._queue and self._turns is not None:
            part = self._turns.next(self._standing())
            for number, task, reserve in part.turns:
                (self._strategies[number],) = check_tasks([task], self._verifiers)
                self._tasks[number] = task
                account = self._accounts.setdefault(number, Account())
                account.reserve = reserve
                account.kept = task.may_end_empty
                self._queue.append(number)
                self._opened.add(number)
            self.ledger.set_aside = part.aside + sum(one.reserve for one in self._accounts.values())
        part_now = list(self._queue)
        self._queue.clear()
        return part_now

    def _standing(self) -> Standing:
        done: dict[int, float] = {}
        running: dict[int, float] = {}
        for number in self._opened:
            (done if number in self._outcomes else running)[number] = self._accounts[number].cost
        settled = {
            number
            for number, outcome in self._outcomes.items()
            if outcome.stop_reason in ("satisfied", "failed")
        }
        return Standing(done, running, self.ledger.lost_cost, settled, self._outcomes)

    def open(self, number: int) -> Session | None:
        """Return the session of a task, or None where its final outcome is in the run log."""
        task = self._tasks[number]
        account = self._accounts.setdefault(number, Account())
        before = self._outcomes.get(number)
        errors = () if before is None else before.errors
        session = Session(task, self._strategies[number], self.ledger, account, errors)
        recorded = self.earlier.outcome(task, account)
        if recorded is not None:
            self._hand_in(number, recorded)
            return None
        return session

    def close(self, number: int, session: Session) -> None:
        """Hand in the outcome of a session whose requests are all settled; free what is set aside for it."""
        self.ledger.release(session.account)
        outcome = session.close()
        if self._run_log is not None and self._run_log.outcome(session.task) is None:
            self._run_log.add_outcome(session.task, outcome)
        self._hand_in(number, outcome)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes in the order of the tasks, with all that was paid for each."""
        for number, account in self._accounts.items():
            if self.earlier.book_rest(account):
                cost = None if self.ledger.limits.price is None else account.cost
                outcome = self._outcomes[number]
                self._outcomes[number] = replace(outcome, usage=account.usage, cost=cost)
        return [self._outcomes[number] for number in range(len(self._tasks))]

    def seconds_left(self) -> float | None:
        """Return the seconds until the run's time is up, None without a limit; closes the ledger at 0."""
        if self._deadline is None:
            return None
        left = self._deadline - self.clock()
        if left <= 0:
            self.ledger.time_is_up = True
        return max(left, 0.0)

    def book_completions(
        self, part: Part, completions: Sequence[Completion], *, seconds: float
    ) -> tuple[Sampled, ...]:
        """Settle what a backend returned for a part, record it, and return what the flow may see."""
        draws = read_completions(completions, n=part.request.n, seconds=seconds)
        self.ledger.settle(part.hold, draws.usage, lengths=draws.lengths, beside=draws.beside)
        part.session.note_remarks(completions)
        for one in completions:
            ignored = ignored_budget(one, part.request.generator.thinking_tokens)
            if ignored is not None:
                part.session.note_error(IGNORED, ignored)
        if draws.surplus:
            reason = f"{draws.surplus} completions too many; they are paid for and dropped"
            part.session.note_error("InvalidResponseError", reason)
        self._record(part, draws, seconds)
        return part.arrived(draws.replies)

    def book_failure(self, part: Part, error: Exception) -> tuple[Sampled, ...]:
        """Settle a request that raised, and return its failures."""
        self.ledger.settle(part.hold, Usage())
        return part.arrived([failure_of(error)] * part.request.n)

    def book_attempts(self, parts: Sequence[Part], error: Exception, *, seconds: float) -> None:
        """Book the attempts of a call that raised, on all that it was for."""
        usages = shared(usage_of_failure(error) + Usage(seconds=seconds), len(parts))
        for part, usage in zip(parts, usages, strict=True):
            self.ledger.spend(part.session.account, usage, part.request.generator.name)
            self._record_lost(part, usage)

    def _record_lost(self, part: Part, usage: Usage) -> None:
        if self._run_log is not None and usage != Usage():
            self._run_log.add_lost(part.session.task, usage, part.request.generator.name)

    def book_cancelled(self, part: Part, metered: Metered | None, *, seconds: float) -> None:
        """Book a cancelled request: all of its tokens, those that were seen, or only that it was sent."""
        n = part.request.n
        used = Usage(requests=1) if metered is None else metered.usage
        usage = replace(used, samples=n, wasted_tokens=used.output_tokens, seconds=seconds)
        if metered is not None and metered.exact:
            self.ledger.settle(part.hold, usage if used.requests else Usage())
        else:
            self.ledger.write_off(part.hold, usage)
            kind = "CancelledUnmetered"
            reason = f"{n} samples were cancelled; the backend did not say how many tokens they had"
            if metered is not None:
                kind = "CancelledLowerBound"
                reason = (
                    f"{n} samples were cancelled after {used.output_tokens} tokens and perhaps a few more"
                )
            part.session.note_error(kind, reason)
        if used.requests:
            self._record_lost(part, usage)

    def book_scores(
        self, session: Session, ask: Ask, request: ScoreRequest, scores: Sequence[float], *, seconds: float
    ) -> Scored:
        """Book what a verifier returned, record it, and return what the flow may see."""
        marks = read_scores(scores, n=len(request.completions))
        usage = marks.usage + Usage(seconds=seconds)
        payer = marks.generator or session.task.generator.name
        self.ledger.spend(session.account, usage, payer)
        if self._memory is not None and not isinstance(marks.reply, Failure):
            self._memory.keep_scores(request, marks.reply)
        if self._run_log is not None:
            tokens = int(marks.usage.verifier_tokens)
            if isinstance(marks.reply, Failure):
                self._run_log.add_lost(session.task, usage, payer)
            else:
                scored = Scores(marks.reply, verifier_tokens=tokens)
                self._run_log.add_scores(request, scored, task=session.task, generator=payer)
                more = marks.usage - Usage(verifier_tokens=tokens)
                if more != Usage():
                    # The line of scores has no place for what a judge model has used.
                    self._run_log.add_lost(session.task, more, payer)
        return Scored(ask=ask, reply=marks.reply)

    def _record(self, part: Part, draws: Draws, seconds: float) -> None:
        """Record the completions that a resumed run may use, and the cost of the others."""
        kept = [
            (part.first + i, reply) for i, reply in enumerate(draws.replies) if isinstance(reply, Completion)
        ]
        if self._memory is not None:
            self._memory.keep(part.whole, dict(kept))
        if self._run_log is None:
            return
        usage = draws.usage
        if kept:
            self._run_log.add_samples(
                part.whole,
                [i for i, _ in kept],
                [reply for _, reply in kept],
                seconds=seconds,
                task=part.session.task,
            )
            usage -= Usage(requests=1, seconds=seconds)
        for _, reply in kept:
            usage -= usage_of_completion(reply)
        self._record_lost(part, usage)

    def _hand_in(self, number: int, outcome: Outcome) -> None:
        before = self._outcomes.get(number)
        if before is not None and before.answer is not None and outcome.answer is None:
            # It could not be paid to go on: what had been answered stands.
            outcome = replace(
                before,
                usage=outcome.usage,
                cost=outcome.cost,
                stop_reason=outcome.stop_reason,
                errors=outcome.errors,
            )
        self._outcomes[number] = outcome
        if self._progress is not None and before is None:
            self._progress(
                Progress(
                    n_done=len(self._outcomes),
                    n_tasks=len(self._tasks),
                    outcome=outcome,
                    spent=self.ledger.total,
                )
            )
