"""Say which allocations each prompt may get: recorded, under the cap, above the floor.

It assumes a matrix of values and a matrix (or one row) of costs, in any order of allocations. What to buy
among the allocations that are left is the affair of `policies.solver.solver`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidBudgetError, InvalidInputError

__all__ = ["Feasible", "FloatArray", "IntArray"]

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]

# Elements handled at a time: a few megabytes, so that temporaries stay in cache and memory stays flat.
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feasible:
    """Values and costs of P prompts × A allocations, with what is not to be had masked out.

    Parameters
    ----------
    value : (P, A) float32 or float64
        What each allocation is worth; NaN where it is not available for a prompt.
    cost : (P, A) or (1, A) float
        What it costs, finite and at least 0; one row where all prompts pay the same.
    cap : (P, 1) or (1, 1) float, optional
        Hard cap on the cost of each prompt.
    floor : (P, 1) or (1, 1) float, optional
        Least value of each prompt.
    floor_cost : (P, 1) or (1, 1) float, optional
        Least cost of each prompt.
    has_nan : bool
        Whether `value` holds any NaN.

    Examples
    --------
    >>> menu = Feasible.of([[0.2, 0.5, 0.6]], [1, 4, 16], cap=8)
    >>> menu.rows(slice(0, 1))[0]
    array([[ 0.2,  0.5, -inf]])
    """

    value: FloatArray
    cost: FloatArray
    cap: FloatArray | None = None
    floor: FloatArray | None = None
    floor_cost: FloatArray | None = None
    has_nan: bool = False

    @staticmethod
    def of(
        value: ArrayLike,
        cost: ArrayLike,
        *,
        cap: ArrayLike | None = None,
        floor: ArrayLike | None = None,
        floor_cost: ArrayLike | None = None,
    ) -> Feasible:
        """Check the arrays of a caller and keep them, without a copy where they are float already.

        Parameters
        ----------
        value : (P, A) array_like
            NaN where an allocation is not available for a prompt.
        cost : (P, A) or (A,) array_like
            Finite, at least 0.
        cap, floor, floor_cost : float or (P,) array_like, optional
            Hard cap on cost, least value and least cost per prompt.

        Raises
        ------
        InvalidInputError
            When shapes do not fit, a cost is negative or not finite, or a value is infinite.
        """
        values = _floats(value, "value")
        costs = _floats(cost, "cost")
        if values.ndim != 2 or values.shape[1] == 0:
            raise InvalidInputError(f"value must have shape (P, A) with A >= 1, got {values.shape}")
        n_prompts, n_allocations = values.shape
        if costs.ndim == 1:
            costs = costs[None, :]
        if costs.shape not in ((n_prompts, n_allocations), (1, n_allocations)):
            raise InvalidInputError(
                f"cost must have shape {(n_prompts, n_allocations)} or {(n_allocations,)} to go with value, "
                f"got {np.shape(cost)}"
            )
        if n_prompts and not (costs.min() >= 0 and costs.max() < np.inf):
            row, column = np.argwhere(~((costs >= 0) & (costs < np.inf)))[0]
            raise InvalidInputError(
                f"every cost must be finite and >= 0; prompt {row}, allocation {column} costs "
                f"{costs[row, column]}; "
                "set its value to NaN and its cost to 0 where an allocation is not available"
            )
        low, high = (values.min(), values.max()) if n_prompts else (0.0, 0.0)
        has_nan = bool(np.isnan(low))
        if has_nan:
            low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        if low == -np.inf or high == np.inf:
            row, column = np.argwhere(np.isinf(values))[0]
            raise InvalidInputError(
                f"every value must be finite, or NaN where an allocation is not available; prompt {row}, "
                "allocation "
                f"{column} has {values[row, column]}"
            )
        return Feasible(
            value=values,
            cost=costs,
            cap=_bound(cap, n_prompts, "cap"),
            floor=_bound(floor, n_prompts, "floor"),
            floor_cost=_bound(floor_cost, n_prompts, "floor_cost"),
            has_nan=has_nan,
        )

    @property
    def n_prompts(self) -> int:
        """P."""
        return int(self.value.shape[0])

    @property
    def n_allocations(self) -> int:
        """A."""
        return int(self.value.shape[1])

    @property
    def masked(self) -> bool:
        """Whether any allocation may be unavailable to any prompt."""
        return self.has_nan or any(bound is not None for bound in (self.cap, self.floor, self.floor_cost))

    def chunks(self) -> Iterator[slice]:
        """Yield slices of prompts that are small enough for the processor's cache."""
        rows = max(1, _CHUNK // self.n_allocations)
        for start in range(0, self.n_prompts, rows):
            yield slice(start, min(start + rows, self.n_prompts))

    def parts(self, prompts: IntArray) -> Iterator[IntArray]:
        """Yield pieces of a list of prompts that are small enough for the processor's cache."""
        rows = max(1, _CHUNK // self.n_allocations)
        for start in range(0, prompts.size, rows):
            yield prompts[start : start + rows]

    def rows(self, index: slice | IntArray) -> tuple[FloatArray, FloatArray]:
        """Return values and costs of some prompts, ``-inf`` standing for what is not available.

        Parameters
        ----------
        index : slice or (R,) int
            Which prompts.

        Returns
        -------
        value : (R, A) float
            A view where nothing had to be masked.
        cost : (R, A) or (1, A) float
        """
        value = self.value[index]
        cost = self.cost if self.cost.shape[0] == 1 else self.cost[index]
        masks = []
        if self.has_nan:
            masks.append(np.isnan(value))
        for bound, above in ((self.cap, True), (self.floor_cost, False)):
            if bound is not None:
                limit = bound if bound.shape[0] == 1 else bound[index]
                masks.append(cost > limit if above else cost < limit)
        if self.floor is not None:
            limit = self.floor if self.floor.shape[0] == 1 else self.floor[index]
            masks.append(value < limit)
        for mask in masks:
            value = np.where(mask, np.asarray(-np.inf, dtype=value.dtype), value)
        return value, cost

    def at(self, choice: IntArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return value and cost of the chosen allocation of each prompt, each (P,) float64."""
        prompts = np.arange(self.n_prompts)
        value = self.value[prompts, choice].astype(np.float64)
        cost = self.cost[0, choice] if self.cost.shape[0] == 1 else self.cost[prompts, choice]
        return value, cost.astype(np.float64)

    def refuse_empty(self, prompt: int) -> NoReturn:
        """Raise the error that explains why `prompt` has no allocation left.

        Raises
        ------
        InvalidBudgetError
            Always; it names the bound that does not fit.
        """
        recorded = ~np.isnan(self.value[prompt])
        if not recorded.any():
            raise InvalidBudgetError(
                f"prompt {prompt} has no available allocation: all of its values are NaN"
            )
        cost = self.cost[0 if self.cost.shape[0] == 1 else prompt]
        bounds = {
            name: float(bound[0 if bound.shape[0] == 1 else prompt, 0])
            for name, bound in (("cap", self.cap), ("floor", self.floor), ("floor_cost", self.floor_cost))
            if bound is not None
        }
        least = float(cost[recorded].min())
        best = float(self.value[prompt][recorded].max())
        raise InvalidBudgetError(
            f"prompt {prompt} has no allocation within {', '.join(f'{k}={v:g}' for k, v in bounds.items())}: "
            "its "
            f"allocations cost from {least:g} to {float(cost[recorded].max()):g} and are worth up to "
            f"{best:g}; raise "
            "the cap, lower the floor, or add allocations to the menu",
            least=least,
            reachable=best,
        )


def _floats(array: ArrayLike, name: str) -> FloatArray:
    """Return `array` as float32 or float64, without a copy where it is one of them."""
    try:
        result = np.asarray(array)
        if result.dtype not in (np.float32, np.float64):
            result = result.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be an array of numbers; {error}") from error
    return result


def _bound(bound: ArrayLike | None, n_prompts: int, name: str) -> FloatArray | None:
    """Return a per-prompt bound as a column, or None."""
    if bound is None:
        return None
    column = _floats(bound, name)
    if column.shape not in ((), (n_prompts,)) or np.isnan(column).any():
        raise InvalidBudgetError(
            f"{name} must be a number or an array of shape {(n_prompts,)} without NaN, got {bound!r}"
        )
    return column.reshape(-1, 1)
