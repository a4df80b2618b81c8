"""An adaptive policy: at each price, which ladder to climb and which rule decides when to stop.

A move with one wave is a static allocation, so the policy contains every static one; with a routing it
chooses among a few moves by what is predicted of a prompt, and contains one-shot policies too. Spending over
many prompts is left to `policies.control.batch` and `policies.control.stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from policies.adaptive.routing import Routing
from policies.ladder.ladder import Ladder, SampleScale
from policies.ladder.stop_rule import StopRule

__all__ = ["AdaptivePolicy", "Move"]

FloatArray: TypeAlias = NDArray[np.float64]

# Value per unit of cost, where costs lie between those of a token in dollars and of a long search in FLOPs.
_PRICES: Final = (1e-30, 1e12)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Move:
    """A ladder and the rule that decides after each of its waves."""

    ladder: Ladder
    rule: StopRule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AdaptivePolicy:
    """A table from price to move.

    Parameters
    ----------
    moves : tuple of Move
        The moves that are used at some price.
    prices : ndarray of float64, shape (L,)
        Falling prices, value per unit of cost, each above 0.
    choice : ndarray of int, shape (L,)
        Index into `moves` for each price.
    scales : mapping of str to SampleScale
        What is usual for each generator's samples.
    routing : Routing, optional
        Moves that prompts choose from at each price, `choice` first among them.

    Raises
    ------
    InvalidInputError
        When the table does not fit together.
    """

    moves: tuple[Move, ...]
    prices: FloatArray
    choice: NDArray[np.integer]
    scales: Mapping[str, SampleScale]
    routing: Routing | None = None

    def __post_init__(self) -> None:
        if not self.moves or self.choice.shape != self.prices.shape or not self.prices.size:
            raise InvalidInputError("an adaptive policy needs moves, prices and one choice for each price")
        least, most = _PRICES
        if not (np.all((self.prices >= least) & (self.prices <= most)) and np.all(np.diff(self.prices) < 0)):
            raise InvalidInputError(
                f"prices of a policy must be above 0 and falling, between {least:g} and {most:g}"
            )
        if self.choice.min() < 0 or self.choice.max() >= len(self.moves):
            raise InvalidInputError(
                f"choices must lie in 0..{len(self.moves) - 1}, got {self.choice.tolist()}"
            )
        if self.routing is not None:
            options = self.routing.options
            if [moves[0] for moves in options] != self.choice.tolist() or not all(
                0 <= move < len(self.moves) for moves in options for move in moves
            ):
                raise InvalidInputError(
                    f"a routing must offer moves in 0..{len(self.moves) - 1} at each price, the policy's own "
                    f"choice first; got {options} for choices {self.choice.tolist()}"
                )

    def take(self, rows: NDArray[np.intp]) -> AdaptivePolicy:
        """Return the policy with the reference prompts of its routing cut down to those at `rows`."""
        return self if self.routing is None else replace(self, routing=self.routing.take(rows))

    def options(self, level: int) -> tuple[Move, ...]:
        """Return the moves that a prompt may take at a price level, the usual one first."""
        indices = (int(self.choice[level]),) if self.routing is None else self.routing.options[level]
        return tuple(self.moves[index] for index in indices)

    def pick(self, difficulty: FloatArray, references: FloatArray) -> NDArray[np.intp]:
        """Return which of the options each prompt takes at each price, shape (P, L).

        Parameters
        ----------
        difficulty : ndarray of float64, shape (P, V)
            Standardised coordinates of the prompts.
        references : ndarray of float64, shape (T, V)
            Those of the reference prompts; not looked at without a routing.
        """
        if self.routing is None:
            return np.zeros((len(difficulty), len(self.prices)), dtype=np.intp)
        return self.routing.pick(difficulty, references=references, prices=self.prices)

    def route(self, difficulty: FloatArray, references: FloatArray) -> NDArray[np.intp]:
        """Return the index of each prompt's move at each price, shape (P, L); arguments as for `pick`."""
        picked = self.pick(difficulty, references)
        if self.routing is None:
            return np.tile(self.choice.astype(np.intp), (len(picked), 1))
        most = max(map(len, self.routing.options))
        moves = np.array([[*moves, *moves[:1] * (most - len(moves))] for moves in self.routing.options])
        return np.asarray(moves[np.arange(len(moves)), picked], dtype=np.intp)
