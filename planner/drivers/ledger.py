"""The books of a run: what each prompt has spent, what is held for requests in flight, what may be sent.

Before a sample is sent, the most that it can cost is held: the cap on its output tokens, or where there is
none the longest sample seen so far; so caps hold on actual usage exactly where output is capped, and
otherwise up to what is in flight. Verifier tokens are known, and charged, only after scoring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from planner.drivers.limits import Limits
from planner.ports import SampleRequest
from planner.strategies.flow import Failure
from policies.usage import Usage

__all__ = ["Account", "Admission", "Hold", "Ledger"]

_TIME = Failure(kind="TimeLimitReached", reason="the run reached max_seconds", refused=True)
# Sums of many floating-point costs may exceed a limit by rounding alone.
_ROUNDING = 1 + 1e-12


@dataclass(kw_only=True, slots=True)
class Account:
    """One prompt's books.

    Parameters
    ----------
    generator : str
        Name of the generator whose prices apply.
    usage : Usage
        Spent so far.
    held : Usage
        The most that requests in flight can still cost.
    longest_prompt : float
        Most prompt tokens of a request of this prompt so far.
    """

    generator: str
    usage: Usage
    held: Usage
    longest_prompt: float = 0


class Hold(NamedTuple):
    """What one request in flight holds."""

    account: Account
    usage: Usage
    cost: float


class Admission(NamedTuple):
    """How many samples may be sent now, the hold on them, and the refusal where it is none."""

    n: int
    hold: Hold | None
    refusal: Failure | None


class Ledger:
    """Admits requests within the limits and adds up what they cost.

    Parameters
    ----------
    limits : Limits
        Hard caps.

    Examples
    --------
    >>> ledger = Ledger(Limits(max_samples=2))
    >>> account = ledger.open("tiny")
    >>> ledger.spend(account, Usage(samples=2, output_tokens=40))
    >>> ledger.total.output_tokens
    40
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = Usage()
        self.total_cost = 0.0
        self.time_is_up = False
        self._held = Usage()
        self._held_cost = 0.0
        self._longest: dict[str, float] = {}

    def open(self, generator: str) -> Account:
        """Return a new account for a prompt that `generator` answers."""
        return Account(generator=generator, usage=Usage(), held=Usage())

    def cost(self, account: Account) -> float | None:
        """Return the price of what the account has spent, or None without a price."""
        return None if self.limits.price is None else self.limits.price(account.usage, account.generator)

    @property
    def nothing_in_flight(self) -> bool:
        """Whether no hold is open, so that what is refused now is refused for good."""
        return self._held.requests == 0

    def admit(self, account: Account, request: SampleRequest, n: int) -> Admission:
        """Hold the cost of as many of `n` samples of `request` as the caps permit.

        Parameters
        ----------
        account : Account
            The prompt's books.
        request : SampleRequest
            What would be sent.
        n : int
            Samples wanted, at least 1.
        """
        if self.time_is_up:
            return Admission(0, None, _TIME)
        low, high = 0, n
        refusal = None
        if (refusal := self._refusal(account, request, n)) is None:
            low = n
        while high - low > 1:
            middle = (low + high) // 2
            if self._refusal(account, request, middle) is None:
                low = middle
            else:
                high = middle
        if low == 0:
            return Admission(0, None, refusal)
        worst = self._worst(account, request, low)
        hold = Hold(account, worst, self._price(worst, account.generator))
        self._held += worst
        self._held_cost += hold.cost
        account.held += worst
        return Admission(low, hold, None)

    def settle(self, hold: Hold, usage: Usage) -> None:
        """Replace a hold by what was really used."""
        self._release(hold)
        if usage.samples:
            longest = self._longest.get(hold.account.generator, 0)
            self._longest[hold.account.generator] = max(longest, usage.output_tokens / usage.samples)
        hold.account.longest_prompt = max(hold.account.longest_prompt, usage.prompt_tokens)
        self.spend(hold.account, usage)

    def write_off(self, hold: Hold, usage: Usage) -> None:
        """Book a cancelled request whose tokens nobody counted; `usage` is what is known of it.

        The held tokens count against the caps, since they may have been generated, and never show up as
        usage.
        """
        unknown = Usage(output_tokens=hold.usage.output_tokens, prompt_tokens=hold.usage.prompt_tokens)
        self._release(hold)
        hold.account.held += unknown
        self._held += unknown
        self._held_cost += self._price(unknown, hold.account.generator)
        self.spend(hold.account, usage)

    def spend(self, account: Account, usage: Usage) -> None:
        """Add `usage` to the account and to the run."""
        before = self._price(account.usage, account.generator)
        account.usage += usage
        self.total += usage
        self.total_cost += self._price(account.usage, account.generator) - before

    def _release(self, hold: Hold) -> None:
        self._held += hold.usage * -1
        self._held_cost -= hold.cost
        hold.account.held += hold.usage * -1

    def _worst(self, account: Account, request: SampleRequest, n: int) -> Usage:
        """Return the most that `n` samples of the request can use, as far as it is known."""
        caps = [
            cap for cap in (request.max_output_tokens, request.generator.max_output_tokens) if cap is not None
        ]
        tokens = min(caps) if caps else self._longest.get(account.generator, 0)
        prompt = max(request.prompt.prompt_tokens or 0, account.longest_prompt)
        return Usage(samples=n, prompt_tokens=prompt, output_tokens=n * tokens, requests=1)

    def _refusal(self, account: Account, request: SampleRequest, n: int) -> Failure | None:
        """Return the cap that `n` more samples could break, or None."""
        worst = self._worst(account, request, n)
        limits = self.limits
        run = self.total + self._held + worst
        own = account.usage + account.held + worst
        for name, used in (("max_samples", run.samples), ("max_output_tokens", run.output_tokens)):
            if _exceeds(used, getattr(limits, name)):
                return _limit(name)
        for name, used in (
            ("max_samples_per_prompt", own.samples),
            ("max_output_tokens_per_prompt", own.output_tokens),
        ):
            if _exceeds(used, getattr(limits, name)):
                return _limit(name)
        if limits.price is None:
            return None
        cost = self._price(worst, account.generator)
        if _exceeds(self.total_cost + self._held_cost + cost, limits.max_cost):
            return Failure(kind="BudgetSpent", reason="the run's budget is spent", refused=True)
        if limits.max_cost_per_prompt is not None and _exceeds(
            self._price(own, account.generator), limits.max_cost_per_prompt
        ):
            return Failure(kind="BudgetSpent", reason="the prompt's budget is spent", refused=True)
        return None

    def _price(self, usage: Usage, generator: str) -> float:
        if self.limits.price is None or usage == Usage():
            return 0.0
        return self.limits.price(usage, generator)


def _exceeds(used: float, cap: float | None) -> bool:
    return cap is not None and used > cap * _ROUNDING


def _limit(name: str) -> Failure:
    return Failure(kind="LimitReached", reason=f"{name} is reached", refused=True)
