"""What is said of a plan: the value and cost that choices really brought, not what made them be chosen.

Whatever is chosen because it looks best looks better than it is. Out of fold, the realised value of what was
chosen at a level is regressed on what was expected of it; the line is what is told. Fitting is left to
`training.policy.told`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.scale import UNIT, Scale

__all__ = ["Telling"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Telling:
    """Lines from expected to told, one per level; every array has shape (L,).

    Parameters
    ----------
    expected, value : ndarray of float64
        Mean value that was expected out of fold, and that was realised.
    slope : ndarray of float64
        Told change of value per expected one, at least 0.
    noise : ndarray of float64
        Standard deviation of what was realised around what is told, at least 0.
    cost : ndarray of float64
        Realised cost over expected cost, above 0.
    scale : Scale
        Between whose ends told values are kept.

    Raises
    ------
    InvalidInputError
        When shapes disagree or a number is out of range.
    """

    expected: FloatArray
    value: FloatArray
    slope: FloatArray
    noise: FloatArray
    cost: FloatArray
    scale: Scale = UNIT

    def __post_init__(self) -> None:
        arrays = [getattr(self, name) for name in _ARRAYS]
        if len({array.shape for array in arrays}) != 1 or self.value.ndim != 1:
            raise InvalidInputError("the arrays of what is told must have one number per level")
        if not all(np.isfinite(array).all() for array in arrays):
            raise InvalidInputError("numbers of what is told must be finite")
        if (self.slope < 0).any() or (self.noise < 0).any() or (self.cost <= 0).any():
            raise InvalidInputError("slopes and noise must be at least 0, and ratios of cost above 0")

    @classmethod
    def plain(cls, n_levels: int, scale: Scale = UNIT) -> Self:
        """Return what says what is expected, unchanged."""
        one, zero = np.ones(n_levels), np.zeros(n_levels)
        return cls(expected=zero, value=zero, slope=one, noise=zero, cost=one, scale=scale)

    def tell(self, expected: FloatArray, level: NDArray[np.intp] | slice = slice(None)) -> FloatArray:
        """Return the told value of choices, in the shape of `expected`.

        Parameters
        ----------
        expected : ndarray, shape (N, L) or (N,)
            Expected value of what each prompt takes.
        level : ndarray of intp, shape (N,), optional
            Level of each, where there is one per prompt.
        """
        told = self.value[level] + self.slope[level] * (expected - self.expected[level])
        return self.scale.clip(told)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        arrays = {f"told.{name}": getattr(self, name) for name in _ARRAYS}
        if self.scale != UNIT:
            arrays[_SCALE] = np.array([self.scale.lower, self.scale.upper])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore what is told.

        Raises
        ------
        InvalidInputError
            When an array is missing or not as described.
        """
        missing = [name for name in _ARRAYS if f"told.{name}" not in arrays]
        if missing:
            raise InvalidInputError(f"arrays of a policy lack told {', '.join(missing)}")
        told: dict[str, Any] = {
            name: np.asarray(arrays[f"told.{name}"], dtype=np.float64) for name in _ARRAYS
        }
        ends = np.asarray(arrays.get(_SCALE, (UNIT.lower, UNIT.upper)), dtype=np.float64)
        if ends.shape != (2,):
            raise InvalidInputError(f"a scale has two ends, got an array of shape {ends.shape}")
        return cls(**told, scale=Scale(*ends.tolist()))


_ARRAYS = tuple(item.name for item in fields(Telling) if item.name != "scale")
_SCALE = "told.scale"
