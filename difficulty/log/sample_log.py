"""The sample log: recorded samples of many prompts and generators; made, written and merged.

A log is immutable; what it holds is said in `difficulty.log.recorded_log`, and what other logs it makes of
itself in `difficulty.log.derived_log`. Estimates from the samples are left to the other modules of this room.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator, check_by_name
from difficulty.log.builder import LogBuilder
from difficulty.log.derived_log import DerivedLog
from difficulty.log.formats.files import read_file, write_file
from difficulty.log.found_in import found_in
from difficulty.log.known_texts import KnownTexts
from difficulty.log.merge import merge_about, merge_columns, merge_generators
from difficulty.log.tables.frames import FrameKind, frame_of_table, rows_of_frame, sample_columns
from difficulty.log.tables.rows import lines_of_rows
from difficulty.log.wire import decode_line, encode_record


@final
class SampleLog(DerivedLog):
    """Recorded samples of many prompts × generators, and recorded runs of search strategies.

    Make one with `read`, `from_frame`, `from_records` or `merge`; a log never changes.

    Examples
    --------
    >>> from difficulty import Generator
    >>> records = [{"prompt_id": "a", "prompt": "1 + 1?", "generator": "tiny", "n": 8, "n_correct": 6},
    ...            {"prompt_id": "b", "prompt": "7 * 8?", "generator": "tiny", "n": 8, "n_correct": 1}]
    >>> log = SampleLog.from_records(records, {"tiny": Generator(name="tiny")})
    >>> log
    SampleLog(2 prompts, 1 generator, 16 samples; with text)
    >>> log.counts().n_correct.ravel().tolist()
    [6, 1]
    """

    @classmethod
    def read(
        cls, *paths: str | os.PathLike[str], on_duplicate: Literal["error", "first"] = "error"
    ) -> SampleLog:
        """Read a log from one or several files, which are merged.

        Parameters
        ----------
        *paths : str or path
            JSON Lines, gzip of it, or Parquet; recognised by content.
        on_duplicate : {"error", "first"}
            What to do with lines that repeat a prompt × generator × strategy: refuse the log, or keep the
            first of them and record in ``about["duplicates_left_out"]`` how many were set aside.

        Raises
        ------
        InvalidInputError
            When no path is given or `on_duplicate` is another word.
        InvalidLogError
            When a file is missing or not a valid log; with file, line, reason and remedy.
        MissingDependencyError
            When a file is Parquet and pyarrow is not installed.
        """
        if not paths:
            raise InvalidInputError("give at least one path to read")
        check_choice("on_duplicate", on_duplicate, ("error", "first"))
        keep_first = on_duplicate == "first"
        parts = []
        for path in paths:
            columns, generators, about = read_file(Path(path), keep_first=keep_first)
            parts.append(cls(columns, generators=generators, about=about))
        return cls._join(parts, keep_first=keep_first)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the log: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``, by the name of the file.

        Equal logs give equal bytes (for Parquet: with the same release of pyarrow).

        Raises
        ------
        InvalidLogError
            When the suffix is none of these, or the file cannot be written.
        MissingDependencyError
            For Parquet, when pyarrow is not installed.
        """
        write_file(Path(path), self._columns, generators=self._generators, about=self._about)

    @classmethod
    def from_records(
        cls,
        records: Iterable[Mapping[str, object]],
        generators: Mapping[str, Generator],
        *,
        about: Mapping[str, object] | None = None,
    ) -> SampleLog:
        """Build a log from lines given as mappings, with the same checks as a file.

        Parameters
        ----------
        records : iterable of mapping
            One per prompt × generator, in the form of a line of the file format.
        generators : mapping of str to Generator
            All generators that the records name.
        about : mapping, optional
            Free header field: source, licence, notes.

        Raises
        ------
        InvalidLogError
            When a record is not a valid line; `line` counts records from 1.
        """
        for name, generator in check_by_name(generators).items():
            if name != generator.name:
                raise InvalidInputError(
                    f"generators[{name!r}] has the name {generator.name!r}; they must agree"
                )
        builder = LogBuilder(generators, path="records")
        for place, record in enumerate(records, start=1):
            try:
                builder.add(decode_line(encode_record(record)), place=place)
            except InvalidLogError as error:
                raise InvalidLogError(error.reason, path="records", line=error.line or place) from error
        columns = builder.finish()
        if not columns.prompts:
            raise InvalidLogError("there are no records; a log needs at least one line")
        plain = msgspec.json.decode(encode_record(about or {}), type=dict[str, object])
        return cls(columns, generators=generators, about=plain)

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        columns: Mapping[str, str] | None = None,
        generators: Mapping[str, Generator] | None = None,
        threshold: float | None = None,
        extract: Callable[[str], str | None] | None = None,
        grade: Callable[[str, str], bool] | None = None,
        about: Mapping[str, object] | None = None,
    ) -> SampleLog:
        """Build a log from a dataframe, one row a sample, or one row a prompt with lists.

        Parameters
        ----------
        frame : object
            Of pandas, polars or Arrow, a `datasets.Dataset`, any object with ``__arrow_c_stream__`` or
            ``__dataframe__``, a mapping of columns, or a list of mappings.
        columns : mapping of str to str, optional
            Column of each field (`prompt_id`, `prompt`, `answer`, `correct`, `output_tokens`, `generator`,
            `score` …); common names are found without. ``about["columns"]`` says what was taken.
        generators : mapping of str to Generator, optional
            What is known of the generators; the others have a name only. One alone has drawn all samples of
            a frame that names none.
        threshold : float, optional
            The least mark that counts as right, where `correct` holds marks.
        extract, grade : callable, optional
            Find the answer in a completion, and compare it with the right one where a row has no verdict.
        about : mapping, optional
            More for the header.

        Raises
        ------
        InvalidInputError
            When `frame` is none, or has no column of a name that is given.
        InvalidLogError
            When a row cannot be read; `line` counts rows from 1.
        MissingDependencyError
            When the frame can be read through Arrow only and pyarrow is not installed.

        Examples
        --------
        >>> frame = {"question": ["1 + 1?", "1 + 1?"], "pred": [2.0, 3.0], "is_correct": ["true", "false"]}
        >>> SampleLog.from_frame(frame)
        SampleLog(1 prompt, 1 generator, 2 samples; with text, answers)
        """
        rows = rows_of_frame(frame)
        with found_in("frame"):
            table = lines_of_rows(
                rows,
                columns=columns,
                generators=generators,
                threshold=threshold,
                extract=extract,
                grade=grade,
            )
        try:
            return cls.from_records(table.records, table.generators, about={**table.about, **(about or {})})
        except InvalidLogError as error:
            raise table.placed(error, path="frame") from error

    def to_frame(self, kind: FrameKind = "pandas") -> Any:
        """Return the log as a dataframe, one row a sample, with the columns that hold anything.

        `from_frame` reads it back. Messages, parameters of strategies and `meta` are JSON; lines that record
        counts are one row with `n` and `n_correct`; settings of the generators stay in `generators`.

        Parameters
        ----------
        kind : {"pandas", "polars", "arrow"}
            The package that the frame is of.

        Raises
        ------
        MissingDependencyError
            When that package is not installed.
        """
        return frame_of_table(sample_columns(self._columns), kind)

    @classmethod
    def merge(cls, logs: Iterable[SampleLog]) -> SampleLog:
        """Join logs end to end.

        Parameters
        ----------
        logs : iterable of SampleLog
            Prompts and generators of the same name must be the same.

        Raises
        ------
        InvalidLogError
            When a generator has other settings, a prompt_id another prompt, or the same prompt × generator ×
            strategy is recorded twice.
        """
        parts = tuple(logs)
        if not parts:
            raise InvalidInputError("give at least one log to merge")
        return cls._join(parts, keep_first=False)

    @classmethod
    def _join(cls, parts: Sequence[SampleLog], *, keep_first: bool) -> SampleLog:
        """Join logs end to end; see `merge`."""
        if len(parts) == 1:
            return parts[0]
        generators = merge_generators([part._generators for part in parts])
        columns, n_left_out = merge_columns(
            [part._columns for part in parts], tuple(generators), keep_first=keep_first
        )
        about = merge_about([part._about for part in parts], n_left_out)
        return cls(columns, generators=generators, about=about)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleLog):
            return NotImplemented
        return self.digest == other.digest and dict(self._about) == dict(other._about)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[object, ...]:
        settings: dict[str, Any] = {"generators": dict(self._generators), "about": dict(self._about)}
        return partial(SampleLog, self._columns, **settings, valued_by=self._valued_by), ()

    def __repr__(self) -> str:
        shown = ("text", "answers", "tokens", "scores", "rewards", "logprobs", "chains")
        having = [name for name in shown if getattr(self, f"has_{name}")]
        return (
            f"SampleLog({_count(len(self), 'prompt')}, {_count(len(self._generators), 'generator')}, "
            f"{_count(self.n_samples, 'sample')}; with {', '.join(having) or 'counts only'})"
        )

    def near_duplicates_of(self, other: SampleLog) -> dict[str, str]:
        """Return which prompts are nearly the same question as one of another log: their ids, and its id.

        It finds test prompts that stand in a training log under other ids; `select` leaves them out.
        """
        known = KnownTexts.of([prompt.content for prompt in other.prompts])
        found = known.find([prompt.content for prompt in self.prompts]).near.tolist()
        return {
            prompt.id: other.prompts[row].id
            for prompt, row in zip(self.prompts, found, strict=True)
            if row >= 0
        }


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
