"""Send a prompt to another ladder than the usual one, where the prompts that it resembles did better on it.

At each price a policy has a few moves to choose from; what each earned on reference prompts, out of fold, is
weighed by resemblance, and the move with the most value after cost is taken before anything is drawn. It
assumes that prompts that profit from different moves have different coordinates; which moves are worth
offering is left to `training.adaptive.routing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.row_product import row_product
from difficulty.belief.weight_spec import PolicySpec
from difficulty.errors import InvalidInputError

__all__ = ["RESEMBLANCE", "Routing"]

FloatArray: TypeAlias = NDArray[np.float64]

# On recorded and simulated logs narrower and wider kernels, a mixture of four, and a higher floor gained as
# much or less.
RESEMBLANCE: Final = PolicySpec(family="kernel", level_bandwidth=0.5, deviation_bandwidth=1.0, floor=0.03)

_CHUNK: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Routing:
    """The moves that are offered at each of L prices, with what they earned on T reference prompts.

    Parameters
    ----------
    options : tuple of tuple of int
        Moves of the policy at each price, at least one; the first is what a prompt takes that resembles
        nobody in particular.
    value, cost : ndarray of float64, shape (T, C)
        What the C options earned and cost, out of fold, those of the first price first; NaN on prompts that
        could not be replayed.
    taken : ndarray of int, shape (T, L)
        The option that each reference prompt takes at each price, as far as prompts of other folds tell.
    belief : PolicySpec
        How weights over the reference prompts are formed; of family ``"kernel"``.

    Raises
    ------
    InvalidInputError
        When a price has no option or one twice, the shapes disagree, or a number cannot be.

    Examples
    --------
    >>> routing = Routing(
    ...     options=((0, 1),), value=np.array([[1.0, 0.0], [0.0, 1.0]]), cost=np.ones((2, 2)),
    ...     taken=np.array([[0], [1]]))
    >>> level = np.array([[-1.0], [1.0]])
    >>> routing.pick(level, references=level, prices=np.array([0.1])).tolist()
    [[0], [1]]
    """

    options: tuple[tuple[int, ...], ...]
    value: FloatArray
    cost: FloatArray
    taken: NDArray[np.integer]
    belief: PolicySpec = RESEMBLANCE

    def __post_init__(self) -> None:
        sizes = [len(moves) for moves in self.options]
        if not all(sizes) or any(len(set(moves)) < len(moves) for moves in self.options):
            raise InvalidInputError(
                f"each price of a routing needs an option, and none twice; got {self.options}"
            )
        shape = (len(self.value), sum(sizes))
        if (
            self.value.shape != shape
            or self.cost.shape != shape
            or self.taken.shape != (shape[0], len(sizes))
        ):
            raise InvalidInputError(
                f"value and cost of a routing must be (T, {shape[1]}), one column for each option, and taken "
                f"(T, {len(sizes)}); got {self.value.shape}, {self.cost.shape} and {self.taken.shape}"
            )
        kinds = (self.value.dtype.kind, self.cost.dtype.kind, self.taken.dtype.kind)
        if kinds != ("f", "f", "i"):
            raise InvalidInputError(
                f"value and cost of a routing must be floats and taken integers; got {kinds}"
            )
        known = ~np.isnan(self.value)
        value, cost = self.value[known], self.cost[known]
        if (
            np.any(known != ~np.isnan(self.cost))
            or np.any(known != known[:, :1])
            or not (np.all((value >= 0) & (value <= 1)) and np.all((cost >= 0) & np.isfinite(cost)))
        ):
            raise InvalidInputError(
                "values of a routing must lie in [0, 1] and costs be finite and at least 0, or all of a "
                "prompt's be NaN"
            )
        if np.any((self.taken < 0) | (self.taken >= np.array(sizes))):
            raise InvalidInputError(f"taken must name one of the options of each price, {sizes} of them")
        if self.belief.family != "kernel":
            raise InvalidInputError(f"belief of a routing must be a kernel, got {self.belief.family!r}")

    def take(self, rows: NDArray[np.intp]) -> Routing:
        """Return the routing by the reference prompts at `rows`."""
        return replace(self, value=self.value[rows], cost=self.cost[rows], taken=self.taken[rows])

    @property
    def starts(self) -> NDArray[np.intp]:
        """Columns of the first option at each price, shape (L,)."""
        return np.cumsum([0, *map(len, self.options[:-1])])

    def among(self, values: FloatArray) -> FloatArray:
        """Return each option's part of what was measured at each price: on those that take it.

        Parameters
        ----------
        values : ndarray of float64, shape (T, L)
            Measured with what each reference prompt takes.

        Returns
        -------
        ndarray of float64, shape (T, C)
            NaN on reference prompts that take another option.
        """
        level = np.repeat(np.arange(len(self.options)), [len(moves) for moves in self.options])
        option = np.concatenate([np.arange(len(moves)) for moves in self.options])
        return np.where(self.taken[:, level] == option, values[:, level], np.nan)

    def pick(self, difficulty: FloatArray, *, references: FloatArray, prices: FloatArray) -> NDArray[np.intp]:
        """Return the option that each prompt takes at each price.

        Parameters
        ----------
        difficulty : ndarray of float64, shape (P, V)
            Standardised coordinates of the prompts.
        references : ndarray of float64, shape (T, V)
            Those of the reference prompts.
        prices : ndarray of float64, shape (L,)
            Value per unit of cost.

        Returns
        -------
        ndarray of intp, shape (P, L)
            Number of the option, counted from 0; 0 for all where coordinates tell nothing.
        """
        ends = np.append(self.starts, self.value.shape[1])
        worth = self.value - np.repeat(prices, np.diff(ends)) * self.cost
        known = ~np.isnan(worth).any(axis=1)
        picked = np.zeros((len(difficulty), len(self.options)), dtype=np.intp)
        several = np.flatnonzero(np.diff(ends) > 1).tolist()
        if not (several and known.any() and references.shape[1]):
            return picked
        weigh = self.belief.weigher(references[known])
        for start in range(0, len(difficulty), _CHUNK):
            rows = slice(start, start + _CHUNK)
            expected = row_product(weigh(difficulty[rows]), worth[known])
            for level in several:
                picked[rows, level] = expected[:, ends[level] : ends[level + 1]].argmax(axis=1)
        return picked
