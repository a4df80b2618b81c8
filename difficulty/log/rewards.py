"""Where the rewards of a log come from: a list in `meta`, the scores, the verdicts, or the field itself.

A reward is the graded truth of a sample; a score is what a verifier says that may run when serving. Which of
them is the truth only the user knows, so nothing here is done unasked.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.log.columns import LogColumns
from difficulty.scale import check_threshold

_META: Final = "meta."
_SOURCES: Final = ("reward", "score", "correct")


def with_rewards(columns: LogColumns, source: str, *, threshold: float | None = None) -> LogColumns:
    """Return columns whose samples have rewards.

    Parameters
    ----------
    columns : LogColumns
    source : str
        ``"meta.KEY"``: a list in the `meta` of each line, in the order of its samples; ``"score"``,
        ``"correct"``, or ``"reward"`` for the rewards that are there. Lines without the key take their
        verdicts, 1 or 0, provided that all listed rewards lie in [0, 1].
    threshold : float, optional
        The least reward that counts as correct; without it verdicts stay as they are.

    Raises
    ------
    InvalidInputError
        When there is no such source, or no sample has it.
    InvalidLogError
        When a list in `meta` does not fit the samples of its line.
    """
    samples = columns.samples
    verdict = np.where(samples.correct < 0, np.nan, samples.correct).astype(np.float64)
    if source.startswith(_META) and source != _META:
        reward = _listed(columns, source.removeprefix(_META), verdict)
    elif source == "score":
        reward = samples.score
    elif source == "correct":
        reward = verdict
    elif source == "reward":
        reward = np.full(len(samples), np.nan) if samples.reward is None else samples.reward
    else:
        raise InvalidInputError(
            f"rewards come from {', '.join(_SOURCES)} or meta.KEY, a list in the meta of each line; got "
            f"{source!r}"
        )
    known = ~np.isnan(reward)
    if not known.any():
        raise InvalidInputError(f"no sample of this log has a reward in {source}; record it, or name another")
    correct = samples.correct
    check_threshold(threshold)
    if threshold is not None:
        correct = np.where(known, np.nan_to_num(reward) >= threshold, correct).astype(np.int8)
    return replace(columns, samples=replace(samples, reward=reward.copy(), correct=correct))


def _listed(columns: LogColumns, key: str, verdict: FloatArray) -> FloatArray:
    """Return the rewards that stand in `meta`, one for each sample; else verdicts."""
    lines, reward = columns.lines, np.full(len(columns.samples), np.nan)
    listed = np.zeros(len(reward), dtype=bool)
    for place, meta in enumerate(lines.meta):
        found = None if meta is None else meta.get(key)
        if found is None:
            continue
        here = slice(int(lines.offsets[place]), int(lines.offsets[place + 1]))
        try:
            reward[here] = _numbers(found, here.stop - here.start)
        except ValueError as error:
            prompt = columns.prompts[lines.prompt[place]].id
            raise InvalidLogError(
                f"meta.{key} of prompt {prompt!r} and generator "
                f"{columns.generators[lines.generator[place]]!r} {error}"
            ) from None
        listed[here] = True
    if not listed.any():
        raise InvalidInputError(f"no line of this log has a list {key!r} in its meta")
    other = ~listed & ~np.isnan(verdict)
    given = reward[listed & ~np.isnan(reward)]
    if other.any() and given.size and not ((given >= 0) & (given <= 1)).all():
        raise InvalidInputError(
            f"{int(other.sum()):,} samples have a verdict and no meta.{key}, whose numbers reach from "
            f"{given.min():g} to {given.max():g}: 1 and 0 are no rewards on that scale; "
            "give every line its list"
        )
    return np.where(listed, reward, verdict)


def _numbers(found: Any, n: int) -> list[float]:
    """Return n finite numbers, NaN for null; a `ValueError` says what is wrong."""
    if not isinstance(found, list) or len(found) != n:
        size = f" of {len(found)}" if isinstance(found, list) else ""
        raise ValueError(
            f"must be a list of {n} numbers, one for each sample, got {type(found).__name__}{size}"
        )
    numbers = []
    for one in found:
        if one is not None and (isinstance(one, bool) or not isinstance(one, int | float)):
            raise ValueError(f"must hold numbers, got {one!r}")
        numbers.append(math.nan if one is None else float(one))
    return numbers
