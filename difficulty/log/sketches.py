"""Sketches of sets: their sizes and least hashes, from which overlaps are estimated (bottom-k).

Small sets are kept whole, and what is said of them is exact; of a larger one k hashes tell a Jaccard index J
to a standard error of √(J (1 − J) / k). It assumes hashes of 32 bits that are spread evenly. What the sets
are is left to `difficulty.log.known_texts`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of
from difficulty.errors import InvalidInputError
from difficulty.log.shingles import Ragged, n_shared

_ALL: Final = np.uint64(0xFFFFFFFF)


class Sketches(NamedTuple):
    """Sketches of T sets.

    Parameters
    ----------
    least : Ragged
        The least hashes of each set.
    size : ndarray of int64, shape (T,)
        How many values each set has.

    References
    ----------
    Beyer et al. 2007, "On synopses for distinct-value estimation under multiset operations"; Broder 1997, "On
    the resemblance and containment of documents".
    """

    least: Ragged
    size: NDArray[np.int64]

    @classmethod
    def of(cls, sets: Ragged, most: int) -> Sketches:
        """Keep the least `most` hashes of each set."""
        return cls(sets.first(most), sets.sizes)

    @classmethod
    def restored(
        cls, counts: NDArray[np.integer], values: NDArray[np.integer], size: NDArray[np.integer]
    ) -> Sketches:
        """Restore from the number of hashes of each set, the hashes one after the other, and the sizes.

        Raises
        ------
        InvalidInputError
            When hashes are missing, out of order, or more than the sets have.
        """
        offsets = offsets_of(counts)
        if offsets[-1] != len(values) or np.any(counts > size):
            raise InvalidInputError("sketches of texts have another number of hashes than they say")
        least = Ragged(offsets, values.astype(np.uint64))
        within = least.owner[1:] == least.owner[:-1]
        if np.any(within & (least.values[1:] < least.values[:-1])):
            raise InvalidInputError("hashes in sketches of texts are out of order")
        return cls(least, size.astype(np.int64))

    def take(self, rows: NDArray[np.intp]) -> Sketches:
        """Return some of them."""
        return Sketches(self.least.take(rows), self.size[rows])

    def overlap(self, other: Sketches) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Estimate how many values set i of both has in common, and how many any of the two has."""
        bound = np.minimum(self._whole_up_to(), other._whole_up_to())
        one, two = self._up_to(bound), other._up_to(bound)
        shared = n_shared(one, two)
        either = np.maximum(one.sizes + two.sizes - shared, 1)
        alike = shared / either
        total = self.size + other.size
        return total * alike / (1 + alike), total / (1 + alike)

    def _up_to(self, bound: NDArray[np.uint64]) -> Ragged:
        return self.least.keep(self.least.values <= bound[self.least.owner])

    def _whole_up_to(self) -> NDArray[np.uint64]:
        """Return up to which hash a sketch holds all of its set."""
        last = np.append(self.least.values, np.uint64(0))[self.least.offsets[1:] - 1]
        last[self.least.sizes == 0] = 0
        return np.where(self.least.sizes < self.size, last, _ALL)
