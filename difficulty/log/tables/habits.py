"""Tell from whole columns how a table writes things that no single cell tells.

It assumes that the columns are chosen. Such things are decimal commas, whole numbers that lost a column its
type (``17.0``), words such as ``None`` that are answers here, and columns that number the samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidLogError
from difficulty.log.tables.cells import MISSING, Row, as_text, as_verdict, is_missing, plain
from difficulty.log.tables.choice import ColumnChoice
from difficulty.log.tables.numbers import decimals_are_commas

COUNTS: Final = frozenset(
    ("output_tokens", "prompt_tokens", "chain", "step", "verifier_tokens", "cached_prompt_tokens")
)
NUMBERS: Final = frozenset(("score", "mean_logprob", "reward"))

_SAID: Final = ("answer", "gold")
_ID: Final = re.compile(r"-?\d+(?:\.0)?")
_FLOAT: Final = re.compile(r"-?\d+\.\d+")
_NUMBERS_SAMPLES: Final = re.compile(
    r"(?:sample|attempt|repeat|run|trial|epoch|rollout|completion|generation|seed|try)s?"
    r"(?:[ _-]?(?:id|idx|index|no|nr|num|number))?",
    re.IGNORECASE,
)


class Habits(NamedTuple):
    """How a table writes things.

    Attributes
    ----------
    decimal_comma : bool
        Whether numbers have commas where others have points.
    floats : frozenset of str
        Fields of texts whose whole numbers end in ``.0``, which is no part of them.
    words : frozenset of str
        Words that mean nothing elsewhere, and are answers here, because some of them were judged right.
    literal : bool
        Whether such words stand for themselves in all fields: the table was a log.
    """

    decimal_comma: bool
    floats: frozenset[str]
    words: frozenset[str]
    literal: bool = False

    def text(self, field: str, cell: Any) -> str | None:
        """Return a cell of text as it is meant."""
        if isinstance(cell, str) and cell.strip() in self.words and (self.literal or field in _SAID):
            return cell.strip()
        if field in self.floats and isinstance(cell, str):
            cell = cell.strip().removesuffix(".0")
        return as_text(cell)


def is_own(choice: ColumnChoice) -> bool:
    """Say whether a table has the columns of a log that was written as a frame: it means what it says."""
    return all(choice.columns.get(field) == field for field in ("prompt_id", "generator"))


def habits_of(rows: Sequence[Row], choice: ColumnChoice, *, threshold: float | None = None) -> Habits:
    """Return the habits of a table.

    Examples
    --------
    >>> cells = [{"id": "1.0", "answer": "None", "correct": "1,0"}, {"id": "2.0", "correct": "0,0"}]
    >>> fields = {"prompt_id": "id", "answer": "answer", "correct": "correct"}
    >>> habits_of([Row(1, each) for each in cells], ColumnChoice(fields, frozenset(), ()))
    Habits(decimal_comma=True, floats=frozenset({'prompt_id'}), words=frozenset({'None'}), literal=False)
    """
    if is_own(choice):
        return Habits(False, frozenset(), MISSING - {""}, literal=True)
    columns = {field: [row.cells.get(column) for row in rows] for field, column in choice.columns.items()}
    numbers = [columns[field] for field in columns if field in (*COUNTS, *NUMBERS, "correct")]
    comma = decimals_are_commas(numbers, counts=[columns[field] for field in columns if field in COUNTS])
    floats = {
        field
        for field, pattern in (("prompt_id", _ID), ("answer", _FLOAT), ("gold", _FLOAT))
        if field in columns and _all_match(columns[field], pattern)
    }
    words: set[str] = set()
    for answer, verdict in zip(columns.get("answer", ()), columns.get("correct", ()), strict=False):
        if isinstance(answer, str) and answer.strip() in MISSING and answer.strip():
            try:
                if as_verdict(plain(verdict), "", threshold=threshold, decimal_comma=comma):
                    words.add(answer.strip())
            except InvalidLogError:
                continue  # reported where the row is read
    return Habits(comma, frozenset(floats), frozenset(words))


def _all_match(cells: Iterable[object], pattern: re.Pattern[str]) -> bool:
    held = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip() not in MISSING]
    return bool(held) and all(map(pattern.fullmatch, held)) and any(text.endswith(".0") for text in held)


def refuse_repeated(rows: Sequence[Row], choice: ColumnChoice) -> None:
    """Refuse a row that is there twice, where a column numbers the samples: it would count twice.

    Raises
    ------
    InvalidLogError
        When all cells of two rows are the same.
    """
    numbering = next((name for name in choice.unused if _NUMBERS_SAMPLES.fullmatch(name.strip())), None)
    if numbering is None or "samples" in choice.columns:
        return
    seen: dict[bytes, Row] = {}
    for row in rows:
        if all(is_missing(plain(cell)) for cell in row.cells.values()):
            continue
        first = seen.setdefault(blake2b(repr(row.cells).encode()).digest(), row)
        if first is not row:
            raise InvalidLogError(
                f"the row is that of line {first.place} again, {numbering} {row.cells[numbering]!r} too, and "
                f"would count twice; keep one, or drop the column {numbering!r} if they are two samples",
                path=row.path,
                line=row.place,
            )
