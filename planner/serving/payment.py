"""Who pays for a request: the window of its route and the purse of its key, held before, settled after.

A key that is spent is refused before anything is sent; a route's window gives the price of the moment, and
what comes of requests that it cannot pay is the operator's choice. Costs are in the unit of the bundle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from planner.drivers.accounts import Account, Hold
from planner.drivers.limits import Price
from planner.ports.ports import Backend, SampleRequest
from planner.running.purse import Purse, Pursed
from planner.running.till import Till
from planner.running.window import Slot
from planner.serving.refusal import Refusal
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage


class Prices:
    """What usage costs on a route: a new bundle brings its generators, those of requests in flight stay.

    Parameters
    ----------
    model : CostModel
        Of the first bundle.
    """

    def __init__(self, model: CostModel) -> None:
        self._model = model

    def __call__(self, usage: Usage, generator: str) -> float:
        """Return what a usage of a generator costs."""
        return self._model.price(usage, generator)

    def take(self, model: CostModel) -> None:
        """Price by another model from now on."""
        self._model = replace(model, generators={**self._model.generators, **model.generators})


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLimit:
    """What a key may spend on a route: ever, or in each window of so many seconds."""

    limit: float
    window_seconds: float | None = None


class KeyPurses:
    """The purses of the keys on one route.

    Parameters
    ----------
    limits : mapping of str to KeyLimit
        By the client's name; the others are not limited.
    price : callable
        Price of a usage of a generator.
    clock : callable
        Monotonic seconds.

    Examples
    --------
    >>> purses = KeyPurses({"app": KeyLimit(limit=5.0)}, lambda usage, generator: usage.output_tokens)
    >>> purses.of("app").left, purses.of("other") is None
    (5.0, True)
    """

    def __init__(
        self,
        limits: Mapping[str, KeyLimit],
        price: Price,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._price, self._clock = dict(limits), price, clock
        self._purses: dict[str, tuple[float, Purse]] = {}

    def of(self, client: str) -> Purse | None:
        """Return the purse of a client, None where it has no limit.

        Raises
        ------
        Refusal
            402 where it is spent for good, 429 where the next window fills it.
        """
        limit = self._limits.get(client)
        if limit is None:
            return None
        now, window = self._clock(), limit.window_seconds
        start, purse = self._purses.get(client, (now, None))
        if purse is None or (window is not None and now - start >= window):
            start, purse = now, Purse(limit.limit, self._price)
            self._purses[client] = start, purse
        if purse.spent_out:
            if window is None:
                raise Refusal(402, "the budget of this key is spent", code="insufficient_quota")
            raise Refusal(
                429,
                "the budget of this key is spent until its next window",
                code="insufficient_quota",
                retry_after=start + window - now,
            )
        return purse


@dataclass(kw_only=True, slots=True)
class Payment:
    """What pays for one request.

    Parameters
    ----------
    till : Till, optional
        The route's windows.
    key : Purse, optional
        The key's.
    """

    till: Till | None = None
    key: Purse | None = None
    _slot: Slot | None = None
    _account: Account | None = None
    _holds: list[tuple[Purse, Hold]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.till is not None:
            self._slot = self.till.open()
        if self.key is not None:
            self._account = self.key.open()

    @property
    def price(self) -> float | None:
        """Price of the moment, None where no window says."""
        return None if self._slot is None else self._slot.price

    def lower(self) -> float | None:
        """Return a lower price for a request that is done, where its window would be left with money."""
        return None if self._slot is None or self.till is None else self.till.lower(self._slot)

    @property
    def account(self) -> Account | None:
        """The request's books in its window, None where no window pays."""
        return None if self._slot is None else self._slot.account

    def goes_on(self) -> bool:
        """Move to the next window where its own is full and could not pay one sample; say whether it did."""
        slot, till = self._slot, self.till
        if slot is None or till is None or not till.goes_on(slot):
            return False
        till.settle(slot, cost=0.0)
        self._slot = till.open()
        return True

    @property
    def any(self) -> bool:
        """Whether anybody pays."""
        return self._slot is not None or self._account is not None

    def paying(self, backend: Backend) -> Backend:
        """Return a backend whose samples are paid."""
        if self.key is not None and self._account is not None:
            backend = Pursed(backend, self.key, self._account)
        return backend if self._slot is None else self._slot.paying(backend)

    async def hold(self, request: SampleRequest, *, window: bool = True) -> tuple[bool, int | None]:
        """Hold the cost of a request that is sent by other ways than a backend.

        Returns
        -------
        tuple of bool and int
            Whether it may be sent, and a cap that its samples must be sent with.
        """
        caps: list[int] = []
        purses: list[tuple[Purse, Account]] = []
        if window and self._slot is not None:
            purses.append((self._slot.purse, self._slot.account))
        if self.key is not None and self._account is not None:
            purses.append((self.key, self._account))
        for purse, account in purses:
            permit = await purse.hold(account, request, request.n)
            if permit.hold is not None:
                self._holds.append((purse, permit.hold))
            if permit.n < request.n:
                self.settle(Usage())
                return False, None
            if permit.max_output_tokens is not None:
                caps.append(permit.max_output_tokens)
        return True, min(caps, default=None)

    def settle(self, usage: Usage | None) -> None:
        """Replace what is held by what was used; None where nobody knows, and what is held was used."""
        holds, self._holds = self._holds, []
        for purse, hold in holds:
            if usage is None:
                purse.write_off(hold, Usage(requests=1))
            else:
                purse.settle(hold, usage)

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Close the books of a request that fails; one that was never sent gets back what it holds."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, Refusal) and error.unsent:
                self.settle(Usage())
            self.close(0.0)
            raise

    def close(self, cost: float | None) -> None:
        """Book what the request has cost, None where nobody knows."""
        self.settle(None)
        slot, self._slot = self._slot, None
        if slot is not None and self.till is not None:
            self.till.settle(slot, cost=cost)
        account, self._account = self._account, None
        if account is not None and self.key is not None:
            self.key.close(account)
