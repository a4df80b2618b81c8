"""The books of a run: what each prompt has spent, what is held for requests in flight, what may be sent.

Before a sample is sent, the most that it can cost is held. Where that does not fit into what is left of a
cap, the sample is sent with a lower cap of its own on output tokens, so that caps hold on actual usage and
are spent to the end. Prompts that count their tokens nowhere are held by their length; verifier tokens are
known, and charged, only after scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.drivers.accounts import TIME_IS_UP, Account, Hold, Permit
from planner.drivers.lengths import NOTHING_SEEN, Counting, Draw, Habits, Seen, bytes_of, sent_tokens
from planner.drivers.limits import Limits
from planner.ports.ports import SampleRequest
from planner.strategies.flow import Failure
from policies.cost.usage import Usage

_NOTHING, _COUNTING = Usage(), Counting()
# Sums of many floating-point costs may exceed a limit by rounding alone.
_ROUNDING = 1 + 1e-12
# Samples that must fit at a time, or caps on them are lowered to what hardly any meets.
_ABREAST = 8
# A sample is not cut below these shares of the mean length: the first of a prompt is better than none.
_WORTH, _WORTH_FIRST = 0.75, 0.25
# Output tokens of a sample that nobody has capped, before one was seen.
_UNSEEN = 16384.0


class Ledger:
    """Admits requests within the limits and adds up what they cost.

    Parameters
    ----------
    limits : Limits
        Hard caps.
    counting : Counting
        How prompts are counted before they are sent.

    Examples
    --------
    >>> ledger = Ledger(Limits(max_samples=2))
    >>> ledger.spend(Account(), Usage(samples=2, output_tokens=40), "tiny")
    >>> ledger.total.output_tokens
    40
    """

    def __init__(self, limits: Limits, counting: Counting = _COUNTING) -> None:
        self.limits, self._counting = limits, counting
        tokens = (limits.max_output_tokens, limits.max_output_tokens_per_prompt)
        counts = (limits.max_samples, limits.max_samples_per_prompt, *tokens)
        lengths = (limits.max_cost, limits.max_cost_per_prompt, *tokens)
        # Whether counts are capped at all, and whether some cap may depend on the length of samples.
        self._caps_counts = any(cap is not None for cap in counts)
        self._caps_lengths = any(cap is not None for cap in lengths)
        self.total = _NOTHING
        self.total_cost = 0.0
        self.time_is_up = False
        self.set_aside = 0.0
        self.lost_cost = 0.0
        self._held = _NOTHING
        self._held_cost = 0.0
        self._seen: dict[str, Seen] = {}
        self._habits = Habits()

    @property
    def nothing_in_flight(self) -> bool:
        """Whether no hold is open, so that what is refused now is refused for good."""
        return self._held.requests == 0

    @property
    def requests_in_flight(self) -> float:
        """Holds that are open."""
        return self._held.requests

    @property
    def committed(self) -> float:
        """What has been spent, and what may still be charged for cancelled or open requests."""
        return self.total_cost + self._held_cost

    def admit(
        self, account: Account, request: SampleRequest, n: int, *, shorter: bool = False, apart: bool = False
    ) -> Permit:
        """Hold the cost of as many of `n` samples of `request` as the caps permit.

        Parameters
        ----------
        account : Account
            The prompt's books.
        request : SampleRequest
            What would be sent.
        n : int
            Samples wanted, at least 1.
        shorter : bool
            Whether one with a lower cap will do now; without requests in flight that make room it has to.
        apart : bool
            Whether each sample may turn out to be a request of its own.
        """
        if self.time_is_up:
            return Permit(0, None, TIME_IS_UP, True)
        own = 0.0 if account.kept else account.reserve
        self.set_aside -= own
        draw = self._draw(account, request, apart)
        if not (self._caps_counts or self._caps_lengths):
            return self._grant(account, draw, request, n)
        fits, refusal = self._fit(account, draw, n)
        # What a prompt's own cap refuses, replies to other prompts make no room for.
        alone = refusal is not None and not refusal.for_all and not account.held.requests
        if not fits and (shorter or alone or self.nothing_in_flight):
            # Nothing comes back any more: what is left is worth a shorter sample, or nothing.
            draw = self._shortened(account, draw)
            fits, _ = self._fit(account, draw, 1)
        if fits:
            return self._grant(account, draw, request, fits)
        self.set_aside += own
        assert refusal is not None  # a request that fits no cap has one
        return refusal

    def _grant(self, account: Account, draw: Draw, request: SampleRequest, n: int) -> Permit:
        account.reserve = account.reserve if account.kept else 0.0
        worst = draw.usage(n)
        written = bytes_of(request) if request.prompt.prompt_tokens is None else 0
        cost, known = self._price(worst, draw.generator), draw.known * worst.requests
        hold = Hold(account, draw.generator, worst, cost, written, known)
        self._shift_held(account, worst, hold.cost)
        return Permit(n, hold, None, max_output_tokens=draw.cap)

    def _fit(self, account: Account, draw: Draw, n: int) -> tuple[int, Permit | None]:
        """Return how many of `n` samples the caps permit, and what refuses one more."""
        refusal = self._refusal(account, draw, n)
        low, high = (n, n) if refusal is None else (0, n)
        while high - low > 1:
            middle = (low + high) // 2
            found = self._refusal(account, draw, middle)
            low, high, refusal = (middle, high, refusal) if found is None else (low, middle, found)
        return low, refusal

    def settle(
        self, hold: Hold, usage: Usage, *, lengths: Sequence[float] = (), beside: Usage = _NOTHING
    ) -> None:
        """Replace a hold by what was really used.

        `lengths` are the output tokens of each whole sample, `beside` is what nobody asked for: of failed
        tries and of samples too many. A server that charges more than was known may do so again.
        """
        self._shift_held(hold.account, hold.usage * -1, -hold.cost)
        sent = usage.prompt_tokens / hold.known if hold.known else 1.0
        self._habits = self._habits.add(sent, beside)
        if usage.prompt_tokens:
            hold.account.longest_written = max(hold.account.longest_written, hold.written)
        self.recall(hold.account, usage, hold.generator, lengths=lengths)

    def recall(
        self, account: Account, usage: Usage, generator: str, *, lengths: Sequence[float] = ()
    ) -> None:
        """Book samples, also those of an earlier session, and learn from them how long samples are."""
        known = [length for length in lengths if length > 0]
        if known:
            self._seen[generator] = self._seen_of(generator).add(known)
        if not account.kept:
            self.release(account)
        account.longest_prompt = max(account.longest_prompt, usage.prompt_tokens)
        self.spend(account, usage, generator)

    def hold_earlier(self, account: Account, usage: Usage, generator: str) -> None:
        """Count what an earlier session has paid against the caps, until it is claimed."""
        account.earlier[generator] = account.earlier.get(generator, _NOTHING) + usage
        self._shift_held(account, replace(usage, requests=0), self._price(usage, generator))

    def claim(self, account: Account, usage: Usage, generator: str) -> None:
        """Hold some of it no more, where it was held: it is booked now."""
        if generator in account.earlier:
            self.hold_earlier(account, usage * -1, generator)

    def release(self, account: Account) -> None:
        """Set nothing aside for a prompt any more."""
        self.set_aside -= account.reserve
        account.reserve = 0.0

    def give_way(self, account: Account) -> None:
        """Set nothing aside for a prompt that was refused, where what is left does not do for all."""
        most = self.limits.max_cost
        if most is not None and self.committed + self.set_aside > most:
            self.release(account)

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
        price = self._price(unknown, hold.generator)
        self._shift_held(hold.account, unknown, price)
        self.lost_cost += price
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

    def _seen_of(self, generator: str) -> Seen:
        return self._seen.get(generator, NOTHING_SEEN)

    def _draw(self, account: Account, request: SampleRequest, apart: bool) -> Draw:
        """Return what a sample of a request may use: the most, or what is usual, as `limits.hold` says."""
        known, name = request.most_output_tokens, request.generator.name
        seen = self._seen_of(name)
        sent, told = float(request.prompt.prompt_tokens or 0), 0.0
        if self._caps_lengths:
            sent, told = sent_tokens(request, account, self._habits, self._counting)
        draw = Draw(name, sent, float(known or 0), None, told, apart, self._habits.beside)
        if not seen.samples:
            if known is not None or not self._caps_lengths:
                return draw
            # Nothing is known of samples without a cap: the first one may take all that is left.
            draw = draw._replace(tokens=_UNSEEN)
            return self._shortened(account, draw) if self.nothing_in_flight else draw
        if self.limits.hold == "expected":
            return draw._replace(tokens=min(seen.usual, seen.most if known is None else known))
        if known is None:
            draw = draw._replace(tokens=seen.bound)
        bound = min(seen.bound, draw.tokens)
        if (known is None or bound < known) and self._refusal(account, draw, _ABREAST) is not None:
            # The end of a budget: with caps that hardly any sample meets, more of them go at a time.
            return draw._replace(tokens=bound, cap=int(bound))
        return draw

    def _shortened(self, account: Account, draw: Draw) -> Draw:
        """Return the sample with the highest cap on its output that the caps permit."""
        low, high = 0, int(draw.tokens)
        while low < high:
            middle = (low + high + 1) // 2
            if self._refusal(account, draw._replace(tokens=float(middle)), 1) is None:
                low = middle
            else:
                high = middle - 1
        least = self._seen_of(draw.generator).mean * (_WORTH if account.usage.samples else _WORTH_FIRST)
        if low < min(max(least, 1.0), draw.tokens):
            return draw
        return draw._replace(tokens=float(low), cap=low if low < draw.tokens else draw.cap)

    def _refusal(self, account: Account, draw: Draw, n: int) -> Permit | None:
        """Return the cap that `n` more samples could break, or None."""
        worst = draw.usage(n)
        limits = self.limits
        books = (self.total, self._held, ""), (account.usage, account.held, "_per_prompt")
        for total, held, suffix in books if self._caps_counts else ():
            samples = total.samples + held.samples + worst.samples
            tokens = total.output_tokens + held.output_tokens + worst.output_tokens
            for name, used in (("max_samples" + suffix, samples), ("max_output_tokens" + suffix, tokens)):
                if _exceeds(used, getattr(limits, name)):
                    failure = Failure(kind="LimitReached", reason=f"{name} is reached", refused=True)
                    return Permit(0, None, failure, not suffix)
        if limits.max_cost is None and limits.max_cost_per_prompt is None:
            return None
        cost, kept = self._price(worst, draw.generator), account.reserve if account.kept else 0.0
        for used, cap, whose in (
            (self.total_cost + self._held_cost + self.set_aside + cost, limits.max_cost, "run"),
            (account.cost + account.held_cost + kept + cost, limits.max_cost_per_prompt, "prompt"),
        ):
            if _exceeds(used, cap):
                reason = f"the budget of the {whose} is spent"
                failure = Failure(kind="BudgetSpent", reason=reason, refused=True)
                return Permit(0, None, failure, whose == "run")
        return None

    def _price(self, usage: Usage, generator: str) -> float:
        if self.limits.price is None or usage == _NOTHING:
            return 0.0
        return self.limits.price(usage, generator)


def _exceeds(used: float, cap: float | None) -> bool:
    return cap is not None and used > cap * _ROUNDING
