"""How much a prompt resembles the training prompts: 1 for one of their kind, 0 for a stranger.

Distances to the nearest kind of training prompts, in all features together and in blocks of them, are
compared with those of training prompts that were held out. Distances miss a text in words that training never
saw, which lies in the midst of all kinds: its wording is projected to next to nothing, and that is looked at
by itself. It assumes features that tell strangers apart, as statistics and wording of texts do. Finding the
kinds, and where familiarity must fall, is left to `difficulty.belief.familiarity_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from difficulty.errors import InvalidInputError
from difficulty.predictor.gaussian_process import compressed

# Standardised features are clipped here: far enough to tell strangers, near enough for one not to decide.
_CLIP: Final = 5.0
_CHUNK_ROWS: Final = 256
_MAX_ENTRIES: Final = 1 << 24


class Block(NamedTuple):
    """Landmarks in the features of one block.

    Attributes
    ----------
    columns : ndarray of intp, shape (F',)
        Features of the block.
    landmarks : ndarray of float64, shape (F', M)
        One landmark per column.
    lengths : ndarray of float64, shape (M,)
        Their squared lengths.
    """

    columns: NDArray[np.intp]
    landmarks: FloatArray
    lengths: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """Landmarks in M training prompts, and what distances to them mean.

    Parameters
    ----------
    centre, spread : ndarray of float64, shape (F,)
        Mean and deviation of the features' logarithms; the spread above 0.
    landmarks : ndarray of float32, shape (M, F)
        Standardised features of training prompts, M at least 1.
    blocks : ndarray of int64, shape (F,)
        Block of each feature, in 0 to B - 1.
    limits : ndarray of float64, shape (1 + B,)
        Distances from which on prompts are strange: what one in a hundred held-out training prompts exceeds,
        in all features, and twice that in each block; above 0.
    knee, reach : float
        Familiarity is 1 up to `knee` limits and falls as a Gaussian of width `reach` limits; above 0.
    usual : float
        Length of the wording that hardly any held-out training prompt falls short of. Below it familiarity
        falls, to 0 at half of it; 0 for never.
    wording : int
        Block that is the wording, where `usual` is above 0.

    Raises
    ------
    InvalidInputError
        When the arrays do not fit together or are out of range.
    """

    centre: FloatArray
    spread: FloatArray
    landmarks: NDArray[np.float32]
    blocks: NDArray[np.int64]
    limits: FloatArray
    knee: float = 1.0
    reach: float = 0.25
    usual: float = 0.0
    wording: int = 0

    def __post_init__(self) -> None:
        shape = self.centre.shape[-1:]
        for name, expected in (
            ("centre", shape),
            ("spread", shape),
            ("landmarks", (len(self.landmarks), *shape)),
        ):
            array = getattr(self, name)
            if array.dtype.kind != "f" or array.shape != expected or not np.isfinite(array).all():
                raise InvalidInputError(f"{name} of a familiarity must be finite and have shape {expected}")
        if not len(self.landmarks) or self.landmarks.size > _MAX_ENTRIES or not (self.spread > 0).all():
            raise InvalidInputError("a familiarity needs landmarks, not too many, and a spread above 0")
        if self.blocks.dtype.kind != "i" or self.blocks.shape != shape or not shape[0]:
            raise InvalidInputError(f"blocks of a familiarity must be whole numbers of shape {shape}")
        n_blocks = int(self.blocks.max()) + 1
        if self.blocks.min() < 0 or n_blocks > shape[0] or self.limits.shape != (1 + n_blocks,):
            raise InvalidInputError("blocks of a familiarity must be counted from 0, and each have a limit")
        numbers = np.array([*self.limits, self.knee, self.reach], dtype=np.float64)
        if not (np.isfinite(numbers).all() and (numbers > 0).all()):
            raise InvalidInputError("limits, knee and reach of a familiarity must be finite and above 0")
        if not (0 <= self.usual < np.inf and 0 <= self.wording < n_blocks):
            raise InvalidInputError("the usual wording must be of one of the blocks, and at least 0 long")

    def of(self, features: NDArray[np.floating]) -> FloatArray:
        """Return the familiarity of N prompts with features (N, F), shape (N,), in [0, 1].

        A missing feature is no reason to be strange; a prompt without any feature is a stranger.
        """
        result = self.at(self.strangeness(features)) * self._worded(features)
        result[np.isnan(features).all(axis=1)] = 0.0
        return result

    def at(self, strangeness: FloatArray) -> FloatArray:
        """Return the familiarity of prompts of this strangeness, in limits."""
        beyond = np.maximum(strangeness - self.knee, 0) / self.reach
        return np.asarray(np.exp(-(beyond**2)))

    def strangeness(self, features: NDArray[np.floating]) -> FloatArray:
        """Return the largest distance in units of its limit, over all features and blocks, shape (N,)."""
        if features.ndim != 2 or features.shape[1] != len(self.centre):
            raise InvalidInputError(f"features must be (N, {len(self.centre)}), got {features.shape}")
        result = np.empty(len(features))
        for start in range(0, len(features), _CHUNK_ROWS):
            rows = standardised(features[start : start + _CHUNK_ROWS], self.centre, self.spread)
            away = distances(rows, self._by_block)
            result[start : start + _CHUNK_ROWS] = (away / self.limits).max(axis=1)
        return result

    def _worded(self, features: NDArray[np.floating]) -> FloatArray:
        """Return how far N prompts are worded in words of training prompts, shape (N,), in [0, 1]."""
        if not self.usual:
            return np.ones(len(features))
        wording = features[:, self._by_block[self.wording].columns].astype(np.float64)
        wording[np.isnan(wording)] = 0.0
        return np.asarray((2 * np.sqrt(np.square(wording).sum(axis=1)) / self.usual - 1).clip(0, 1))

    @cached_property
    def _by_block(self) -> list[Block]:
        return blocks_of(self.landmarks, self.blocks)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, without pickle."""
        names = ("centre", "spread", "landmarks", "blocks", "limits")
        return {
            "fall": np.array([self.knee, self.reach, self.usual, self.wording]),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Familiarity:
        """Restore a familiarity from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing or foreign, or they do not fit together.
        """
        names = {"centre", "spread", "landmarks", "blocks", "limits", "fall"}
        if set(arrays) != names:
            raise InvalidInputError(f"arrays of a familiarity are {sorted(names)}, got {sorted(arrays)}")
        fall = arrays["fall"]
        if fall.dtype.kind != "f" or fall.shape not in ((2,), (4,)) or not np.isfinite(fall).all():
            raise InvalidInputError("the fall of a familiarity must be four numbers, or two")
        knee, reach, usual, wording = (*fall.tolist(), 0.0, 0.0)[:4]
        rest = {name: arrays[name] for name in names - {"fall"}}
        return cls(knee=knee, reach=reach, usual=usual, wording=int(wording), **rest)


def standardised(features: NDArray[np.floating], centre: FloatArray, spread: FloatArray) -> FloatArray:
    """Return standardised logarithms of features; the mean in place of what is missing."""
    rows = ((compressed(features) - centre) / spread).clip(-_CLIP, _CLIP)
    return np.where(np.isnan(rows), 0.0, rows)


def blocks_of(landmarks: NDArray[np.float32], blocks: NDArray[np.int64]) -> list[Block]:
    """Return landmarks (M, F) by the blocks of their features."""
    result = []
    for block in range(int(blocks.max()) + 1):
        columns = np.flatnonzero(blocks == block)
        ours = landmarks[:, columns].astype(np.float64)
        result.append(Block(columns, np.ascontiguousarray(ours.T), np.square(ours).sum(axis=1)))
    return result


def distances(rows: FloatArray, blocks: list[Block]) -> FloatArray:
    """Return distances to the nearest landmark in all features and in each block, shape (N, 1 + B)."""
    squared = []
    for block in blocks:
        at = rows[:, block.columns]
        lengths = np.square(at).sum(axis=1)[:, None] + block.lengths
        squared.append(np.maximum(lengths - 2 * row_product(at, block.landmarks), 0))
    nearest = [part.min(axis=1) for part in (np.add.reduce(squared), *squared)]
    return np.asarray(np.sqrt(np.array(nearest).T))
