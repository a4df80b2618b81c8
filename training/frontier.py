"""Accuracy against cost: frontiers of policies, and their uncertainty by a paired bootstrap over prompts.

A policy traces a frontier as the price falls; at one price each prompt's allocation depends on that prompt
alone, so a bootstrap replicate only re-weighs prompts and re-reads the frontier at the budget that it then
meets. Frontiers are interpolated linearly, which is what mixing two neighbouring prices delivers. What is
plotted against what is left to `training.evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from difficulty.arithmetic.arrays import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frontier:
    """A policy's frontier in R replicates: L points of mean cost and mean value, ordered by cost.

    Parameters
    ----------
    cost, value : ndarray of float64, shape (R, L)
        Row 0 is the point estimate, the others are bootstrap replicates; each row ascends in cost.
    """

    cost: FloatArray
    value: FloatArray

    @classmethod
    def of(cls, cost: FloatArray, value: FloatArray, weights: FloatArray) -> Frontier:
        """Average per-prompt results into a frontier.

        Parameters
        ----------
        cost, value : ndarray of float64, shape (P, L)
            What each of P prompts cost and was worth at each of L prices (or static allocations).
        weights : ndarray of float64, shape (R, P)
            Rows sum to 1; from `bootstrap_weights`.
        """
        mean_cost, mean_value = weights @ cost, weights @ value
        order = np.argsort(mean_cost, axis=1, kind="stable")
        return cls(
            cost=np.take_along_axis(mean_cost, order, axis=1),
            value=np.take_along_axis(mean_value, order, axis=1),
        )

    def value_at(self, budget: FloatArray) -> FloatArray:
        """Return the value at a mean cost of `budget` per prompt, shape (R,); NaN below the cheapest point.

        Beyond the dearest point the last value holds: money that a policy does not want is not spent.
        """
        budget = np.broadcast_to(budget, len(self.cost))[:, None]
        upper = np.minimum((self.cost <= budget).sum(axis=1), self.cost.shape[1] - 1)
        lower = np.maximum(upper - 1, 0)
        rows = np.arange(len(self.cost))
        low, high = self.cost[rows, lower], self.cost[rows, upper]
        span = high - low
        share = np.divide(budget[:, 0] - low, span, out=np.ones_like(span), where=span > 0).clip(0, 1)
        value = self.value[rows, lower] * (1 - share) + self.value[rows, upper] * share
        tolerance = 1e-9 * np.abs(self.cost[:, 0])
        return np.where(budget[:, 0] < self.cost[:, 0] - tolerance, np.nan, value)

    def bought_at(self, budget: FloatArray | float) -> FloatArray:
        """Return the value at a budget, shape (R,), or at the cheapest point where that is dearer: in a
        replicate it may cost a little more than in the sample, and is then what is bought.
        """
        return self.value_at(np.maximum(budget, self.cost[:, 0]))

    def cost_of(self, target: FloatArray) -> FloatArray:
        """Return the least mean cost at which the frontier first reaches `target`, shape (R,); inf where it
        never does.
        """
        target = np.broadcast_to(target, len(self.cost))[:, None]
        reached = self.value >= target - 1e-12
        first = reached.argmax(axis=1)
        rows = np.arange(len(self.cost))
        before = np.maximum(first - 1, 0)
        gain = self.value[rows, first] - self.value[rows, before]
        missing = target[:, 0] - self.value[rows, before]
        share = np.divide(missing, gain, out=np.ones_like(gain), where=gain > 0).clip(0, 1)
        cost = self.cost[rows, before] + share * (self.cost[rows, first] - self.cost[rows, before])
        return np.where(reached.any(axis=1), np.where(first == 0, self.cost[:, 0], cost), np.inf)


def bootstrap_weights(
    n_prompts: int, *, n_replicates: int, seed: int, groups: Sequence[str] | None = None
) -> FloatArray:
    """Return weights of a bootstrap over prompts, shape (1 + n_replicates, P); row 0 is the sample itself.

    Parameters
    ----------
    n_prompts, n_replicates, seed : int
    groups : sequence of str, length P, optional
        Near-duplicates, which are drawn together: intervals that take them for independent are too narrow.
    """
    rng = np.random.default_rng(seed)
    names, member = np.unique(np.arange(n_prompts) if groups is None else groups, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_replicates)
    weights = np.ones((1 + n_replicates, n_prompts), order="F")
    weights[1:] = drawn[:, member]
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def interval(replicates: FloatArray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap replicates; infinities count, NaN replicates are left
    out.
    """
    known = replicates[~np.isnan(replicates)]
    if known.size == 0:
        return (float("nan"), float("nan"))
    ordered = np.sort(known)
    low = ordered[int(np.floor((1 - level) / 2 * (len(ordered) - 1)))]
    high = ordered[int(np.ceil((1 + level) / 2 * (len(ordered) - 1)))]
    return (float(low), float(high))


def number(value: float, *, digits: int = 6) -> float | None:
    """Return a number as reports hold it: rounded, None where it is not finite."""
    return round(float(value), digits) if np.isfinite(value) else None


def ends(replicates: FloatArray, *, digits: int = 6) -> list[float | None]:
    """Return the interval of replicates as reports hold it."""
    return [number(end, digits=digits) for end in interval(replicates)]


def estimate(
    name: str, replicates: FloatArray, *, under: str | None = None, digits: int = 6
) -> dict[str, Any]:
    """Return what replicate 0, the sample itself, says, and its interval: as NAME_interval, or as `under`."""
    of_sample, others = number(replicates[0], digits=digits), ends(replicates[1:], digits=digits)
    return {name: of_sample, under or f"{name}_interval": others}
