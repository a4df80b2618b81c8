"""Say which allocations each prompt may get: those whose value is known.

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
    has_nan : bool
        Whether `value` holds any NaN.

    Examples
    --------
    >>> menu = Feasible.of([[0.2, 0.5, np.nan]], [1, 4, 16])
    >>> menu.rows(slice(0, 1))[0]
    array([[ 0.2,  0.5, -inf]])
    """

    value: FloatArray
    cost: FloatArray
    has_nan: bool = False

    @staticmethod
    def of(value: ArrayLike, cost: ArrayLike) -> Feasible:
        """Check the arrays of a caller and keep them, without a copy where they are float already.

        Parameters
        ----------
        value : (P, A) array_like
            NaN where an allocation is not available for a prompt.
        cost : (P, A) or (A,) array_like
            Finite, at least 0.

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
                f"{costs[row, column]}; set its value to NaN and its cost to 0 where an allocation is not "
                "available"
            )
        low, high = (values.min(), values.max()) if n_prompts else (0.0, 0.0)
        has_nan = bool(np.isnan(low))
        if has_nan:
            low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        if low == -np.inf or high == np.inf:
            row, column = np.argwhere(np.isinf(values))[0]
            raise InvalidInputError(
                f"every value must be finite, or NaN where an allocation is not available; prompt {row}, "
                f"allocation {column} has {values[row, column]}"
            )
        return Feasible(value=values, cost=costs, has_nan=has_nan)

    @property
    def n_prompts(self) -> int:
        """P."""
        return int(self.value.shape[0])

    @property
    def n_allocations(self) -> int:
        """A."""
        return int(self.value.shape[1])

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
        if self.has_nan:
            value = np.where(np.isnan(value), np.asarray(-np.inf, dtype=value.dtype), value)
        return value, cost

    def totals(self, choice: IntArray) -> tuple[float, float]:
        """Return value and cost of the chosen allocations of all prompts, added up in float64."""
        prompts = np.arange(self.n_prompts)
        value = self.value[prompts, choice]
        cost = self.cost[0, choice] if self.cost.shape[0] == 1 else self.cost[prompts, choice]
        return float(value.astype(np.float64).sum()), float(cost.astype(np.float64).sum())

    @staticmethod
    def refuse_empty(prompt: int) -> NoReturn:
        """Raise the error for a prompt that has no allocation at all."""
        raise InvalidBudgetError(f"prompt {prompt} has no available allocation: all of its values are NaN")


def _floats(array: ArrayLike, name: str) -> FloatArray:
    """Return `array` as float32 or float64, without a copy where it is one of them."""
    try:
        result = np.asarray(array)
        if result.dtype not in (np.float32, np.float64):
            result = result.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be an array of numbers; {error}") from error
    return result
