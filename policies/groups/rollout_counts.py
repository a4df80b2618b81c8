"""From a table of rollouts, as trainers keep it, to the counts that a planner of groups is told.

It assumes one entry per rollout, in any order, and rewards that say right or wrong, or a mark from which on a
rollout is right. Reading files is left to whoever has them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arguments import check_number
from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

__all__ = ["RolloutCounts", "count_rollouts"]


class RolloutCounts(NamedTuple):
    """What P prompts have drawn; ``groups.after(**counts._asdict())`` tells it.

    Attributes
    ----------
    n, n_correct : ndarray of int64, shape (P,)
        Rollouts, and right ones; 0 where a prompt has none.
    output_tokens : ndarray of float64, shape (P,), or None
        Tokens of all rollouts of each prompt together; None where lengths were not given.
    """

    n: NDArray[np.int64]
    n_correct: NDArray[np.int64]
    output_tokens: FloatArray | None


def count_rollouts(
    prompts: Sequence[Hashable],
    drawn: Sequence[Hashable],
    rewards: ArrayLike,
    *,
    threshold: float | None = None,
    output_tokens: ArrayLike | None = None,
) -> RolloutCounts:
    """Count rollouts by prompt.

    Parameters
    ----------
    prompts : sequence of hashable
        Ids or texts of the P prompts, in the order of the planner of groups.
    drawn : sequence of hashable, length R
        Id or text of the prompt of each rollout, in any order: the column ``uid`` or ``prompt`` of a table.
    rewards : array_like, shape (R,)
        0 and 1, or True and False. A rollout that nobody judged (None, NaN) is left out.
    threshold : float, optional
        Rewards from here on are right, others wrong: for rewards of other values.
    output_tokens : array_like, shape (R,), optional
        Length of each rollout.

    Raises
    ------
    InvalidInputError
        When columns differ in length or hold something else, a prompt is unknown or stands twice among
        `prompts`, a reward is neither 0 nor 1 without a threshold, or a length is missing or below 0.

    Examples
    --------
    >>> table = {"uid": ["b", "a", "b", "b"], "reward": [1.0, 0.0, 0.0, 1.0], "length": [9, 5, 8, 7]}
    >>> counts = count_rollouts(["a", "b", "c"], table["uid"], table["reward"], output_tokens=table["length"])
    >>> counts.n.tolist(), counts.n_correct.tolist(), counts.output_tokens.tolist()
    ([1, 3, 0], [0, 2, 0], [5.0, 24.0, 0.0])
    """
    try:
        place = {prompt: at for at, prompt in enumerate(prompts)}
        rows = np.array([place.get(name, -1) for name in drawn], dtype=np.intp)
    except TypeError as error:
        raise InvalidInputError(
            f"prompts are named by ids or texts, and a list of messages is neither ({error}); give a column "
            "of ids"
        ) from error
    if len(place) < len(prompts):
        raise InvalidInputError(
            "two prompts have the same name, so that their rollouts cannot be told apart; name them by id"
        )
    if (rows < 0).any():
        unknown = next(name for name, row in zip(drawn, rows.tolist(), strict=True) if row < 0)
        raise InvalidInputError(
            f"a rollout is of prompt {unknown!r}, which is none of the {len(prompts)} prompts; give the "
            "column that holds what `prompts` holds, ids or texts"
        )
    worth = _numbers("rewards", rewards, len(rows))
    judged = ~np.isnan(worth)
    if threshold is None:
        odd = judged & (worth != 0) & (worth != 1)
        if odd.any():
            raise InvalidInputError(
                f"a reward is {worth[odd][0]:g}, neither 0 nor 1; say from which reward on a rollout is "
                "right (threshold=)"
            )
    check_number("threshold", threshold, "finite", optional=True)
    right = worth >= (1 if threshold is None else threshold)
    lengths = None
    if output_tokens is not None:
        each = _numbers("output_tokens", output_tokens, len(rows))
        if not ((each >= 0) & np.isfinite(each)).all():
            raise InvalidInputError("output_tokens must be known of every rollout, finite and at least 0")
        lengths = np.bincount(rows[judged], weights=each[judged], minlength=len(place)).astype(np.float64)
    return RolloutCounts(
        n=np.bincount(rows[judged], minlength=len(place)),
        n_correct=np.bincount(rows[right], minlength=len(place)),
        output_tokens=lengths,
    )


def _numbers(name: str, values: ArrayLike, size: int) -> FloatArray:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be numbers: {error}") from error
    if found.shape != (size,):
        raise InvalidInputError(
            f"{name} must have one number for each of the {size} rollouts, got {found.shape}"
        )
    return found
