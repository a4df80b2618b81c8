"""What earlier sessions of a run, or earlier turns of a prompt, have drawn and paid: nothing is paid twice.

All that a run log says was paid counts against the caps from the start, whatever is asked for now: a sample
that had failed may come this time, and lead elsewhere. It is booked when it is asked for again, or at the
end. Sending and recording are left to `planner.drivers.desk`.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.drivers.accounts import Account
from planner.drivers.ledger import Ledger
from planner.drivers.memory import Memory
from planner.drivers.run_log import RunLog
from planner.drivers.session import Session
from planner.ports.outcome import Outcome
from planner.ports.ports import SampleRequest, ScoreRequest
from planner.strategies.flow import Ask, Sampled, Scored
from planner.strategies.task import Task
from policies.cost.usage import Usage


class Earlier:
    """Samples and scores that are there already, and the books of them.

    Parameters
    ----------
    ledger : Ledger
        The books of the run.
    memory : Memory, optional
        What this session has drawn, where prompts come back.
    run_log : RunLog, optional
        What earlier sessions have drawn.
    """

    def __init__(self, ledger: Ledger, memory: Memory | None, run_log: RunLog | None) -> None:
        self._ledger, self._memory, self._run_log = ledger, memory, run_log

    def hold(self, tasks: Sequence[Task]) -> dict[int, Account]:
        """Count all that was paid for these prompts against the caps; return the books of those that paid.

        Where there are no caps, a run pays for what it asks for.
        """
        found: dict[int, Account] = {}
        if self._run_log is None or not self._ledger.limits.any:
            return found
        for number, task in enumerate(tasks):
            for generator, usage in self._run_log.paid(task):
                self._ledger.hold_earlier(found.setdefault(number, Account()), usage, generator)
        return found

    def outcome(self, task: Task, account: Account) -> Outcome | None:
        """Return the final outcome of a task that the run log has, booked.

        Prompts that may go on need their samples, and are carried out again from those in the log.
        """
        if self._run_log is None:
            return None
        recorded = None if self._memory is not None else self._run_log.outcome(task)
        if recorded is not None:
            if not self.book_rest(account):
                self._ledger.recall(account, recorded.usage, task.generator.name)
            self._ledger.release(account)
            return recorded
        for generator, usage in self._run_log.lost(task):
            if generator:
                self._ledger.claim(account, usage, generator)
            self._ledger.spend(account, usage, generator or task.generator.name)
        return None

    def samples(self, session: Session, ask: Ask, request: SampleRequest) -> dict[int, Sampled]:
        """Return the completions of an ask that are there, booked, by index."""
        known = {} if self._memory is None else self._memory.samples(request)
        drawn = {index: Sampled(ask=ask, index=index, reply=one) for index, one in known.items()}
        if self._run_log is None:
            return drawn
        account, name = session.account, request.generator.name
        for index in range(request.n):
            recorded = None if index in drawn else self._run_log.sample(request, index)
            if recorded is not None:
                if self._memory is not None:
                    self._memory.keep(request, {index: recorded.completion})
                if recorded.booked:
                    self._ledger.claim(account, recorded.usage, name)
                lengths = [recorded.completion.output_tokens]
                self._ledger.recall(account, recorded.usage, name, lengths=lengths)
                session.note_remarks([recorded.completion])
                drawn[index] = Sampled(ask=ask, index=index, reply=recorded.completion)
        return drawn

    def scores(self, session: Session, ask: Ask, request: ScoreRequest) -> Scored | None:
        """Return the scores that an ask had before, booked."""
        known = None if self._memory is None else self._memory.scores(request)
        if known is not None:
            return Scored(ask=ask, reply=known)
        recorded = None if self._run_log is None else self._run_log.scores(request)
        if self._run_log is None or recorded is None:
            return None
        if self._memory is not None:
            self._memory.keep_scores(request, recorded)
        usage, payer = Usage(verifier_tokens=recorded.verifier_tokens), self._run_log.payer_of_scores(request)
        if payer:
            self._ledger.claim(session.account, usage, payer)
        self._ledger.spend(session.account, usage, payer or session.task.generator.name)
        return Scored(ask=ask, reply=recorded)

    def book_rest(self, account: Account) -> bool:
        """Book what a prompt has paid and never asked for again; return whether there was anything."""
        rest = [(name, usage) for name, usage in account.earlier.items() if usage != Usage()]
        for name, usage in rest:
            self._ledger.claim(account, usage, name)
            self._ledger.spend(account, usage, name)
        return bool(rest)
