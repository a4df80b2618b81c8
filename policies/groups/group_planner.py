"""How many rollouts each prompt of a reinforcement-learning run gets in the next epoch, under one budget.

Each prompt has a belief about its success rate and a mean length of its rollouts; one price for all decides.
Counts of what was drawn are given back, and the next plan follows from them. Drawing, rewards and the update
of the policy are the trainer's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arguments import check_number
from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.groups.rate_belief import RATES, Drift, RateBelief
from policies.groups.values import GROUP_VALUES, GroupValue, expected_values
from policies.solver.solver import solve

__all__ = ["GroupPlan", "GroupPlanner"]

IntArray: TypeAlias = NDArray[np.int64]

_MOST: Final = 1024
# The lengths of a prompt's own rollouts count against so many at the mean of all prompts.
_USUAL_LENGTHS: Final = 2.0
# What was measured of a prompt before counts this much less beside what is measured now.
_FADING: Final = 0.7
# So many rollouts that came as long as was believed stand beside those that tell how lengths move.
_STEADY: Final = 1000.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupPlan:
    """Rollouts for P prompts.

    Attributes
    ----------
    n : ndarray of int64, shape (P,)
        Rollouts of each prompt; 0 leaves it out of this epoch.
    value : ndarray of float64, shape (P,)
        What each group is expected to be worth, such as its chance of a success and a failure.
    cost : ndarray of float64, shape (P,)
        What it is expected to cost, in tokens, or in rollouts where no length is known.
    price : float
        Value per unit of cost at which the choice was made; 0 where the budget does not bind.
    """

    n: IntArray
    value: FloatArray
    cost: FloatArray
    price: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupPlanner:
    """Plans groups of rollouts, epoch by epoch; make one with `start`.

    Parameters
    ----------
    belief : RateBelief
        Of the P prompts.
    floor, cap : int
        Least and most rollouts of a group that is drawn; at least 1 and 2.
    everybody : bool
        Every prompt gets a group; else those that promise too little are left out of an epoch.
    value : {"contrast", "variance", "signal", "knapsack"}
        What a group is worth (`policies.groups.values.values_at`).
    prompt_tokens : ndarray of float64, shape (P,)
        Paid once for each group.
    tokens, weight : ndarray of float64, shape (P,)
        Sum of the lengths of rollouts that were measured, and their number, both faded as others come.
    usual : float
        Mean length before anything is measured; 1 counts rollouts.
    epoch : int
        Epochs that were seen.

    Examples
    --------
    >>> groups = GroupPlanner.start(3, cap=8)
    >>> first = groups.plan(24)
    >>> first.n.tolist()
    [8, 8, 8]
    >>> groups = groups.after(first.n, np.array([0, 4, 8]))
    >>> n = groups.plan(12).n
    >>> int(n[1]) > max(int(n[0]), int(n[2]))
    True
    """

    belief: RateBelief
    floor: int
    cap: int
    everybody: bool
    value: GroupValue
    prompt_tokens: FloatArray
    tokens: FloatArray
    weight: FloatArray
    usual: float
    epoch: int = 0

    def __post_init__(self) -> None:
        if self.value not in GROUP_VALUES:
            raise InvalidInputError(
                f"the value of a group is one of {', '.join(GROUP_VALUES)}; got {self.value!r}"
            )
        whole = all(isinstance(size, (int, np.integer)) for size in (self.floor, self.cap))
        if not (whole and 1 <= self.floor <= self.cap and 2 <= self.cap <= _MOST):
            raise InvalidInputError(
                f"need whole numbers 1 <= floor <= cap and 2 <= cap <= {_MOST}, got a floor of {self.floor} "
                f"and a cap of {self.cap}"
            )

    @classmethod
    def start(
        cls,
        prompts: int | RateBelief,
        *,
        floor: int = 2,
        cap: int = 32,
        everybody: bool = False,
        value: GroupValue = "contrast",
        tokens_per_rollout: ArrayLike | None = None,
        prompt_tokens: ArrayLike | None = None,
        drift: Drift | None = None,
    ) -> Self:
        """Return a planner before the first epoch.

        Parameters
        ----------
        prompts : int or RateBelief
            How many prompts there are, or what is already believed of them: of recorded counts
            (`RateBelief.of_counts`), or of a trained bundle (`planner.planner.Planner.groups`).
        floor, cap, everybody, value
            As above.
        tokens_per_rollout : float or (P,) array_like, optional
            Expected length of a rollout. Without it, budgets count rollouts until lengths are given to
            `after`.
        prompt_tokens : float or (P,) array_like, optional
            Length of each prompt, paid once for each group; 0 by default.
        drift : Drift, optional
            How rates move between epochs; learned by default.

        Raises
        ------
        InvalidInputError
            When a number is out of range.
        """
        belief = prompts if isinstance(prompts, RateBelief) else RateBelief.flat(int(prompts), drift=drift)
        if drift is not None:
            belief = replace(belief, drift=drift)
        size = len(belief)
        lengths = _spread(
            1.0 if tokens_per_rollout is None else tokens_per_rollout, size, "tokens_per_rollout"
        )
        if not (lengths > 0).all():
            raise InvalidInputError("tokens_per_rollout must be above 0")
        given = tokens_per_rollout is not None and np.ndim(tokens_per_rollout) > 0
        return cls(
            belief=belief,
            floor=floor,
            cap=cap,
            everybody=everybody,
            value=value,
            prompt_tokens=_spread(0.0 if prompt_tokens is None else prompt_tokens, size, "prompt_tokens"),
            tokens=lengths * _USUAL_LENGTHS if given else np.zeros(size),
            weight=np.full(size, _USUAL_LENGTHS if given else 0.0),
            usual=float(lengths.mean()),
        )

    def __len__(self) -> int:
        return len(self.belief)

    @property
    def lengths(self) -> FloatArray:
        """Expected length of one rollout of each prompt, shape (P,)."""
        total = float(self.weight.sum())
        usual = float(self.tokens.sum()) / total if total else self.usual
        return np.asarray((self.tokens + _USUAL_LENGTHS * usual) / (self.weight + _USUAL_LENGTHS))

    def plan(
        self,
        budget: float | None = None,
        *,
        price: float | None = None,
        rows: NDArray[np.intp] | None = None,
        seed: int = 0,
    ) -> GroupPlan:
        """Return the groups of the next epoch, or of a batch of it.

        Parameters
        ----------
        budget : float, optional
            What all groups together are expected to cost at most: tokens where lengths are known, else
            rollouts.
        price : float, optional
            In place of a budget: value that a unit of cost must bring.
        rows : ndarray of intp, shape (R,), optional
            The prompts of the batch; all by default. The plan has these prompts, in this order.
        seed : int
            Decides between prompts that are equally worth one more rollout.

        Raises
        ------
        InvalidBudgetError
            When not exactly one of budget and price is given, or the floor alone costs more.
        """
        if (budget is None) == (price is None):
            raise InvalidBudgetError("give exactly one of budget and price")
        check_number("budget", budget, ">= 0", optional=True, error=InvalidBudgetError)
        check_number("price", price, ">= 0", optional=True, error=InvalidBudgetError)
        ahead = self.belief.foreseen() if self.epoch else self.belief
        shares = ahead.shares if rows is None else ahead.shares[rows]
        lengths = self.lengths if rows is None else self.lengths[rows]
        once = self.prompt_tokens if rows is None else self.prompt_tokens[rows]
        sizes = np.arange(self.floor, self.cap + 1)
        if not self.everybody:
            sizes = np.concatenate([[0], sizes])
        worth = expected_values(shares, RATES, sizes, self.value)
        cost = lengths[:, None] * sizes + once[:, None] * (sizes > 0)
        least = float(cost[:, 0].sum())
        if budget is not None and least > budget * (1 + 1e-9):
            raise InvalidBudgetError(
                f"{self.floor} rollouts of each of {len(shares)} prompts are expected to cost {least:.6g}, "
                f"and the budget is {budget:.6g}: raise it, lower the floor, or let prompts be left out",
                least=least,
            )
        found = solve(worth, cost, budget=budget, price=price, seed=seed)
        at = np.arange(len(shares))
        return GroupPlan(
            n=sizes[found.choice].astype(np.int64),
            value=worth[at, found.choice],
            cost=cost[at, found.choice],
            price=found.price,
        )

    def after(
        self,
        n: ArrayLike,
        n_correct: ArrayLike,
        *,
        output_tokens: ArrayLike | None = None,
        rows: NDArray[np.intp] | None = None,
        same_epoch: bool = False,
    ) -> Self:
        """Return the planner that has seen what an epoch, or a batch of it, has drawn.

        Parameters
        ----------
        n, n_correct : array_like of int, shape (P,) or (R,)
            Rollouts that were drawn, and right ones; 0 where a prompt was left out.
        output_tokens : array_like, shape (P,) or (R,), optional
            Tokens of all rollouts of each prompt together.
        rows : ndarray of intp, shape (R,), optional
            The prompts of the batch, each once; all by default.
        same_epoch : bool
            These counts are of the policy that the counts before were of: rates have not moved in between.

        Raises
        ------
        InvalidInputError
            When counts contradict each other.
        """
        drawn, right = np.asarray(n), np.asarray(n_correct)
        see = self.belief.seen if same_epoch else self.belief.next_epoch
        belief = see(drawn, right, rows)
        tokens, weight = self.tokens, self.weight
        if output_tokens is not None:
            spent = np.asarray(output_tokens, dtype=np.float64)
            if spent.shape != drawn.shape or not (np.isfinite(spent).all() and (spent >= 0).all()):
                raise InvalidInputError(
                    f"output_tokens must be finite, at least 0, and {drawn.shape}; got {spent.shape}"
                )
            tokens, weight = self._lengthened(drawn, spent, np.arange(len(self)) if rows is None else rows)
        return replace(
            self, belief=belief, tokens=tokens, weight=weight, epoch=self.epoch + (0 if same_epoch else 1)
        )

    def _lengthened(
        self, n: IntArray, spent: FloatArray, rows: NDArray[np.intp]
    ) -> tuple[FloatArray, FloatArray]:
        """Return `tokens` and `weight` after rollouts of some prompts. What is known of the others is kept,
        and moves as these came longer than believed: long prompts are left out, and if they were forgotten
        they would look like the short ones that are drawn.
        """
        lengths, known = self.lengths, (n > 0) & (self.weight[rows] > 0)
        steady = _STEADY * float(lengths.mean())
        longer = (spent[known].sum() + steady) / ((n * lengths[rows])[known].sum() + steady)
        tokens, weight = self.tokens * longer, self.weight.copy()
        at, new = rows[n > 0], n > 0
        tokens[at] = _FADING * self.tokens[at] + spent[new]
        weight[at] = _FADING * weight[at] + n[new]
        return tokens, weight


def _spread(values: ArrayLike, size: int, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (size,)) or not (np.isfinite(array).all() and (array >= 0).all()):
        raise InvalidInputError(f"{name} must be finite, at least 0, one number or {size}; got {array.shape}")
    return np.broadcast_to(array, (size,)).astype(np.float64)
