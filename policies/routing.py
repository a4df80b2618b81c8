"""Which ladder a prompt climbs at a price, where the prompts that it resembles did better on another one.

At each price a policy has a few moves to choose from; what each earned on reference prompts, out of fold, is
weighed by resemblance, and the move with the most value after cost is taken before anything is drawn. It
assumes that the coordinates tell prompts apart that profit from different moves; which moves are worth
offering is left to `training.routing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.row_product import row_product
from policies.policy_spec import PolicySpec

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
    belief : PolicySpec
        How weights over the reference prompts are formed.

    Raises
    ------
    InvalidInputError
        When a price has no option, or the shapes disagree.

    Examples
    --------
    >>> routing = Routing(
    ...     options=((0, 1),), value=np.array([[1.0, 0.0], [0.0, 1.0]]), cost=np.ones((2, 2)))
    >>> level = np.array([[-1.0], [1.0]])
    >>> routing.pick(level, references=level, prices=np.array([0.1])).tolist()
    [[0], [1]]
    """

    options: tuple[tuple[int, ...], ...]
    value: FloatArray
    cost: FloatArray
    belief: PolicySpec = RESEMBLANCE

    def __post_init__(self) -> None:
        total = sum(map(len, self.options))
        if not all(self.options) or self.value.shape != self.cost.shape or self.value.ndim != 2:
            raise InvalidInputError(
                "each price of a routing needs an option, and value and cost need one column for each; got "
                f"{self.options}, {self.value.shape} and {self.cost.shape}"
            )
        if self.value.shape[1] != total:
            raise InvalidInputError(
                f"value and cost of a routing must have {total} columns, one for each option; got "
                f"{self.value.shape[1]}"
            )

    def take(self, rows: NDArray[np.intp]) -> Routing:
        """Return the routing by the reference prompts at `rows`."""
        return replace(self, value=self.value[rows], cost=self.cost[rows])

    def columns(self, level: int) -> slice:
        """Return which columns are about the options at a price."""
        start = sum(map(len, self.options[:level]))
        return slice(start, start + len(self.options[level]))

    def pick(self, difficulty: FloatArray, *, references: FloatArray, prices: FloatArray) -> NDArray[np.intp]:
        """Return the move of each prompt at each price.

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
        """
        ends = np.cumsum([0, *map(len, self.options)])
        worth = self.value - np.repeat(prices, np.diff(ends)) * self.cost
        known = ~np.isnan(worth).any(axis=1)
        picked = np.tile(np.array([moves[0] for moves in self.options]), (len(difficulty), 1))
        several = [level for level, moves in enumerate(self.options) if len(moves) > 1]
        if not (several and known.any()):
            return picked
        weigh = self.belief.weigher(references[known])
        bounds = list(pairwise(ends.tolist()))
        for start in range(0, len(difficulty), _CHUNK):
            rows = slice(start, start + _CHUNK)
            expected = row_product(weigh(difficulty[rows]), worth[known])
            for level in several:
                first, last = bounds[level]
                best = expected[:, first:last].argmax(axis=1)
                picked[rows, level] = np.array(self.options[level])[best]
        return picked
