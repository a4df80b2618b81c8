"""What a run will come to: forecasts of its accuracy and cost, from rehearsals of it.

It assumes that the run's prompts are of the same kind as those of the rehearsals. Rehearsing is left to
`training.rehearsal.rehearse`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from policies.cost.budget import Budget
from policies.plan.plan import AllocationPlan

__all__ = ["Forecast", "Range", "Rehearsals"]


_ROUNDING: Final = 1e-9


class Range(NamedTuple):
    """A forecast: its mean, and the ends of its interval."""

    mean: float
    lower: float
    upper: float

    def holds(self, value: float) -> bool:
        """Return whether `value` lies within the ends."""
        return self.lower - _ROUNDING <= value <= self.upper + _ROUNDING


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run over P prompts is expected to come to.

    Parameters
    ----------
    accuracy : Range
        Share of the prompts that are answered rightly, in [0, 1].
    cost : Range
        Mean cost per prompt, in the unit of the budget.
    """

    accuracy: Range
    cost: Range


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rehearsals:
    """R rehearsals of one budget: how far they ended from what their plans promised.

    Parameters
    ----------
    budget : Budget
        The budget.
    one_shot : bool
        Whether plans decided everything before the first sample.
    n_prompts : int
        Prompts T of the log.
    n_batch : int
        Prompts in each rehearsal.
    fold : ndarray of intp, shape (R,)
        The fold that each rehearsal's prompts come from.
    fold_size : ndarray of intp, shape (R,)
        Prompts in that fold, at least 2.
    accuracy, cost : ndarray of float64, shape (R,)
        Realised minus planned, mean per prompt.
    dearest : float
        The most that a rehearsal cost per prompt: more than the budget where the last samples overran it.
    """

    budget: Budget
    one_shot: bool
    n_prompts: int
    n_batch: int
    fold: NDArray[np.intp]
    fold_size: NDArray[np.intp]
    accuracy: FloatArray
    cost: FloatArray
    dearest: float

    def forecast(self, plans: Sequence[AllocationPlan], *, level: float = 0.95) -> Forecast:
        """Return what carrying out `plans` under the rehearsed budget will come to.

        Parameters
        ----------
        plans : sequence of AllocationPlan
            Plans of P new prompts, P at least 1.
        level : float
            Share of such runs, in (0, 1), that each interval is to hold.

        Raises
        ------
        InvalidInputError
            When there is no plan, or the level is out of range.

        Notes
        -----
        The mean is what the plans expect, plus what rehearsals came to beyond theirs. The interval is a
        prediction interval of a mean: with s² the variance of a rehearsal's deviation within its fold, its
        variance is ``s² (B / P + B / T)`` for rehearsals of B prompts, the first term for the new prompts and
        their samples, the second for what the T recorded ones could teach. Quantiles are Student's. Budgets
        hold against actual usage: no cost is forecast above the budget, or above the dearest rehearsal where
        one overran it.
        """
        from scipy.special import stdtrit

        if not plans or not 0 < level < 1:
            raise InvalidInputError(
                f"a forecast needs plans and a level in (0, 1), got {len(plans)}, {level}"
            )
        scale = math.sqrt(self.n_batch / len(plans) + self.n_batch / self.n_prompts)
        wide = scale * float(stdtrit(len(self.fold) - len(np.unique(self.fold)), (1 + level) / 2))
        accuracy, cost = (
            float(np.mean([plan.expected_accuracy for plan in plans])) + float(self.accuracy.mean()),
            float(np.mean([plan.expected_cost for plan in plans])) + float(self.cost.mean()),
        )
        return Forecast(
            accuracy=_range(accuracy, wide * self._deviation(self.accuracy), most=1.0),
            cost=_range(cost, wide * self._deviation(self.cost), most=max(self.budget.limit, self.dearest)),
        )

    def _deviation(self, values: FloatArray) -> float:
        """Return the standard deviation within folds; a sample of n has (n - 1) / n of it."""
        _, place = np.unique(self.fold, return_inverse=True)
        mean = np.bincount(place, weights=values) / np.bincount(place)
        squares = (values - mean[place]) ** 2 * (self.fold_size / (self.fold_size - 1))
        return math.sqrt(float(squares.sum()) / (len(values) - len(mean)))


def _range(mean: float, half: float, *, most: float) -> Range:
    mean = min(max(mean, 0.0), most)
    return Range(mean, max(mean - half, 0.0), min(mean + half, most))
