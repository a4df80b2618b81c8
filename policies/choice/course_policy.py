"""The learned policy: at each price, the courses on offer, of which a prompt takes what it believes in.

It assumes the table of the same courses on reference prompts, and weights over them for each prompt; forming
weights is left to `difficulty.belief`, meeting a budget to `policies.choice.levels`, learning to
`training.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from policies.choice.telling import Telling

# More than any training leaves; bounds what a stranger's bundle may ask for.
_MOST_LEVELS: Final = 4096
# Prompts × courses × levels that are weighed against each other in one step.
_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False)
class CoursePolicy:
    """L prices and the courses on offer at each.

    Parameters
    ----------
    prices : ndarray of float64, shape (L,)
        Value per unit of cost, falling.
    offered : ndarray of bool, shape (L, C)
        At least one course at each price. Where it is one alone, everybody gets it.
    telling : Telling
        What chosen courses really bring, by level.

    Raises
    ------
    InvalidInputError
        When shapes disagree, prices do not fall, or nothing is on offer at a price.
    """

    prices: FloatArray
    offered: NDArray[np.bool_]
    telling: Telling

    def __post_init__(self) -> None:
        n_levels = len(self.prices)
        if self.prices.ndim != 1 or not 1 <= n_levels <= _MOST_LEVELS:
            raise InvalidInputError(f"a policy has 1 to {_MOST_LEVELS} prices, got {self.prices.shape}")
        if not (
            np.isfinite(self.prices).all() and (self.prices >= 0).all() and (np.diff(self.prices) < 0).all()
        ):
            raise InvalidInputError("prices of a policy must be finite, at least 0, and fall")
        if self.offered.ndim != 2 or len(self.offered) != n_levels or not self.offered.any(axis=1).all():
            raise InvalidInputError(
                f"offered must be ({n_levels}, C) with a course at each price, got {self.offered.shape}"
            )
        if len(self.telling) != n_levels:
            raise InvalidInputError(f"telling must have {n_levels} levels, got {len(self.telling)}")

    @cached_property
    def by_text(self) -> NDArray[np.bool_]:
        """Whether prompts choose at each price, shape (L,); else everybody gets the same."""
        return np.asarray(self.offered.sum(axis=1) > 1)

    @cached_property
    def reads_text(self) -> bool:
        """Whether what a prompt's text says is of any use: to choose by, or to tell what is expected."""
        return bool(self.by_text.any() or self.telling.by_prompt)

    def level_of(self, price: float) -> int:
        """Return the level of a price: the lowest price that is not below it, or the highest of all."""
        return max(int(np.count_nonzero(self.prices >= price)) - 1, 0)

    def choose(
        self,
        value: NDArray[np.floating],
        cost: NDArray[np.floating],
        allowed: NDArray[np.bool_] | None = None,
        levels: NDArray[np.intp] | None = None,
    ) -> NDArray[np.intp]:
        """Return the course that each prompt takes at each price, shape (N, L).

        Parameters
        ----------
        value, cost : ndarray, shape (N, C)
            Expected for each prompt.
        allowed : ndarray of bool, shape (N, C) or (1, C), optional
            Courses that a prompt may take at all; where its choice is not, it takes the best of those.
        levels : ndarray of intp, optional
            Some of the L prices in place of all.

        Raises
        ------
        InvalidInputError
            When a prompt may take no course at all.
        """
        if allowed is not None and not allowed.any(axis=1).all():
            raise InvalidInputError("a prompt may take no course at all")
        asked = np.arange(len(self.prices)) if levels is None else levels
        if value.size * len(asked) <= _AT_ONCE:
            return self._at_once(asked, value, cost, allowed)
        chosen = np.empty((len(value), len(asked)), dtype=np.intp)
        for place, level in enumerate(asked.tolist()):
            chosen[:, place] = self._at(level, self.prices[level], value, cost, allowed)
        return chosen

    def choose_at(
        self,
        price: float,
        value: NDArray[np.floating],
        cost: NDArray[np.floating],
        allowed: NDArray[np.bool_] | None = None,
        *,
        level: int | None = None,
    ) -> NDArray[np.intp]:
        """Return the course that each prompt takes at any one price, shape (N,)."""
        return self._at(self.level_of(price) if level is None else level, price, value, cost, allowed)

    def _at(
        self,
        level: int,
        price: float,
        value: NDArray[np.floating],
        cost: NDArray[np.floating],
        allowed: NDArray[np.bool_] | None,
    ) -> NDArray[np.intp]:
        (columns,) = self.offered[level].nonzero()
        if allowed is None:
            if len(columns) == 1:
                return np.full(len(value), columns[0])
            worth = value[:, columns] - price * cost[:, columns]
            return np.asarray(columns[worth.argmax(axis=1)])
        worth = value - price * cost
        taken = np.where(self.offered[level], worth, -np.inf).argmax(axis=1)
        open_to = np.broadcast_to(allowed, worth.shape)
        rest = np.where(open_to, worth, -np.inf).argmax(axis=1)
        return np.asarray(np.where(open_to[np.arange(len(worth)), taken], taken, rest))

    def _at_once(
        self,
        levels: NDArray[np.intp],
        value: NDArray[np.floating],
        cost: NDArray[np.floating],
        allowed: NDArray[np.bool_] | None,
    ) -> NDArray[np.intp]:
        """Choose at all levels in one step, which is quicker for a few prompts."""
        worth = value[:, None] - self.prices[levels, None] * cost[:, None]
        taken = np.where(self.offered[levels], worth, -np.inf).argmax(axis=2)
        if allowed is None:
            return np.asarray(taken)
        mine = np.broadcast_to(allowed, value.shape)
        rest = np.where(mine[:, None], worth, -np.inf).argmax(axis=2)
        return np.asarray(np.where(np.take_along_axis(mine, taken, axis=1), taken, rest))

    def columns(self, columns: NDArray[np.intp]) -> Self:
        """Return the policy over some of the courses; where all offers are gone, over all that are left."""
        offered = self.offered[:, columns].copy()
        offered[~offered.any(axis=1)] = True
        return replace(self, offered=offered)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        return {"prices": self.prices, "offered": self.offered, **self.telling.to_arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore a policy.

        Raises
        ------
        InvalidInputError
            When an array is missing or not as described.
        """
        missing = {"prices", "offered"} - set(arrays)
        if missing:
            raise InvalidInputError(f"arrays of a policy lack {sorted(missing)}")
        return cls(
            prices=np.asarray(arrays["prices"], dtype=np.float64),
            offered=np.asarray(arrays["offered"], dtype=bool),
            telling=Telling.from_arrays(arrays),
        )
