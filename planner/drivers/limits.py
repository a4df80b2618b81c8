"""Hard caps on a run: samples, tokens, cost, seconds, concurrency; over the run and per prompt.

Limits are numbers only; the ledger enforces them. A cost needs a price, which is `CostModel.price` or any
function of usage and generator name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from difficulty.arguments import check_choice, check_number, check_whole
from difficulty.errors import InvalidBudgetError
from policies.cost.usage import Usage

Price: TypeAlias = Callable[[Usage, str], float]

_COUNTS: Final = (
    "max_samples", "max_samples_per_prompt", "max_output_tokens", "max_output_tokens_per_prompt",
)  # fmt: skip
_COSTS: Final = ("max_cost", "max_cost_per_prompt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Hard caps; None means no cap.

    Parameters
    ----------
    max_samples, max_samples_per_prompt : int, optional
        Completions, failed and cancelled ones included, at least 1.
    max_output_tokens, max_output_tokens_per_prompt : int, optional
        Generated tokens, at least 1.
    max_cost, max_cost_per_prompt : float, optional
        In the unit of `price`, above 0.
    price : callable, optional
        Price of a usage of a generator of that name; needed by the cost caps, and fills the cost of outcomes.
    max_seconds : float, optional
        Wall-clock seconds of the run, above 0.
    hold : {"worst", "expected"}
        What is held against a cap for a sample in flight. ``"worst"``: the cap on its output tokens, so that
        no cap is ever exceeded, at the price of sending less at a time near the end of a budget;
        ``"expected"``: the mean so far and two standard errors, so that a cap may be exceeded by the spread
        of the last samples.
    max_concurrency : int
        Sample requests in flight at the same time, at least 1 (the lock-step driver sends batches instead).

    Raises
    ------
    InvalidBudgetError
        When a cap is not as described, or a cost cap comes without a price.

    Examples
    --------
    >>> Limits(max_samples_per_prompt=16, max_seconds=60.0).max_concurrency
    64
    """

    max_samples: int | None = None
    max_samples_per_prompt: int | None = None
    max_output_tokens: int | None = None
    max_output_tokens_per_prompt: int | None = None
    max_cost: float | None = None
    max_cost_per_prompt: float | None = None
    price: Price | None = None
    max_seconds: float | None = None
    max_concurrency: int = 64
    hold: Literal["worst", "expected"] = "worst"

    def __post_init__(self) -> None:
        check_choice("hold", self.hold, ("worst", "expected"), error=InvalidBudgetError)
        check_whole("max_concurrency", self.max_concurrency, least=1, error=InvalidBudgetError)
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None:
                check_whole(name, count, least=1, error=InvalidBudgetError)
        for name in (*_COSTS, "max_seconds"):
            check_number(name, getattr(self, name), "above 0", optional=True, error=InvalidBudgetError)
        if self.price is None and (self.max_cost is not None or self.max_cost_per_prompt is not None):
            raise InvalidBudgetError("a cap on cost needs a price; pass CostModel(...).price")

    @property
    def any(self) -> bool:
        """Whether samples, tokens or cost are capped at all."""
        return any(getattr(self, name) is not None for name in (*_COUNTS, *_COSTS))
