"""Other ways to spread rollouts over prompts, with the same knowledge and the same budget.

Each is a function of what the last epochs drew and returns n for every prompt; lengths of rollouts are those
that our planner believes in. They follow their papers where these say what to do, and say where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from policies.groups.values import GroupValue, values_at
from policies.solver.solver import solve

IntArray: TypeAlias = NDArray[np.int64]

# Chance that a prompt is skipped whose last group had no contrast.
_SKIPPED: Final = 0.5


class Seen(NamedTuple):
    """What a rival knows of P prompts.

    Attributes
    ----------
    n, n_correct : ndarray of int64, shape (P,)
        The latest group of each prompt; 0 where it has none.
    lengths : ndarray of float64, shape (P,)
        Expected tokens of one rollout.
    turns : ndarray of int64, shape (P,)
        Epochs in which it was drawn.
    """

    n: IntArray
    n_correct: IntArray
    lengths: FloatArray
    turns: IntArray

    def take(self, rows: NDArray[np.intp]) -> Seen:
        """Return what is known of some prompts."""
        return Seen(self.n[rows], self.n_correct[rows], self.lengths[rows], self.turns[rows])


class Ask(NamedTuple):
    """What is asked of a rival: a budget in tokens, and sizes of groups.

    Attributes
    ----------
    budget : float
        Tokens that an epoch is expected to cost.
    usual, floor, cap : int
        Size of a group where it is the same for all, and the least and the most that it may be.
    """

    budget: float
    usual: int
    floor: int
    cap: int


def uniform(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return groups of the usual size for prompts in random order until the budget is spent."""
    return _in_order(rng.permutation(len(seen.n)), seen.lengths, ask, ask.usual)


def uniform_floor(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return the same with groups as small as they may be, for more prompts."""
    return _in_order(rng.permutation(len(seen.n)), seen.lengths, ask, ask.floor)


def filter_and_refill(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return groups of the usual size; those without contrast are thrown away, others drawn in their place.

    Yu et al. 2025, DAPO, arXiv 2503.14476. At equal tokens that is the usual size for as many prompts as can
    be paid, since what is thrown away was paid for: no prompt is drawn again before all have had a turn.
    """
    return _in_order(_by_turns(seen, rng), seen.lengths, ask, ask.usual)


def skip_by_history(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return groups of the usual size, half of the prompts whose last group had no contrast being skipped.

    The idea of Zheng et al. 2025, GRESO, arXiv 2506.02177, which adapts the chance of skipping.
    """
    dull = (seen.n > 0) & ((seen.n_correct == 0) | (seen.n_correct == seen.n))
    order = rng.permutation(len(dull))
    skipped = dull & (rng.random(len(dull)) < _SKIPPED)
    return _in_order(order[np.argsort(skipped[order], kind="stable")], seen.lengths, ask, ask.usual)


def knapsack(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return the knapsack of a random batch, as large as that of uniform n, at the rates of the last groups.

    Li et al. 2025, Knapsack RL, arXiv 2509.25849: value ``p (1-p)^2 (1 - p^n - (1-p)^n)`` at the rate p of
    the last epoch. Prompts at 0 or 1 are worth nothing at that p; we move rates by half a success, which
    keeps them in play as the fallback of the paper does.
    """
    batch = np.flatnonzero(uniform(seen, ask, rng))
    n = np.zeros(len(seen.n), dtype=np.int64)
    n[batch] = _plug_in(seen.take(batch), ask, rng, "knapsack", everybody=True)
    return n


def knapsack_of_all(seen: Seen, ask: Ask, rng: np.random.Generator) -> IntArray:
    """Return the knapsack of all prompts for the chance of contrast alone, which is what is counted here."""
    return _plug_in(seen, ask, rng, "contrast", everybody=False)


def _plug_in(
    seen: Seen, ask: Ask, rng: np.random.Generator, value: GroupValue, *, everybody: bool
) -> IntArray:
    rates = (seen.n_correct + 0.5) / (seen.n + 1)
    sizes = np.arange(ask.floor, ask.cap + 1)
    if not everybody:
        sizes = np.concatenate([[0], sizes])
    cost = seen.lengths[:, None] * sizes
    budget = max(ask.budget, float(cost[:, 0].sum()))
    found = solve(values_at(rates, sizes, value), cost, budget=budget, seed=int(rng.integers(1 << 30)))
    return np.asarray(sizes[found.choice], dtype=np.int64)


def _by_turns(seen: Seen, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the prompts by how often they were drawn, each time in a random order."""
    order = rng.permutation(len(seen.turns))
    return order[np.argsort(seen.turns[order], kind="stable")]


def _in_order(order: NDArray[np.intp], lengths: FloatArray, ask: Ask, each: int) -> IntArray:
    n = np.zeros(len(lengths), dtype=np.int64)
    n[order[np.cumsum(lengths[order] * each) <= ask.budget * (1 + 1e-9)]] = each
    return n


Rival: TypeAlias = Callable[[Seen, Ask, np.random.Generator], IntArray]

RIVALS: Final[Mapping[str, Rival]] = MappingProxyType(
    {
        "uniform": uniform,
        "uniform at the floor": uniform_floor,
        "filter and refill": filter_and_refill,
        "skip by history": skip_by_history,
        "knapsack": knapsack,
        "knapsack of all": knapsack_of_all,
    }
)
