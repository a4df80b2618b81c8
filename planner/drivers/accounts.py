"""What each prompt has spent and what requests in flight hold: the entries of the books.

They are kept by `planner.drivers.ledger`, which also says what may be sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from planner.ports.ports import SampleRequest
from planner.strategies.flow import Failure
from policies.cost.usage import Usage

_NOTHING = Usage()
TIME_IS_UP = Failure(kind="TimeLimitReached", reason="the run reached max_seconds", refused=True)


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
    earlier : dict of str to Usage
        What earlier sessions paid for samples of each generator that was not asked for again yet.
    longest_prompt : float
        Most prompt tokens of a request of this prompt so far.
    longest_written : int
        Bytes of the longest prompt whose tokens are counted there.
    reserve : float
        Set aside of the run's `max_cost` until the prompt's first request is sent: other prompts do not
        spend it.
    kept : bool
        Whether the reserve is for its last resort alone, and not for what is asked for before.
    refused : bool
        Whether it was refused money for a sample.
    failed : bool
        Whether a sample that was paid for failed to come.
    """

    usage: Usage = _NOTHING
    held: Usage = _NOTHING
    cost: float = 0.0
    held_cost: float = 0.0
    by_generator: dict[str, Usage] = field(default_factory=dict)
    earlier: dict[str, Usage] = field(default_factory=dict)
    longest_prompt: float = 0
    longest_written: int = 0
    reserve: float = 0.0
    kept: bool = False
    refused: bool = False
    failed: bool = False


class Hold(NamedTuple):
    """What one request in flight holds, and the prompt tokens that it is known to send."""

    account: Account
    generator: str
    usage: Usage
    cost: float
    written: int = 0
    known: float = 0.0


class Permit(NamedTuple):
    """How many samples may be sent now, the hold on them, and the refusal where it is none.

    `for_all` is True when the refusing cap is one of the run, so that other prompts are refused as well.
    `max_output_tokens` is a cap that the samples must be sent with, where they could break one otherwise.
    """

    n: int
    hold: Hold | None
    refusal: Failure | None
    for_all: bool = False
    max_output_tokens: int | None = None

    def of(self, request: SampleRequest, first: int) -> SampleRequest:
        """Return the part of a request that may be sent, from its completion `first` on."""
        own = replace(request, n=self.n, seed=request.seed + first)
        cap = self.max_output_tokens
        return own if cap is None else replace(own, max_output_tokens=cap)
