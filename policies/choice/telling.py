"""What is said of a plan: the value and cost that choices really brought, not what made them be chosen.

Whatever is chosen because it looks best looks better than it is. Out of fold, the realised value of what was
chosen at a level is regressed on what the weights that choose expect of it, and on what narrower weights do;
the line is what is told, and more compute is never told to bring less. Fitting is left to
`training.policy.told`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.scale import UNIT, Scale

# More than any training leaves; bounds what a stranger's bundle may ask for.
_MOST_KNOTS: Final = 1024
_NORMAL: Final = 1.96


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Telling:
    """Lines from expected to told, and how far the truth lies from them, at each of L levels.

    Parameters
    ----------
    offset : ndarray of float64, shape (L,)
        What an average prompt is told beyond the mean value of the course that it takes.
    slope, lean : ndarray of float64, shape (L,)
        Told change of value per change that the weights that choose, and the narrower ones, expect; at least
        0.
    lower, upper : ndarray of float64, shape (2, L, K)
        Ends of the interval that holds the expectation of a prompt, as shares of the scale, at K told values
        spread evenly over it: of prompts like those of training, then of strangers.
    error, spread : ndarray of float64, shape (M,)
        By what all prompts that are told so err together, and how far each lies from it: standard
        deviations, as shares of the scale, at M told values spread evenly over it; at least 0.
    cost : ndarray of float64, shape (L,)
        Realised cost over expected cost, above 0.
    cost_lower, cost_upper : ndarray of float64, shape (2, L)
        Ends of the interval that holds the expected cost of a prompt, over its told cost, likewise; NaN where
        nobody knows.
    scale : Scale
        Between whose ends told values are kept.
    origin : float
        What values are counted from; plans add it to what they say. 0 but for rewards that lie far from 0.

    Raises
    ------
    InvalidInputError
        When shapes disagree or a number is out of range.
    """

    offset: FloatArray
    slope: FloatArray
    lean: FloatArray
    lower: FloatArray
    upper: FloatArray
    error: FloatArray
    spread: FloatArray
    cost: FloatArray
    cost_lower: FloatArray
    cost_upper: FloatArray
    scale: Scale = UNIT
    origin: float = 0.0

    def __post_init__(self) -> None:
        n_levels = self.offset.shape[0] if self.offset.ndim == 1 else -1
        n_knots = self.lower.shape[-1] if self.lower.ndim == 3 else 0
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("offset", "slope", "lean", "cost"), (n_levels,))
        shapes |= dict.fromkeys(("cost_lower", "cost_upper"), (2, n_levels))
        shapes |= dict.fromkeys(("error", "spread"), (self.error.size,))
        if not (2 <= n_knots <= _MOST_KNOTS and 2 <= self.error.size <= _MOST_KNOTS):
            raise InvalidInputError(f"intervals of what is told have 2 to {_MOST_KNOTS} knots")
        for name in _ARRAYS:
            array = getattr(self, name)
            expected = shapes.get(name, (2, n_levels, n_knots))
            if array.dtype.kind != "f" or array.shape != expected:
                raise InvalidInputError(
                    f"{name} of what is told must be numbers of shape {expected}, got {array.shape}"
                )
            if not np.isfinite(array).all() and not name.startswith("cost_"):
                raise InvalidInputError("numbers of what is told must be finite")
        if (self.slope < 0).any() or (self.lean < 0).any() or (self.cost <= 0).any():
            raise InvalidInputError("slopes of what is told must be at least 0, and ratios of cost above 0")
        if (self.error < 0).any() or (self.spread < 0).any():
            raise InvalidInputError("errors of what is told must be at least 0")
        knots = np.linspace(0, 1, n_knots)
        if not (
            ((self.lower >= 0) & (self.lower <= knots)).all()
            and ((self.upper >= knots) & (self.upper <= 1)).all()
        ):
            raise InvalidInputError("intervals of what is told must lie in [0, 1] around it")
        unknown = np.isnan(self.cost_lower) & np.isnan(self.cost_upper)
        known = (self.cost_lower >= 0) & (self.cost_lower <= 1) & (self.cost_upper >= 1)
        if not (unknown | known & np.isfinite(self.cost_upper)).all():
            raise InvalidInputError("intervals of cost must lie around 1")

    @classmethod
    def plain(cls, n_levels: int, scale: Scale = UNIT) -> Self:
        """Return what says what is expected, unchanged, and knows nothing of how far off it is."""
        one, zero = np.ones(n_levels), np.zeros(n_levels)
        return cls(
            offset=zero,
            slope=one,
            lean=zero,
            lower=np.zeros((2, n_levels, 2)),
            upper=np.ones((2, n_levels, 2)),
            error=np.full(2, 0.5),
            spread=np.full(2, 0.5),
            cost=one,
            cost_lower=np.full((2, n_levels), np.nan),
            cost_upper=np.full((2, n_levels), np.nan),
            scale=scale,
        )

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def own_scale(self) -> Scale:
        """The scale of values in their own numbers, which are not counted from the origin."""
        return Scale(self.scale.lower + self.origin, self.scale.upper + self.origin)

    @property
    def by_prompt(self) -> bool:
        """Whether prompts are told apart at all."""
        return bool(self.slope.any() or self.lean.any())

    def tell(
        self, usual: FloatArray, expected: FloatArray | None = None, near: FloatArray | None = None
    ) -> FloatArray:
        """Return the told value of what each of N prompts takes at each level, shape (N, L); rising.

        Parameters
        ----------
        usual : ndarray of float64, shape (N, L)
            Mean value of what each takes over all reference prompts.
        expected, near : ndarray of float64, shape (N, L), optional
            What the weights that choose, and the narrower ones, expect of it for this prompt; by default the
            mean.
        """
        told = self.offset + usual
        if expected is not None:
            told = told + self.slope * (expected - usual)
        if near is not None:
            told = told + self.lean * (near - usual)
        return self.tell_plainly(told)

    def tell_plainly(self, expected: FloatArray) -> FloatArray:
        """Return what is expected, shape (N, L), on the scale and rising."""
        return rising(self.scale.clip(expected))

    def interval(
        self, told: FloatArray, level: NDArray[np.intp], familiarity: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the 95 % intervals that hold the expectations of N prompts, shape (N,) each.

        Parameters
        ----------
        told : ndarray of float64, shape (N,)
            Told values.
        level : ndarray of intp, shape (N,)
            Level of each.
        familiarity : ndarray of float64, shape (N,), optional
            In [0, 1]; 1 by default. A stranger's expectation may lie anywhere that those of training do.
        """
        n_gaps = self.lower.shape[-1] - 1
        share = self.scale.share(told) * n_gaps
        place = np.minimum(share.astype(np.intp), n_gaps - 1)
        share -= place
        below, above = (
            np.array([knots[:, level, at] for knots in (self.lower, self.upper)]) for at in (place, place + 1)
        )
        ends = self.scale.clip(self.scale.lower + self.scale.span * ((1 - share) * below + share * above))
        low, high = _by_familiarity(ends, familiarity)
        return np.minimum(low, told), np.maximum(high, told)

    def mean_errors(self, told: FloatArray, familiarity: FloatArray | None = None) -> tuple[float, float]:
        """Return the standard errors of the mean told value of N prompts: shared, and of the prompts.

        The first is what the training prompts leave open, and does not fall with N: all are held to err the
        same way. The second is the chance of which prompts these are, and falls.

        Parameters
        ----------
        told, familiarity
            As in `interval`. A stranger's error is shared by all strangers, and may be as large as that of
            any value in the scale with this mean.
        """
        share = self.scale.share(told)
        knots = np.linspace(0, 1, len(self.error))
        shared, own = np.interp(share, knots, self.error), np.interp(share, knots, self.spread)
        if familiarity is not None:
            shared = familiarity * shared + (1 - familiarity) * np.sqrt(share * (1 - share))
        span = self.scale.span
        return span * float(shared.mean()), span * float(np.sqrt((own**2).sum())) / len(told)

    def mean_interval(self, told: FloatArray, familiarity: FloatArray | None = None) -> tuple[float, float]:
        """Return the ends of the 95 % interval that holds what N plans bring on average.

        Parameters as in `mean_errors`. Of repeated runs: a single one has the luck of its samples besides.
        """
        mean, half = float(told.mean()), _NORMAL * float(np.hypot(*self.mean_errors(told, familiarity)))
        low, high = self.scale.clip(np.array([mean - half, mean + half])).tolist()
        return min(low, mean), max(high, mean)

    def cost_interval(
        self, level: NDArray[np.intp], familiarity: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the intervals that hold expected costs, over what is told of them, (N,) each.

        Parameters as in `interval`. NaN where nobody knows.
        """
        ends = np.array([ratio[:, level] for ratio in (self.cost_lower, self.cost_upper)])
        return _by_familiarity(ends, familiarity)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        arrays = {f"told.{name}": getattr(self, name) for name in _ARRAYS}
        if self.scale != UNIT or self.origin:
            arrays[_SCALE] = np.array([self.scale.lower, self.scale.upper, self.origin])
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
        scale = np.asarray(arrays.get(_SCALE, (UNIT.lower, UNIT.upper, 0.0)), dtype=np.float64)
        if scale.shape != (3,) or not np.isfinite(scale).all():
            raise InvalidInputError(f"a scale has two ends and an origin, got {scale.tolist()}")
        lower, upper, origin = scale.tolist()
        return cls(**told, scale=Scale(lower, upper), origin=origin)


_ARRAYS: Final = tuple(item.name for item in fields(Telling) if item.name not in ("scale", "origin"))
_SCALE: Final = "told.scale"


def _by_familiarity(ends: FloatArray, familiarity: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return both ends for N prompts, (N,), between those for familiar ones and strangers, (2, 2, N)."""
    near, far = ends[:, 0], ends[:, 1]
    low, high = near if familiarity is None else familiarity * near + (1 - familiarity) * far
    return low, high


def rising(values: FloatArray) -> FloatArray:
    """Return rows that never fall, midway between the highest so far and the lowest still to come.

    Parameters
    ----------
    values : ndarray of float64, shape (N, L)
        Rows that already rise stay as they are.

    Examples
    --------
    >>> rising(np.array([[0.1, 0.4, 0.2, 0.6]])).round(3).tolist()
    [[0.1, 0.3, 0.3, 0.6]]
    """
    highest = np.maximum.accumulate(values, axis=1)
    lowest = np.minimum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((highest + lowest) / 2)
