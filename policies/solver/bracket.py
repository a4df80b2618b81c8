"""Find between which two prices a budget is used up, and which prompts decide differently at them.

It assumes that a random sample of prompts spends about as much per prompt as the batch, and checks it on the
batch. Only the prompts whose choice differs between the two prices need sorting afterwards, which
`policies.solver.solver` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.solver.feasible import Feasible, IntArray
from policies.solver.hull import cheapest, hull_increments

# Values looked at to guess the price; 4,096 prompts of 32 allocations put the mean cost within some per cent.
_SAMPLE_VALUES: Final = 1 << 17
_LEAST_SAMPLE: Final = 512
# Standard errors of the sample's mean between the guess and each end; wider when the batch disagrees with the
# sample.
_WIDTHS: Final = (4.0, 16.0, math.inf)
# Ends move apart by this share, so that rounding of float32 values cannot put a step on the wrong side.
_APART: Final = 1e-6
# Narrowing stops below this many active values, or after so many rounds.
_FEW_VALUES: Final = 1 << 17
_MOST_ROUNDS: Final = 12
# When interpolating leaves more than this share of the active prompts, the next round halves the bracket.
_SHRINK: Final = 0.7
# Where the next two prices lie around the interpolated one, as a share of the bracket.
_STRIDE: Final = 0.08


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bracket:
    """Where to start, how far to go, and for whom.

    Parameters
    ----------
    start : (P,) int
        Choice at the upper price: the cheaper end.
    last : (P,) float64
        Cost of the choice at the lower price: the dearer end.
    active : (Q,) int
        Prompts whose choices differ.
    base_cost, base_value : float
        Totals at `start`.
    """

    start: IntArray
    last: NDArray[np.float64]
    active: IntArray
    base_cost: float
    base_value: float


def whole_range(menu: Feasible) -> Bracket:
    """Return the bracket from the cheapest allocations to the dearest, with all prompts active.

    Raises
    ------
    InvalidBudgetError
        When a prompt has no allocation left.
    """
    end = _End.everywhere(menu, math.inf)
    return Bracket(
        start=end.choice,
        last=np.full(menu.n_prompts, np.inf),
        active=np.arange(menu.n_prompts),
        base_cost=end.total(by_value=False),
        base_value=end.total(by_value=True),
    )


def bracket_price(menu: Feasible, wanted: float, *, by_value: bool, order: IntArray) -> Bracket:
    """Bracket the price at which the total cost (or value) of the batch passes `wanted`.

    Parameters
    ----------
    menu : Feasible
        Values and costs.
    wanted : float
        Total cost, or total value where `by_value`.
    by_value : bool
        What `wanted` counts.
    order : (P,) int
        A random order of the prompts; its head is the sample.

    Raises
    ------
    InvalidBudgetError
        When a prompt has no allocation left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> menu = Feasible.of(1 - rng.random((2000, 1)) ** np.array([1, 2, 4, 8]), [1, 2, 4, 8])
    >>> bracket = bracket_price(menu, 6000.0, by_value=False, order=rng.permutation(2000))
    >>> bracket.base_cost <= 6000.0, bracket.active.size < 2000
    (True, True)
    """
    n_sample = min(menu.n_prompts, max(_LEAST_SAMPLE, _SAMPLE_VALUES // menu.n_allocations))
    sample = np.sort(order[:n_sample])
    value, cost = menu.rows(sample)
    first = cheapest(value, cost)
    empty = value[np.arange(n_sample), first] == -np.inf
    if empty.any():
        menu.refuse_empty(int(sample[empty.argmax()]))
    steps = hull_increments(value, cost, start=first)
    by_slope = np.argsort(-steps.slope, kind="stable")
    slope = steps.slope[by_slope]
    here = np.arange(n_sample)
    base = (value[here, first] if by_value else np.broadcast_to(cost, value.shape)[here, first]).astype(
        np.float64
    )
    amount = (steps.gain if by_value else steps.cost)[by_slope]
    reached = base.mean() + np.cumsum(amount) / n_sample
    mean = wanted / menu.n_prompts
    n_taken = int(np.searchsorted(reached, mean))
    spread = base + np.bincount(
        steps.prompt[by_slope[:n_taken]], weights=amount[:n_taken], minlength=n_sample
    )
    error = float(spread.std()) / math.sqrt(n_sample)
    for width in _WIDTHS:
        margin = width * error if math.isfinite(width) else math.inf
        upper, lower = math.inf, 0.0
        if mean - margin > base.mean() and slope.size:
            upper = float(slope[min(int(np.searchsorted(reached, mean - margin)), slope.size - 1)]) * (
                1 + _APART
            )
        if slope.size and mean + margin < reached[-1]:
            lower = float(slope[int(np.searchsorted(reached, mean + margin))]) * (1 - _APART)
        ends = _End.everywhere(menu, upper), _End.everywhere(menu, lower)
        totals = [end.total(by_value=by_value) for end in ends]
        if (math.isinf(upper) or totals[0] < wanted) and (lower == 0.0 or totals[1] > wanted):
            break
    steepest = float(slope[0]) if slope.size else 0.0
    return _narrow(menu, wanted, ends[0], ends[1], by_value=by_value, steepest=steepest)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _End:
    """Choices at one price, with their values and costs: (P,) each."""

    price: float
    choice: IntArray
    value: NDArray[np.float64]
    cost: NDArray[np.float64]

    @staticmethod
    def everywhere(menu: Feasible, price: float) -> _End:
        """Choose for all prompts."""
        end = _End(
            price=price,
            choice=np.empty(menu.n_prompts, dtype=np.intp),
            value=np.empty(menu.n_prompts),
            cost=np.empty(menu.n_prompts),
        )
        for chunk in menu.chunks():
            end._choose(menu, chunk)
        return end

    def elsewhere(self, menu: Feasible, price: float, prompts: IntArray) -> _End:
        """Choose anew for some prompts; the others decide at `price` as they do here."""
        end = _End(price=price, choice=self.choice.copy(), value=self.value.copy(), cost=self.cost.copy())
        for part in menu.parts(prompts):
            end._choose(menu, part)
        return end

    def total(self, *, by_value: bool) -> float:
        """Return the total value or cost."""
        return float((self.value if by_value else self.cost).sum())

    def _choose(self, menu: Feasible, index: slice | IntArray) -> None:
        """Take the best choice of some prompts: of equals the cheapest at price 0, else any."""
        value, cost = menu.rows(index)
        if math.isinf(self.price):
            choice = cheapest(value, cost)
        elif self.price == 0:
            # Curves end in plateaus: only the cheapest of equals says whether the limit binds.
            best = value.max(axis=1, keepdims=True)
            choice = np.where(value == best, cost, np.inf).argmin(axis=1)
        else:
            # In the type of the values: float32 stays float32, which is half the memory traffic.
            choice = (value - (self.price * cost).astype(value.dtype)).argmax(axis=1)
        here = np.arange(choice.size)
        self.choice[index] = choice
        self.value[index] = value[here, choice]
        self.cost[index] = cost[0, choice] if cost.shape[0] == 1 else cost[here, choice]
        if menu.has_nan and (empty := self.value[index] == -np.inf).any():
            prompts = np.arange(menu.n_prompts)[index]
            menu.refuse_empty(int(prompts[empty.argmax()]))


def _narrow(
    menu: Feasible, wanted: float, upper: _End, lower: _End, *, by_value: bool, steepest: float
) -> Bracket:
    """Move both ends towards the price that is sought, looking only at prompts whose choices differ."""
    active = np.flatnonzero(upper.choice != lower.choice)
    halve = False
    for _ in range(_MOST_ROUNDS):
        top = min(upper.price, steepest)  # an infinite price is a place to start from, not to divide
        # Prompts that are alike have one slope, and a bracket around it cannot be narrowed.
        if active.size * menu.n_allocations <= _FEW_VALUES or not lower.price < top * (1 - 4 * _APART):
            break
        reached = upper.total(by_value=by_value), lower.total(by_value=by_value)
        if not reached[0] < wanted < reached[1]:
            break  # the limit does not bind, or is met exactly
        share = min(max((wanted - reached[0]) / (reached[1] - reached[0]), 0.0), 1.0)
        if halve:
            prices = [math.sqrt(top * lower.price) if lower.price > 0 else top / 16]
        else:
            prices = [top + (share + side) * (lower.price - top) for side in (-_STRIDE, _STRIDE)]
        for price in prices:
            if lower.price < price < top:
                end = upper.elsewhere(menu, price, active)
                total = end.total(by_value=by_value)
                # An end that meets the limit exactly is neither: the step after it says what the price is.
                if total < wanted:
                    upper = end
                elif total > wanted:
                    lower = end
        remaining = active[upper.choice[active] != lower.choice[active]]
        halve = remaining.size > _SHRINK * active.size
        active = remaining
    # Rounding may turn the ends round for a prompt that is indifferent between them.
    swap = upper.cost > lower.cost
    return Bracket(
        start=np.where(swap, lower.choice, upper.choice),
        last=np.maximum(upper.cost, lower.cost),
        active=active,
        base_cost=float(np.minimum(upper.cost, lower.cost).sum()),
        base_value=float(np.where(swap, lower.value, upper.value).sum()),
    )
