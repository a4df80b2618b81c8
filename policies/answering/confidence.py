"""How likely a selected answer is right: log-odds that are linear in the evidence, corrected by small trees.

Everything is numbers; nothing is executed. It assumes the generators and the kind of prompts of its log.
Fitting is left to `training.answering`, what to do about it to `policies.answering.answering`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError
from difficulty.trees.trees import Trees
from policies.answering.evidence import FEATURES

_MOST: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConfidenceModel(ArrayRecord):
    """P(right) from the evidence of `policies.answering.evidence`.

    Parameters
    ----------
    centre, scale, weights : ndarray of float64, shape (F,)
        Standardisation and weights of the features; what is not known counts as the centre.
    intercept : float
        Of the log-odds.
    trees : Trees or None
        What is added to them.

    Raises
    ------
    InvalidInputError
        When the arrays do not fit together.
    """

    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    intercept: float
    trees: Trees | None = None
    PARTS: ClassVar = {"trees": Trees}

    def __post_init__(self) -> None:
        shape = (len(FEATURES),)
        for name in ("centre", "scale", "weights"):
            array = getattr(self, name)
            if array.dtype.kind != "f" or array.shape != shape or not np.isfinite(array).all():
                raise InvalidInputError(f"{name} of a confidence must be finite and {shape}")
        if not (self.scale > 0).all() or not np.isfinite(self.intercept):
            raise InvalidInputError("scales of a confidence must be above 0, and its intercept finite")
        if self.trees is not None and (
            self.trees.n_features != len(FEATURES) or self.trees.value.shape[1] != 1
        ):
            raise InvalidInputError(f"trees of a confidence must read {len(FEATURES)} features")

    def chance(self, rows: FloatArray) -> FloatArray:
        """Return P(right) of N prompts with evidence (N, F), shape (N,); 0 where there is no answer."""
        if rows.ndim != 2 or rows.shape[1] != len(FEATURES):
            raise InvalidInputError(f"evidence must be (N, {len(FEATURES)}), got {rows.shape}")
        odds = np.nan_to_num((rows - self.centre) / self.scale, nan=0.0) @ self.weights + self.intercept
        if self.trees is not None:
            odds = odds + self.trees.predict(rows)[:, 0]
        chance = 1 / (1 + np.exp(-odds.clip(-_MOST, _MOST)))
        return np.asarray(np.where(rows[:, 0] > 0, chance, 0.0))
