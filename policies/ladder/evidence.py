"""What has been drawn for many prompts so far: the arrays that stop rules look at.

They are kept by `policies.ladder.tally` for prompts in lock-step, by `policies.ladder.prompt_tally` for one
live prompt; deciding is left to `policies.ladder.stop_rules` and `policies.ladder.value_rule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from array import array

__all__ = ["MAX_LENGTH", "Evidence"]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

# How surprising a long sample may be: beyond this its length says nothing more (about e^2 times the usual).
MAX_LENGTH: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """What is known about N prompts between two waves; every array has shape (N,) unless it says otherwise.

    Parameters
    ----------
    wave : ndarray of int64
        Waves of the ladder that have been drawn.
    n_drawn : ndarray of int64
        Samples that have been drawn, abstaining and failed ones included.
    leader, runner_up, votes : ndarray of float64
        Weighted votes of the leading answer, of the second, and of all.
    leader_count, runner_up_count : ndarray of int64
        The same as plain counts.
    n_votes, n_answers : ndarray of int64
        Samples that voted, and different answers among them.
    streak : ndarray of int64
        Latest samples in a row that gave one and the same answer.
    n_correct : ndarray of int64
        Samples that a checker accepted; 0 where there is none.
    leader_logprob, mean_logprob : ndarray of float64
        Mean log-probability of the leader's samples and of all, in standard deviations from what is usual; 0
        = unknown.
    leader_chance : ndarray of float64
        Mean P(correct) of the leader's samples by their learned verifiers; 0 where none is asked.
    length : ndarray of float64
        Mean log cost of the latest generator's samples, in standard deviations from what is usual; 0 =
        unknown.
    best_score, mean_score, score_sd : ndarray of float64
        Best verifier score so far, mean and standard deviation of all; NaN where there is none.
    spent : ndarray of float64
        Cost so far.
    difficulty : ndarray of float64, shape (N, D)
        Coordinates of the prompts from the predictor; D = 0 where there is none.
    """

    wave: IntArray
    n_drawn: IntArray
    leader: FloatArray
    runner_up: FloatArray
    votes: FloatArray
    leader_count: IntArray
    runner_up_count: IntArray
    n_votes: IntArray
    n_answers: IntArray
    streak: IntArray
    n_correct: IntArray
    leader_logprob: FloatArray
    mean_logprob: FloatArray
    leader_chance: FloatArray
    length: FloatArray
    best_score: FloatArray
    mean_score: FloatArray
    score_sd: FloatArray
    spent: FloatArray
    difficulty: FloatArray

    def __len__(self) -> int:
        return len(self.n_drawn)

    @classmethod
    def unpacked(cls, rows: Sequence[array[float]]) -> Self:
        """Return N packed rows as one, in order; thousands of prompts of a batch become arrays in one go.

        Parameters
        ----------
        rows : sequence of array of float
            At least one; each the fields of one prompt in order, then its D coordinates, from
            `policies.ladder.prompt_tally.PromptTally.row`.
        """
        table = np.frombuffer(b"".join(rows)).reshape(len(rows), -1)
        columns: dict[str, NDArray[np.generic]] = {}
        for at, name in enumerate(_SCALARS):
            column = table[:, at]
            columns[name] = column.astype(np.int64) if name in _COUNTS else np.ascontiguousarray(column)
        return cls(**columns, difficulty=table[:, len(_SCALARS) :])  # type: ignore[arg-type]


_SCALARS: Final = tuple(item.name for item in fields(Evidence) if item.name != "difficulty")
_COUNTS: Final = frozenset(item.name for item in fields(Evidence) if item.type == "IntArray")
