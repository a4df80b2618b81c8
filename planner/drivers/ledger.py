"""The books of a run: what each prompt has spent, what is held for requests in flight, what may be sent.

Before a sample is sent, the most that it can cost is held: the cap on its output tokens, or where there is
none the longest sample seen so far; so caps hold on actual usage exactly where output is capped, and
otherwise up to what is in flight. Verifier tokens are known, and charged, only after scoring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from planner.drivers.limits import Limits
from planner.ports.ports import SampleRequest
from planner.strategies.flow import Failure
from policies.cost.usage import Usage

__all__ = ["Account", "Hold", "Ledger", "Permit"]

_NOTHING = Usage()
_TIME = Failure(kind="TimeLimitReached", reason="the run reached max_seconds", refused=True)
# Sums of many floating-point costs may exceed a limit by rounding alone.
_ROUNDING = 1 + 1e-12


@dataclass(kw_only=True, slots=True, eq=False)
class Account:
    """One prompt's books.

    Parameters
    ----------
    usage : Usage
        Spent so far, by all generators.
    held : Usage
        The most that requests in flight can still use.
    cost, held_cost : float
        Their prices; 0 without a price.
    by_generator : dict of str to Usage
        Spent so far by each generator, since each has its prices.
    longest_prompt : float
        Most prompt tokens of a request of this prompt so far.
    """

    usage: Usage = _NOTHING
    held: Usage = _NOTHING
    cost: float = 0.0
    held_cost: float = 0.0
    by_generator: dict[str, Usage] = field(default_factory=dict)
    longest_prompt: float = 0


class Hold(NamedTuple):
    """What one request in flight holds."""

    account: Account
    generator: str
    usage: Usage
    cost: float


class Permit(NamedTuple):
    """How many samples may be sent now, the hold on them, and the refusal where it is none.

    `for_all` is True when the refusing cap is one of the run, so that other prompts are refused as well.
    """

    n: int
    hold: Hold | None
    refusal: Failure | None
    for_all: bool = False


class _Refusal(NamedTuple):
    failure: Failure
    for_all: bool


class Ledger:
    """Admits requests within the limits and adds up what they cost.

    Parameters
    ----------
    limits : Limits
        Hard caps.

    Examples
    --------
    >>> ledger = Ledger(Limits(max_samples=2))
    >>> ledger.spend(Account(), Usage(samples=2, output_tokens=40), "tiny")
    >>> ledger.total.output_tokens
    40
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = _NOTHING
        self.total_cost = 0.0
        self.time_is_up = False
        self._held = _NOTHING
        self._held_cost = 0.0
        self._tokens: dict[str, _Seen] = {}
        self._most: dict[tuple[str, int, float, float], float] = {}

    @property
    def nothing_in_flight(self) -> bool:
        """Whether no hold is open, so that what is refused now is refused for good."""
        return self._held.requests == 0

    @property
    def committed(self) -> float:
        """What has been spent, and what may still be charged for cancelled or open requests."""
        return self.total_cost + self._held_cost

    def most(self, account: Account, request: SampleRequest, n: int) -> float:
        """Return the most that `n` samples of a request may cost, as far as that is known."""
        prompt, tokens = self._per_sample(account, request)
        # A batch asks this of thousands of prompts that are mostly alike.
        known = (request.generator.name, n, prompt, tokens)
        price = self._most.get(known)
        if price is None:
            worst = Usage(samples=n, prompt_tokens=prompt, output_tokens=n * tokens, requests=1)
            price = self._most[known] = self._price(worst, request.generator.name)
        return price

    def admit(self, account: Account, request: SampleRequest, n: int) -> Permit:
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
            return Permit(0, None, _TIME, True)
        refusal = self._refusal(account, request, n) if self.limits.any else None
        low, high = (n, n) if refusal is None else (0, n)
        while high - low > 1:
            middle = (low + high) // 2
            refusal = self._refusal(account, request, middle)
            if refusal is None:
                low = middle
            else:
                high = middle
        if low == 0 and refusal is not None:
            return Permit(0, None, refusal.failure, refusal.for_all)
        worst = self._worst(account, request, low)
        hold = Hold(account, request.generator.name, worst, self._price(worst, request.generator.name))
        self._shift_held(account, worst, hold.cost)
        return Permit(low, hold, None)

    def settle(self, hold: Hold, usage: Usage) -> None:
        """Replace a hold by what was really used."""
        self._shift_held(hold.account, hold.usage * -1, -hold.cost)
        self.recall(hold.account, usage, hold.generator)

    def recall(self, account: Account, usage: Usage, generator: str) -> None:
        """Book samples, also those of an earlier session, and learn from them how long samples are."""
        if usage.samples:
            self._tokens[generator] = self._tokens.get(generator, _Seen()).add(usage)
        account.longest_prompt = max(account.longest_prompt, usage.prompt_tokens)
        self.spend(account, usage, generator)

    def write_off(self, hold: Hold, usage: Usage) -> None:
        """Book a cancelled request whose tokens nobody counted to the end; `usage` is what is known of it.

        The other held tokens stay held: they count against the caps, since they may have been generated, and
        never show up as usage.
        """
        self._shift_held(hold.account, hold.usage * -1, -hold.cost)
        unknown = Usage(
            output_tokens=max(hold.usage.output_tokens - usage.output_tokens, 0),
            prompt_tokens=max(hold.usage.prompt_tokens - usage.prompt_tokens, 0),
        )
        self._shift_held(hold.account, unknown, self._price(unknown, hold.generator))
        self.spend(hold.account, usage, hold.generator)

    def spend(self, account: Account, usage: Usage, generator: str) -> None:
        """Add `usage` of a generator to the account and to the run."""
        account.usage += usage
        self.total += usage
        if self.limits.price is None:
            return
        before = account.by_generator.get(generator, _NOTHING)
        account.by_generator[generator] = before + usage
        change = self._price(before + usage, generator) - self._price(before, generator)
        account.cost += change
        self.total_cost += change

    def _shift_held(self, account: Account, usage: Usage, cost: float) -> None:
        self._held += usage
        self._held_cost += cost
        account.held += usage
        account.held_cost += cost

    def _worst(self, account: Account, request: SampleRequest, n: int) -> Usage:
        """Return what `n` samples may use: the most, or what is usual, as `limits.hold` says."""
        prompt, tokens = self._per_sample(account, request)
        return Usage(samples=n, prompt_tokens=prompt, output_tokens=n * tokens, requests=1)

    def _per_sample(self, account: Account, request: SampleRequest) -> tuple[float, float]:
        """Return prompt tokens of a request and output tokens of a sample, the most or what is usual."""
        own, general = request.max_output_tokens, request.generator.max_output_tokens
        cap = general if own is None else own if general is None else min(own, general)
        seen = self._tokens.get(request.generator.name)
        tokens = 0.0 if cap is None else float(cap)
        if seen is not None and cap is None:
            tokens = seen.most
        if seen is not None and self.limits.hold == "expected":
            tokens = min(seen.usual, tokens)
        return max(request.prompt.prompt_tokens or 0, account.longest_prompt), tokens

    def _refusal(self, account: Account, request: SampleRequest, n: int) -> _Refusal | None:
        """Return the cap that `n` more samples could break, or None."""
        worst = self._worst(account, request, n)
        limits = self.limits
        for total, held, suffix in (
            (self.total, self._held, ""),
            (account.usage, account.held, "_per_prompt"),
        ):
            samples = total.samples + held.samples + worst.samples
            tokens = total.output_tokens + held.output_tokens + worst.output_tokens
            for name, used in (("max_samples" + suffix, samples), ("max_output_tokens" + suffix, tokens)):
                if _exceeds(used, getattr(limits, name)):
                    reason = f"{name} is reached"
                    return _Refusal(Failure(kind="LimitReached", reason=reason, refused=True), not suffix)
        if limits.max_cost is None and limits.max_cost_per_prompt is None:
            return None
        cost = self._price(worst, request.generator.name)
        for used, cap, whose in (
            (self.total_cost + self._held_cost + cost, limits.max_cost, "run"),
            (account.cost + account.held_cost + cost, limits.max_cost_per_prompt, "prompt"),
        ):
            if _exceeds(used, cap):
                reason = f"the budget of the {whose} is spent"
                return _Refusal(Failure(kind="BudgetSpent", reason=reason, refused=True), whose == "run")
        return None

    def _price(self, usage: Usage, generator: str) -> float:
        if self.limits.price is None or usage == _NOTHING:
            return 0.0
        return self.limits.price(usage, generator)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Output tokens per sample of one generator so far."""

    most: float = 0.0
    samples: float = 0.0
    tokens: float = 0.0

    @property
    def usual(self) -> float:
        """Mean plus two standard errors: output lengths spread about as much as their mean."""
        return self.tokens / self.samples * (1 + 2 / math.sqrt(self.samples))

    def add(self, usage: Usage) -> _Seen:
        return _Seen(
            max(self.most, usage.output_tokens / usage.samples),
            self.samples + usage.samples,
            self.tokens + usage.output_tokens,
        )


def _exceeds(used: float, cap: float | None) -> bool:
    return cap is not None and used > cap * _ROUNDING
