"""The scale of what samples are worth: from 0 to 1 for right and wrong, any other for rewards.

Values stay in their own scale wherever they are chosen by, told or reported; only what needs a rate in [0, 1]
(beliefs grown on success rates, thresholds that are shares of a scale) reads their share of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

# Numbers of 32 bits, as tables and bundles hold them, reach a little further either way.
_MOST: Final = 1e30


def check_ends(lower: float, upper: float) -> None:
    """Raise `InvalidInputError` where values are too great, or too near one another, for 32 bits."""
    if max(abs(lower), abs(upper)) > _MOST or 0 < upper - lower < 1 / _MOST:
        raise InvalidInputError(
            f"values from {lower:g} to {upper:g} cannot be reckoned with: they must lie within {_MOST:g} of "
            f"0 and be equal or at least {1 / _MOST:g} apart; record them in another unit"
        )


def check_threshold(threshold: float | None) -> None:
    """Raise `InvalidInputError` where a least mark is no number: everything, or nothing, would be right."""
    if threshold is not None and not math.isfinite(threshold):
        raise InvalidInputError(f"threshold must be a finite number, got {threshold!r}")


@dataclass(frozen=True, slots=True)
class Scale:
    """The lowest and the highest that a sample may be worth.

    Parameters
    ----------
    lower, upper : float
        Within 1e30 of 0 and at least 1e-30 apart, `lower` below `upper`.

    Raises
    ------
    InvalidInputError
        When they are not.

    Examples
    --------
    >>> Scale.of([0.25, 1.0]), Scale.of([-2.0, 6.0]).share([0.0, 6.0])
    (Scale(lower=0.0, upper=1.0), array([0.25, 1.  ]))
    """

    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", float(self.lower))
        object.__setattr__(self, "upper", float(self.upper))
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise InvalidInputError(
                f"a scale needs finite ends, the lower below the upper; got {self.lower} and {self.upper}"
            )
        check_ends(self.lower, self.upper)

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Return the scale of recorded values, NaN apart: 0 to 1 where all lie there, else their range.

        Raises
        ------
        InvalidInputError
            When no value is known, or all are one number outside [0, 1].
        """
        array = np.asarray(values, dtype=np.float64)
        known = array[~np.isnan(array)]
        if not known.size:
            raise InvalidInputError("there is no value to take a scale from")
        lower, upper = float(known.min()), float(known.max())
        if lower >= 0 and upper <= 1:
            return cls()
        if lower == upper:
            raise InvalidInputError(f"all values are {lower:g}, so there is nothing to choose by")
        return cls(lower, upper)

    @property
    def span(self) -> float:
        """How far its ends are apart."""
        return self.upper - self.lower

    def share(self, values: ArrayLike) -> FloatArray:
        """Return values as shares of the scale, in [0, 1]; NaN stays."""
        return ((np.asarray(values, dtype=np.float64) - self.lower) / self.span).clip(0.0, 1.0)

    def clip(self, values: ArrayLike) -> FloatArray:
        """Return values kept between the ends."""
        return np.asarray(values, dtype=np.float64).clip(self.lower, self.upper)


UNIT: Final = Scale()
"""From wrong to right."""
