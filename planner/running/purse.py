"""A budget that many runs share: each sample is held at the most that it can cost, and waits for others.

What is held is given back as soon as the real cost is known, so that a budget is spent to its end by hundreds
of runs at a time and never exceeded. It assumes one event loop. What each run may spend by itself is left to
the drivers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from difficulty.errors import BackendError, BudgetSpentError
from planner.drivers import Limits
from planner.drivers.accounts import Account, Hold, Permit
from planner.drivers.exchange import read_completions
from planner.drivers.ledger import Ledger
from planner.drivers.limits import Price
from planner.ports.ports import AnswerExtractor, Backend, Completion, Metered, SampleRequest
from planner.ports.spending import usage_of_failure
from planner.running.waiting import Waiting
from policies.cost.usage import Usage

# Samples that may be waited for, as a multiple of those of usual cost that what is left would pay.
_HOPE: Final = 3.0
_NOTHING: Final = Usage()


class Purse:
    """A budget, and all that is held of it.

    Parameters
    ----------
    limit : float
        Above 0, in the unit of `price`.
    price : callable
        Price of a usage of a generator.
    spent : float
        What has been spent of it already.

    Examples
    --------
    >>> purse = Purse(10.0, lambda usage, generator: usage.output_tokens)
    >>> purse.left
    10.0
    """

    def __init__(self, limit: float, price: Price, *, spent: float = 0.0) -> None:
        self._limit = limit
        self._ledger = Ledger(Limits(max_cost=limit, price=price))
        self._ledger.total_cost = spent
        self._waiting = Waiting()
        self._looks_again = False
        self._for_later = 0.0
        self._n_paid, self._paid = 0.0, 0.0

    @property
    def spent(self) -> float:
        """What has been spent."""
        return self._ledger.total_cost

    @property
    def lost(self) -> float:
        """What cancelled requests may have cost, beyond what is known."""
        return self._ledger.lost_cost

    @property
    def left(self) -> float:
        """What is neither spent nor held."""
        return max(self._limit - self._ledger.committed, 0.0)

    @property
    def spent_out(self) -> bool:
        """Whether nothing can come back any more: all of it is spent, or may have been."""
        return self._ledger.total_cost + self._ledger.lost_cost >= self._limit

    def set_aside(self, cost: float) -> None:
        """Keep so much for prompts that have not come yet."""
        self._ledger.set_aside += cost - self._for_later
        self._for_later = cost

    def open(self, *, least: float = 0.0) -> Account:
        """Return the books of a prompt; `least` is set aside for its first sample."""
        account = Account(reserve=least)
        self._ledger.set_aside += account.reserve
        return account

    def close(self, account: Account) -> None:
        """Set nothing aside for a prompt any more."""
        self._ledger.release(account)
        self._wake()

    async def hold(self, account: Account, request: SampleRequest, n: int) -> Permit:
        """Hold the cost of up to `n` samples; wait while others hold what may come back.

        Returns
        -------
        Permit
            Without a hold where nothing may be sent any more.
        """
        permit = await self._permit(account, request, n)
        account.refused |= permit.hold is None
        return permit

    async def _permit(self, account: Account, request: SampleRequest, n: int) -> Permit:
        permit = self._look(account, request, n, len(self._waiting))
        if permit is not None:
            return permit
        waiter = self._waiting.add(account, request, n)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._waiting.drop(waiter)
            answer = waiter.answer
            if answer.done() and not answer.cancelled() and (hold := answer.result().hold) is not None:
                self.settle(hold, _NOTHING)  # it was paid in the moment in which it was given up
            raise

    def _look(self, account: Account, request: SampleRequest, n: int, n_others: int) -> Permit | None:
        """Return what a request may send, without a hold where it never may, None where it is to wait."""
        ledger = self._ledger
        permit = ledger.admit(account, request, n)
        if permit.hold is None and account.reserve:
            permit = self._before_later_ones(account, request, permit)
        if permit.hold is None and account.reserve and self._too_many_wait(n_others):
            permit = ledger.admit(account, request, 1, shorter=True)
        # What is set aside for prompts in flight soon comes back in part, what is for later ones not.
        spent = ledger.total_cost + self._for_later >= self._limit
        if permit.hold is None and (ledger.nothing_in_flight or spent):
            return self._first(account, request) if account.reserve else permit
        return None if permit.hold is None else permit

    def _too_many_wait(self, n_others: int) -> bool:
        """Whether an even share of all that is left would be less than a sample costs, if all came back.

        Waiting then brings hardly anybody more than what is set aside for it, and one after the other would
        wait for that. A third of them go at a time: what they leave over is for the next.
        """
        ledger = self._ledger
        if not self._n_paid or 2 * ledger.requests_in_flight > n_others:
            return False
        left = self._limit - ledger.total_cost - ledger.lost_cost - self._for_later
        return left * self._n_paid < self._paid * (1 + n_others)

    def _before_later_ones(self, account: Account, request: SampleRequest, refused: Permit) -> Permit:
        """Hold a prompt's first sample out of what is set aside for prompts that have not come yet."""
        permit = self._out_of(self._for_later, account, request)
        return refused if permit.hold is None else permit

    def _first(self, account: Account, request: SampleRequest) -> Permit:
        """Hold a prompt's first sample out of what is set aside for others: who has come goes first."""
        return self._out_of(self._ledger.set_aside - account.reserve, account, request)

    def _out_of(self, aside: float, account: Account, request: SampleRequest) -> Permit:
        """Hold one sample as if so much less were set aside."""
        ledger = self._ledger
        ledger.set_aside -= aside
        try:
            return ledger.admit(account, request, 1)
        finally:
            ledger.set_aside += aside

    def settle(
        self, hold: Hold, usage: Usage, *, lengths: Sequence[float] = (), beside: Usage = _NOTHING
    ) -> None:
        """Replace a hold by what was really used."""
        before = self._ledger.total_cost
        self._ledger.settle(hold, usage, lengths=lengths, beside=beside)
        self._n_paid += usage.samples
        self._paid += self._ledger.total_cost - before
        self._wake()

    def write_off(self, hold: Hold, usage: Usage) -> None:
        """Book a cancelled request whose tokens nobody counted to the end."""
        self._ledger.write_off(hold, usage)
        self._wake()

    def _wake(self) -> None:
        """Have those that wait looked at again, once for all that is settled until then."""
        if self._waiting and not self._looks_again:
            self._looks_again = True
            asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        """Answer those that need not wait any more, first those that have drawn nothing.

        Whoever has drawn, and could not be paid if all that is held came back, waits no longer.
        """
        self._looks_again, ledger = False, self._ledger
        if self._paid > 0:
            room = self._limit - ledger.total_cost - ledger.lost_cost - ledger.set_aside
            most = math.ceil(_HOPE * max(room, 0.0) * self._n_paid / self._paid)
            self._waiting.keep(max(most - self._waiting.n_first, 0))
        self._waiting.answer(self._look)


class Pursed:
    """A backend whose samples are paid from a purse; implements the port `Backend`.

    Parameters
    ----------
    backend : Backend
        Draws.
    purse : Purse
        Pays.
    account : Account
        The books of the prompt, of `Purse.open`.
    """

    draws_singly = True

    def __init__(self, backend: Backend, purse: Purse, account: Account) -> None:
        self._backend, self._purse, self._account = backend, purse, account
        self.extractor: AnswerExtractor | None = getattr(backend, "extractor", None)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request.

        Raises
        ------
        BudgetSpentError
            When the purse leaves nothing for the first sample of a request.
        """
        return [await self._draw(request) for request in requests]

    async def _draw(self, request: SampleRequest) -> list[Completion]:
        found: list[Completion] = []
        while len(found) < request.n:
            permit = await self._purse.hold(self._account, request, request.n - len(found))
            if permit.hold is None:
                if not found:
                    raise BudgetSpentError("the budget of this window, or of this key, is spent")
                return found
            found += await self._send(permit.of(request, len(found)), permit.hold)
        return found

    async def _send(self, request: SampleRequest, hold: Hold) -> list[Completion]:
        purse = self._purse
        try:
            (row,) = await self._backend.sample([request])
        except BackendError as error:
            self._account.failed = True
            purse.settle(hold, usage_of_failure(error))
            raise
        except Exception:
            purse.settle(hold, Usage())
            raise
        except BaseException as error:  # cancelled, or the process ends
            metered = Metered.of(error) if isinstance(error, asyncio.CancelledError) else None
            if metered is not None and metered.exact:
                purse.settle(hold, metered.usage if metered.usage.requests else Usage())
            else:
                used = Usage(requests=1) if metered is None else metered.usage
                purse.write_off(hold, replace(used, samples=request.n, wasted_tokens=used.output_tokens))
            raise
        draws = read_completions(row, n=request.n)
        purse.settle(hold, draws.usage, lengths=draws.lengths, beside=draws.beside)
        return list(row)
