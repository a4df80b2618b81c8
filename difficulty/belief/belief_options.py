"""The few numbers that shape a belief from text, with defaults by the number of training prompts.

A belief is a mixture of three ways to weigh reference prompts: shared leaves of a forest, the nearest
predicted success rates, and a wide kernel on them. Above a thousand prompts the forest alone is best; below,
which of the three is best is noise, and their mean is safe. Tuning the numbers is left to `training`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError

# Measured on ten logs: above this many prompts, leaves of 10 and the forest alone.
_MANY: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class BeliefOptions:
    """How weights over reference prompts are formed.

    Parameters
    ----------
    n_trees : int
        Trees of the forest, in 1 to 1,000.
    min_leaf : int
        Training prompts in each leaf at least, at least 1.
    max_features : float
        Share of the features that each split looks at, in (0, 1].
    forest, nearest, kernel : float
        Parts of the mixture, at least 0 and not all 0; only their ratios matter.
    n_nearest : int
        Reference prompts that `nearest` takes, at least 1; never more than a third of all.
    bandwidth : float
        Width of the kernel in standard deviations of the references' coordinates, above 0.
    floor : float
        Weight that the kernel leaves every reference, relative to its peak, in [0, 1].

    Raises
    ------
    InvalidInputError
        When a number is out of range.

    Examples
    --------
    >>> BeliefOptions.for_prompts(2000).needs_rates, BeliefOptions.for_prompts(200).needs_rates
    (False, True)
    """

    n_trees: int = 150
    min_leaf: int = 10
    max_features: float = 0.5
    forest: float = 1.0
    nearest: float = 0.0
    kernel: float = 0.0
    n_nearest: int = 120
    bandwidth: float = 1.0
    floor: float = 0.01

    def __post_init__(self) -> None:
        parts = (self.forest, self.nearest, self.kernel)
        if not all(math.isfinite(part) and part >= 0 for part in parts) or not sum(parts) > 0:
            raise InvalidInputError(f"parts of a mixture must be at least 0 and not all 0, got {parts}")
        if not 1 <= self.n_trees <= 1000 or self.min_leaf < 1 or self.n_nearest < 1:
            raise InvalidInputError(
                "n_trees must lie in 1 to 1,000, min_leaf and n_nearest be at least 1; "
                f"got {self.n_trees}, {self.min_leaf} and {self.n_nearest}"
            )
        if not 0 < self.max_features <= 1 or not 0 <= self.floor <= 1:
            raise InvalidInputError(
                "max_features must lie in (0, 1] and floor in [0, 1]; "
                f"got {self.max_features} and {self.floor}"
            )
        if not (math.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise InvalidInputError(f"bandwidth must be finite and above 0, got {self.bandwidth}")

    @classmethod
    def for_prompts(cls, n_prompts: int) -> BeliefOptions:
        """Return the defaults for a training log of so many prompts."""
        if n_prompts >= _MANY:
            return cls()
        return cls(min_leaf=5, nearest=1.0, kernel=1.0)

    @property
    def total(self) -> float:
        """Sum of the parts of the mixture."""
        return self.forest + self.nearest + self.kernel

    @property
    def needs_rates(self) -> bool:
        """Whether the mixture asks for predicted success rates."""
        return self.nearest > 0 or self.kernel > 0

    def to_array(self) -> NDArray[np.float64]:
        """Return the numbers in the order of the parameters."""
        return np.array([getattr(self, item.name) for item in fields(self)], dtype=np.float64)

    @classmethod
    def from_array(cls, array: NDArray[Any]) -> BeliefOptions:
        """Restore options from `to_array`.

        Raises
        ------
        InvalidInputError
            When the array has another form, or a number is out of range.
        """
        names = [item.name for item in fields(cls)]
        if array.dtype.kind != "f" or array.shape != (len(names),) or not np.isfinite(array).all():
            raise InvalidInputError(f"options of a belief are {len(names)} finite numbers")
        values: dict[str, Any] = dict(zip(names, array.tolist(), strict=True))
        for name in ("n_trees", "min_leaf", "n_nearest"):
            if values[name] != int(values[name]):
                raise InvalidInputError(f"{name} of a belief must be a whole number, got {values[name]}")
            values[name] = int(values[name])
        return cls(**values)
