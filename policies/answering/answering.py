"""What a bundle knows of being right: models of confidence, and how sure and how right its answers were.

From them follow the threshold that keeps a target of risk, and the one that a price of errors asks for; and,
where no answer is given, whether more samples would have helped. Evidence comes from
`policies.answering.evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number
from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.nested import apart, nested
from difficulty.errors import InvalidInputError
from policies.answering.choosing import parts_of_chance
from policies.answering.confidence import ConfidenceModel
from policies.answering.evidence import Usual
from policies.answering.risk import CONFIDENCE, Threshold, choose_threshold

__all__ = ["AnswerPrice", "Answering", "Verdict"]

Verdict: TypeAlias = Literal["answered", "hard", "unsolvable"]

# Below this chance that the dearest course would be right, no budget is expected to help.
_HOPELESS: Final = 0.1
_MOST_PROMPTS: Final = 1_000_000
_MOST_WAYS: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPrice:
    """What an answer is worth: 1 if it is right; a wrong one costs, and so may none.

    Parameters
    ----------
    wrong : float
        Cost of a wrong answer, at least 0.
    none : float
        Cost of no answer, at least 0.

    Raises
    ------
    InvalidInputError
        When a cost is negative or not finite.

    Examples
    --------
    >>> AnswerPrice(wrong=1.0).threshold, AnswerPrice(wrong=0.0).threshold, AnswerPrice(wrong=9.0).threshold
    (0.5, 0.0, 0.9)
    """

    wrong: float
    none: float = 0.0

    def __post_init__(self) -> None:
        check_number("the cost of a wrong answer", self.wrong, ">= 0")
        check_number("the cost of no answer", self.none, ">= 0")

    @property
    def threshold(self) -> float:
        """Least confidence of an answer worth giving: p - (1 - p) wrong >= -none."""
        return max((self.wrong - self.none) / (1 + self.wrong), 0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answering:
    """What is known of being right.

    Parameters
    ----------
    right : ConfidenceModel
        Chance that the selected answer is right.
    solvable : ConfidenceModel
        Chance that the dearest course would be right, from the same evidence.
    usual : mapping of str to Usual
        Of each generator.
    levels : ndarray of int64, shape (K,)
        Level of the policy that each way to answer is, from the dearest price to the cheapest; -1 for panels.
    columns : ndarray of int64, shape (K,)
        Column of the course that everybody gets where it is a panel: one vote of several generators, which
        tells more about being right than it adds to accuracy; -1 for levels.
    confidence : ndarray of float64, shape (Q, K)
        Of calibration prompts, out of fold, one per group of near-duplicates; NaN where a course could not be
        played.
    correct : ndarray of bool, shape (Q, K)
        Whether their answers were right.
    told : ndarray of float64, shape (Q, K)
        Chance of it that plans told before anything was drawn, out of fold; NaN for panels.

    Raises
    ------
    InvalidInputError
        When the parts do not fit together.
    """

    right: ConfidenceModel
    solvable: ConfidenceModel
    usual: Mapping[str, Usual]
    levels: NDArray[np.int64]
    columns: NDArray[np.int64]
    confidence: FloatArray
    correct: NDArray[np.bool_]
    told: FloatArray

    def __post_init__(self) -> None:
        n_levels = len(self.levels) if self.levels.ndim == 1 else 0
        if not 1 <= n_levels <= _MOST_WAYS or self.columns.shape != self.levels.shape:
            raise InvalidInputError(f"there are 1 to {_MOST_WAYS} ways to answer, levels or panels")
        if ((self.levels < 0) != (self.columns >= 0)).any() or not (self.levels >= 0).any():
            raise InvalidInputError("a way to answer is a level or a panel, and one of them is a level")
        shape = (len(self.confidence), n_levels)
        if self.confidence.shape != shape or self.correct.shape != shape or self.correct.dtype != bool:
            raise InvalidInputError(f"confidence and correct must be {shape}, of numbers and of truths")
        if not 1 <= len(self.confidence) <= _MOST_PROMPTS:
            raise InvalidInputError(f"answers must be of 1 to {_MOST_PROMPTS:,} prompts")
        if self.told.shape != shape:
            raise InvalidInputError(f"what was told must be {shape}, got {self.told.shape}")
        for name, array in (("confidence", self.confidence), ("what was told", self.told)):
            known = array[~np.isnan(array)]
            if ((known < 0) | (known > 1)).any():
                raise InvalidInputError(f"{name} must lie in [0, 1], or be NaN")

    def threshold(
        self, way: int, target_risk: float, *, sure: float = CONFIDENCE, batch: int | None = None
    ) -> Threshold:
        """Return from which confidence on the answers of one way keep a target of risk, were it the one to be
        taken of all K.

        Parameters
        ----------
        way : int
            Place among the K ways.
        target_risk : float
            Greatest share of errors among answered prompts, in (0, 1).
        sure, batch
            As in `policies.answering.risk.choose_threshold`.
        """
        return _threshold(self, way, target_risk, sure, batch)

    def take(self, ways: NDArray[np.intp]) -> Self:
        """Return what is known of some of the ways."""
        return replace(
            self,
            levels=self.levels[ways],
            columns=self.columns[ways],
            confidence=self.confidence[:, ways],
            correct=self.correct[:, ways],
            told=self.told[:, ways],
        )

    def verdict(self, rows: FloatArray, least: float) -> list[Verdict]:
        """Return what is said of prompts with evidence (N, F) when answers need a least confidence."""
        sure, solvable = self.right.chance(rows), self.solvable.chance(_answerable(rows))
        return [
            "answered" if one >= least and row[0] > 0 else "unsolvable" if chance < _HOPELESS else "hard"
            for row, one, chance in zip(rows, sure.tolist(), solvable.tolist(), strict=True)
        ]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, but for the names of the generators."""
        return {
            "usual": np.array([list(self.usual[name]) for name in self.usual]).reshape(-1, 2),
            "levels": self.levels,
            "columns": self.columns,
            "confidence": self.confidence,
            "correct": self.correct,
            "told": self.told,
            **nested("right", self.right.to_arrays()),
            **nested("solvable", self.solvable.to_arrays()),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], generators: tuple[str, ...]) -> Self:
        """Restore what is known of being right.

        Raises
        ------
        InvalidInputError
            When an array is missing or foreign, or they do not fit together.
        """
        own, right, solvable = apart(arrays, "right", "solvable")
        expected = {"usual", "levels", "columns", "confidence", "correct", "told"}
        for name in own:
            if name not in expected:
                raise InvalidInputError(f"what is known of being right has no array {name!r}")
        if missing := expected - set(own):
            raise InvalidInputError(f"what is known of being right lacks {', '.join(sorted(missing))}")
        usual = arrays["usual"]
        if usual.shape != (len(generators), 2) or usual.dtype.kind != "f" or np.isinf(usual).any():
            raise InvalidInputError(f"what is usual must be ({len(generators)}, 2)")
        return cls(
            right=ConfidenceModel.from_arrays(right),
            solvable=ConfidenceModel.from_arrays(solvable),
            usual={
                name: Usual(*(float(number) for number in row))
                for name, row in zip(generators, usual, strict=True)
            },
            levels=np.asarray(arrays["levels"], dtype=np.int64),
            columns=np.asarray(arrays["columns"], dtype=np.int64),
            confidence=np.asarray(arrays["confidence"], dtype=np.float64),
            correct=np.asarray(arrays["correct"]),
            told=np.asarray(arrays["told"], dtype=np.float64),
        )


@lru_cache(maxsize=1024)  # a server asks for the same ones with every prompt
def _threshold(known: Answering, way: int, target_risk: float, sure: float, batch: int | None) -> Threshold:
    played = ~np.isnan(known.confidence[:, way])
    if not played.any():
        return Threshold(math.inf, 0.0, math.nan)
    confidence, parts = _parts(known, target_risk, sure, batch)
    return choose_threshold(
        confidence[played, way],
        known.correct[played, way],
        target_risk,
        sure=sure,
        batch=batch,
        part=float(parts[way]),
    )


@lru_cache(maxsize=64)
def _parts(
    known: Answering, target_risk: float, sure: float, batch: int | None
) -> tuple[FloatArray, FloatArray]:
    """Return the confidence of ways, -inf without an answer, and what each test may use."""
    confidence = np.where(known.confidence <= 0, -np.inf, known.confidence)
    parts = parts_of_chance(confidence, known.correct, target_risk, sure=sure, batch=batch)
    return confidence, parts


def _answerable(rows: FloatArray) -> FloatArray:
    """Return evidence that counts as answered, so that prompts without an answer have a chance, too."""
    found = rows.copy()
    found[:, 0] = 1.0
    return found
