"""Cross-fitted replay: what a policy would have earned on training prompts that it did not learn from.

Each training prompt meets only reference prompts of other folds, at out-of-fold coordinates, so that what
it is allocated never depends on its own samples. Curves are taken as measured; tuning and the choice of a
family are left to `training.menu.tuning`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicyMixture, PolicySpec
from policies.solver.prices import choose_at_prices, price_grid

__all__ = ["CrossFit", "Replay"]

FloatArray: TypeAlias = NDArray[np.float64]


class Replay(NamedTuple):
    """What each prompt cost and was worth at each price, both of shape (P, L)."""

    cost: FloatArray
    value: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CrossFit:
    """Training prompts with everything that replaying a policy on them needs.

    Parameters
    ----------
    coordinates : ndarray of float64, shape (T, 1 + D)
        Out-of-fold coordinates.
    folds : ndarray of intp, shape (T,)
        Fold of each prompt.
    value, cost : ndarray of float64, shape (T, A)
        Measured value and cost of each allocation, without NaN.
    prices : ndarray of float64, shape (L,)
        Falling prices at which policies are replayed.
    """

    coordinates: FloatArray
    folds: NDArray[np.intp]
    value: FloatArray
    cost: FloatArray
    prices: FloatArray

    @classmethod
    def of(
        cls,
        coordinates: FloatArray,
        folds: NDArray[np.intp],
        value: FloatArray,
        cost: FloatArray,
        *,
        n_prices: int,
    ) -> CrossFit:
        """Choose prices from the mean curves and keep the rest."""
        prices = price_grid(value.mean(axis=0), cost.mean(axis=0), n_prices=n_prices)
        return cls(coordinates=coordinates, folds=folds, value=value, cost=cost, prices=prices)

    def replay(
        self,
        policy: PolicySpec | PolicyMixture,
        allowed: NDArray[np.bool_] | None = None,
        *,
        fold: int | None = None,
    ) -> Replay:
        """Return what a policy would have earned on each prompt at each price.

        Parameters
        ----------
        policy : PolicySpec or PolicyMixture
            The policy.
        allowed : ndarray of bool, shape (A,), optional
            The part of the menu that it may use.
        fold : int, optional
            Replay the prompts of this fold only; rows of the others are NaN.
        """
        columns = np.arange(self.value.shape[1]) if allowed is None else np.flatnonzero(allowed)
        value, cost = self.value[:, columns], self.cost[:, columns]
        earned = np.full((len(value), len(self.prices)), np.nan)
        spent = np.full_like(earned, np.nan)
        for name in np.unique(self.folds) if fold is None else [fold]:
            test = np.flatnonzero(self.folds == name)
            train = np.flatnonzero(self.folds != name)
            weights = policy.weigher(self.coordinates[train])(self.coordinates[test]).astype(np.float64)
            choice = choose_at_prices(weights @ value[train], weights @ cost[train], self.prices)
            earned[test] = value[test[:, None], choice]
            spent[test] = cost[test[:, None], choice]
        return Replay(spent, earned)
