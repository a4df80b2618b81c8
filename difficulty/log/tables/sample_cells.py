"""Read the cells of one sample: its answer, verdict, counts, scores and text.

It assumes that the columns are chosen and their habits known. Single values are read by
`difficulty.log.tables.cells`; which rows hold which samples is left to `difficulty.log.tables.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from difficulty.errors import InvalidLogError
from difficulty.log.tables.cells import (
    as_count,
    as_list,
    as_number,
    as_text,
    as_verdict,
    is_missing,
    is_records,
    plain,
)
from difficulty.log.tables.habits import COUNTS, NUMBERS, Habits


def read_sample(
    cells: Mapping[str, Any], habits: Habits, *, threshold: float | None, name: Callable[[str], str]
) -> dict[str, Any]:
    """Return what is known of a sample.

    Parameters
    ----------
    cells : mapping of str to object
        Plain values, by field.
    habits : Habits
        How the table writes things.
    threshold : float, optional
        The least mark that counts as right.
    name : callable
        Gives the column of a field, for messages.

    Raises
    ------
    InvalidLogError
        When a cell is not what its column says.

    Examples
    --------
    >>> habits = Habits(decimal_comma=True, floats=frozenset(), words=frozenset())
    >>> read_sample({"answer": "4", "correct": "yes", "score": "0,5"}, habits, threshold=None, name=str)
    {'answer': '4', 'correct': True, 'score': 0.5}
    """
    comma = habits.decimal_comma
    sample: dict[str, Any] = {}
    for field, cell in cells.items():
        value: Any
        if field == "correct":
            value = as_verdict(cell, name(field), threshold=threshold, decimal_comma=comma)
        elif field in COUNTS:
            value = as_count(cell, name(field), decimal_comma=comma)
        elif field == "step_scores" or (field == "score" and isinstance(cell, list)):
            value = _steps(as_list(cell), name(field))
            if field == "score" and value:
                sample["step_scores"], value = value, value[-1]
        elif field in NUMBERS:
            value = as_number(cell, name(field), decimal_comma=comma)
        elif field == "text":
            value = _said(cell)
        else:
            value = habits.text(field, cell)
        if value is not None:
            sample[field] = value
    if threshold is not None and "reward" in sample and "correct" not in sample:
        sample["correct"] = sample["reward"] >= threshold
    return sample


def of_sample(cells: Mapping[str, Any], place: int, n: int) -> dict[str, Any]:
    """Return the cells of one of the `n` samples of a row, which has its place in lists of that length."""
    return {
        field: plain(cell[place])
        if isinstance(cell, list) and len(cell) == n and field != "step_scores"
        else cell
        for field, cell in cells.items()
    }


def _said(cell: Any) -> str | None:
    """Return a completion; of a message its words, of several messages those of the last."""
    if is_records(cell):
        cell = cell[-1]
    while isinstance(cell, Mapping):
        if "content" not in cell and "message" not in cell:
            raise InvalidLogError(
                f"a completion must be a text or a message, got an object of {', '.join(cell) or 'nothing'}"
            )
        cell = cell["content"] if "content" in cell else cell["message"]
    return as_text(cell)


def _steps(cell: Any, name: str) -> list[float] | None:
    if is_missing(cell):
        return None
    if not isinstance(cell, list):
        raise InvalidLogError(f"{name} must be a list of numbers, got {str(cell)[:60]!r}")
    steps = [as_number(plain(one), name) for one in cell]
    return [step for step in steps if step is not None] or None


def share_prompt_tokens(line: dict[str, Any]) -> None:
    """Say of a line how long its prompt is, where all samples say the same and no cache spared any of it."""
    samples = line.get("samples", ())
    lengths = {sample.get("prompt_tokens") for sample in samples}
    cached = any(sample.get("cached_prompt_tokens") for sample in samples)
    if len(lengths) == 1 and None not in lengths and not cached:
        line["prompt_tokens"] = lengths.pop()
        for sample in samples:
            del sample["prompt_tokens"]
