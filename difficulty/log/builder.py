"""Collect lines and their samples into the columns of a log.

It assumes lines that passed `difficulty.log.wire.decode_line`. What only several lines together can show is
found by `difficulty.log.line_table`, what several samples show by `difficulty.log.sample_checks`; files are
left to the readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of
from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import (
    COUNTS,
    NUMBERS,
    OBJECTS,
    OPTIONAL_COLUMNS,
    PLACES,
    LogColumns,
    SampleColumns,
    column_or_none,
)
from difficulty.log.line_table import LineTable, name_chains
from difficulty.log.sample_checks import check_cached, check_chains
from difficulty.log.wire import LineWire, SampleWire

_BATCH: Final = 65_536  # samples held as objects before they become columns; bounds peak memory
_CORRECT: Final = {True: 1, False: 0, None: -1}


class LogBuilder:
    """Turn decoded lines into columns, batch by batch."""

    def __init__(
        self, generators: Mapping[str, Generator], *, path: str | None = None, keep_first: bool = False
    ) -> None:
        self.lines = LineTable(generators, keep_first=keep_first)
        self._path = path
        self._answers = _Codes()
        self._finishes = _Codes()
        self._samples: list[SampleWire] = []
        self._line_sizes: list[int] = []
        self._n_checked = 0
        self._parts: list[dict[str, Any]] = []

    def add(self, line: LineWire, *, place: int) -> None:
        """Add one line; see `LineTable.add`."""
        samples = line.samples or []
        if samples and samples[0].chain is not None:
            name_chains(line)
        if not self.lines.add(line, n_samples=len(samples), place=place):
            return
        self._samples.extend(samples)
        self._line_sizes.append(len(samples))
        if len(self._samples) >= _BATCH:
            self._flush()

    def finish(self) -> LogColumns:
        """Return the columns.

        Raises
        ------
        InvalidLogError
            When a chain is broken: see `check_chains`.
        """
        self._flush()
        columns: dict[str, Any] = {
            name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]
        }
        columns |= {name: column_or_none(columns[name]) for name in OPTIONAL_COLUMNS}
        samples = SampleColumns(answers=self._answers.table(), finishes=self._finishes.table(), **columns)
        return self.lines.finish(samples)

    def _flush(self) -> None:
        part = _columnise(self._samples, self._answers, self._finishes)
        offsets = offsets_of(np.array(self._line_sizes, dtype=np.int64))
        broken = check_chains(part["chain"], part["step"], offsets) or check_cached(
            part["prompt_tokens"], part["cached_prompt_tokens"], offsets
        )
        if broken is not None:
            place = self.lines.places[self._n_checked + broken[0]]
            raise InvalidLogError(broken[1], path=self._path, line=place)
        self._parts.append(part)
        self._n_checked += len(self._line_sizes)
        self._samples = []
        self._line_sizes = []


class _Codes(dict[str | None, int]):
    """Number strings in order of first appearance; None is -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, string: str | None) -> int:
        code = self[string] = len(self) - 1
        return code

    def table(self) -> tuple[str, ...]:
        return tuple(string for string in self if string is not None)


def _columnise(samples: Sequence[SampleWire], answers: _Codes, finishes: _Codes) -> dict[str, Any]:
    """Turn sample objects into one array per field; field by field is the fastest way."""
    columns: dict[str, Any] = {
        "answer": np.array([answers[s.answer] for s in samples], dtype=np.int32),
        "correct": np.array([_CORRECT[s.correct] for s in samples], dtype=np.int8),
        "finish": np.array([finishes[s.finish] for s in samples], dtype=np.int32),
    }
    for names, column_of in (((*COUNTS, *NUMBERS), _numbers), (PLACES, _indices), (OBJECTS, _objects)):
        columns |= {name: column_of(list(map(attrgetter(name), samples))) for name in names}
    return columns


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    if values.count(None) == len(values):  # counting None is far cheaper than converting it
        return np.full(len(values), np.nan)
    return np.array(values, dtype=np.float64)


def _indices(values: list[int | None]) -> NDArray[np.int32]:
    if values.count(None) == len(values):
        return np.full(len(values), -1, dtype=np.int32)
    return np.nan_to_num(_numbers(values), nan=-1).astype(np.int32)


def _objects(values: list[Any]) -> NDArray[np.object_]:
    """Return a column of objects (tuples stay one object each)."""
    column = np.empty(len(values), dtype=object)
    if values.count(None) < len(values):
        column[:] = values
    return column
