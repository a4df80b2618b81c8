"""The sample log: recorded samples of many prompts and generators; made, written, merged, split and selected.

A log is immutable; what it holds, and how it is looked at, is said in `difficulty.log.recorded_log`.
Estimates from the samples are left to the other modules of this room. The file is long because the class is
the one door to a log: each of its verbs is documented here, and done elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.log.builder import LogBuilder
from difficulty.log.columns import LogColumns
from difficulty.log.formats.files import read_file, write_file
from difficulty.log.graded import without_ungraded
from difficulty.log.known_texts import KnownTexts
from difficulty.log.label_signals import Labels, LabelSignals, label_signals
from difficulty.log.merge import merge_about, merge_columns, merge_generators
from difficulty.log.recorded_log import RecordedLog
from difficulty.log.rewards import with_rewards
from difficulty.log.select import lines_of_prompts
from difficulty.log.split import held_out_groups
from difficulty.log.tables.frames import FrameKind, frame_of, rows_of_frame
from difficulty.log.tables.rows import lines_of_rows
from difficulty.log.wire import decode_about, decode_line, encode_record


@final
class SampleLog(RecordedLog):
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

    __slots__ = ()

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
        if on_duplicate not in ("error", "first"):
            raise InvalidInputError(f"on_duplicate must be 'error' or 'first', got {on_duplicate!r}")
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
        for name, generator in generators.items():
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
        plain = decode_about(encode_record(about or {}))
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
        try:
            table = lines_of_rows(
                rows,
                columns=columns,
                generators=generators,
                threshold=threshold,
                extract=extract,
                grade=grade,
            )
        except InvalidLogError as error:
            raise InvalidLogError(error.reason, path="frame", line=error.line) from error
        return cls.from_records(table.records, table.generators, about={**table.about, **(about or {})})

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
        return frame_of(self._columns, kind)

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

    def split(
        self,
        test_fraction: float = 0.4,
        seed: int = 0,
        *,
        near_duplicates: bool = True,
        by: str | None = None,
    ) -> tuple[SampleLog, SampleLog]:
        """Split into a training and a test log, by group of near-duplicates or by family.

        The same groups and seed give the same split, whatever the order of the prompts; it is recorded in
        ``about["split"]``.

        Parameters
        ----------
        test_fraction : float
            Share of the prompts that goes to the test side, in (0, 1), as nearly as whole groups allow.
        seed : int
        near_duplicates : bool
            Keep together what `near_duplicates` finds, beyond the recorded groups.
        by : str, optional
            Key of `meta` that names families, which then go to one side whole: the test side asks what is
            known of kinds of prompts that training never saw.

        Raises
        ------
        InvalidInputError
            When `test_fraction` is out of range, the log has fewer than two groups, or it names no families
            by that key.
        """
        groups: Sequence[str] = [prompt.group for prompt in self.prompts]
        if near_duplicates:
            groups = self.near_duplicates().groups
        families = None if by is None else self.families(by)
        if families is not None:
            groups = families.joined(groups)
        held_out = held_out_groups(groups, test_fraction=test_fraction, seed=seed)
        in_test = np.array([group in held_out for group in groups])
        sides = []
        for side, chosen in (("train", ~in_test), ("test", in_test)):
            record: dict[str, object] = {
                "side": side,
                "test_fraction": test_fraction,
                "seed": seed,
                "digest": self.digest,
                "near_duplicates": near_duplicates,
            }
            if by is not None:
                record["by"] = by
            if "split" in self._about:
                record["of"] = self._about["split"]
            columns = self._columns.take(np.flatnonzero(chosen[self._columns.lines.prompt]))
            sides.append(self._with(columns, about={**self._about, "split": record}))
        return sides[0], sides[1]

    def select(self, prompt_ids: Iterable[str]) -> SampleLog:
        """Return the log of some prompts, in the order of `prompt_ids`.

        Raises
        ------
        InvalidInputError
            When an id is not in the log or is given twice, or none is given.
        """
        return self._with(self._columns.take(lines_of_prompts(self._columns, prompt_ids)))

    def select_generators(self, names: Iterable[str]) -> SampleLog:
        """Return the log of some generators, in the order of `names`, without prompts that they never saw.

        Raises
        ------
        UnknownGeneratorError
            When a name is not in the log.
        InvalidInputError
            When none of them has a line.
        """
        wanted = list(dict.fromkeys(names))
        codes = [self._generator_index(name) for name in wanted]
        lines = np.flatnonzero(np.isin(self._columns.lines.generator, codes))
        if lines.size == 0:
            raise InvalidInputError(f"none of the generators {wanted} has a line in the log")
        columns = self._columns.take(lines, generators=wanted)
        return self._with(columns, generators={name: self._generators[name] for name in wanted})

    def with_rewards(self, source: str, *, threshold: float | None = None) -> SampleLog:
        """Return the log with rewards taken from elsewhere in it.

        Parameters
        ----------
        source : str
            ``"meta.KEY"``: a list in the `meta` of each line, in the order of its samples (lines without it
            take their verdicts, 1 or 0); ``"score"``; ``"correct"``; ``"reward"``, what is recorded.
        threshold : float, optional
            The least reward that counts as correct; ``about["correct_from_reward"]`` then says so. Without
            it verdicts stay as they are.

        Raises
        ------
        InvalidInputError
            When there is no such source, no sample has it, or its scale is not that of the verdicts.
        InvalidLogError
            When a list in `meta` does not fit the samples of its line.

        Examples
        --------
        >>> from difficulty import Generator
        >>> line = {"prompt_id": "a", "generator": "tiny", "meta": {"rubric": [0.25, 1.0]},
        ...         "samples": [{"output_tokens": 9}, {"output_tokens": 7}]}
        >>> log = SampleLog.from_records([line], {"tiny": Generator(name="tiny")})
        >>> graded = log.with_rewards("meta.rubric", threshold=0.5)
        >>> [(sample.reward, sample.correct) for sample in graded.samples("a", "tiny")]
        [(0.25, False), (1.0, True)]
        """
        columns = with_rewards(self._columns, source, threshold=threshold)
        about = {**self._about, "rewards_from": source}
        if threshold is not None:
            about["correct_from_reward"] = threshold
        return self._with(columns, about=about)

    def valued_by(self, what: Literal["correct", "reward"]) -> SampleLog:
        """Return the log in whose pools a sample is worth its reward, or 1 and 0 for right and wrong.

        Samples that nobody graded are left out beside graded ones of the same prompt and generator.

        Raises
        ------
        InvalidInputError
            When it is another word, or no sample has a reward.
        """
        if what not in ("correct", "reward"):
            raise InvalidInputError(f"samples are valued by 'correct' or 'reward', got {what!r}")
        samples = self._columns.samples
        value = samples.correct if what == "correct" else samples.reward
        if value is None:
            raise InvalidInputError(
                "no sample of this log has a reward: record it in the samples, or say where it stands, as in "
                "with_rewards('meta.rubric') or with_rewards('score') (--reward on the command line)"
            )
        known = value >= 0 if what == "correct" else ~np.isnan(value)
        return self._with(without_ungraded(self._columns, self._independent(), known), valued_by=what)

    def counted_from(self, origin: float, *, per: float = 1.0) -> SampleLog:
        """Return the log with each reward less an origin, as a multiple of `per`."""
        reward = self._columns.samples.reward
        if reward is None or (origin, per) == (0.0, 1.0):
            return self
        samples = replace(self._columns.samples, reward=(reward - origin) / per)
        return self._with(replace(self._columns, samples=samples))

    def label_signals(self, by: Labels) -> LabelSignals:
        """Return what labels may rest on where verdicts are missing (`difficulty.log.label_signals`).

        Parameters
        ----------
        by : {"agreement", "verifier", "judge"}
            Agreement with the other samples of the prompt, the scores, or the rewards.

        Raises
        ------
        InvalidInputError
            When it is another word, or the log does not record what it needs.
        """
        return label_signals(self._columns, self._independent(), by)

    def with_labels(self, value: NDArray[np.float64]) -> SampleLog:
        """Return the log in which each of the S samples is worth a label and nobody knows verdicts.

        Parameters
        ----------
        value : ndarray of float64, shape (S,)
            In the order of `label_signals`; NaN where nothing is known.
        """
        unknown = np.full(len(value), -1, dtype=np.int8)
        samples = replace(self._columns.samples, reward=value.copy(), correct=unknown)
        return self._with(replace(self._columns, samples=samples)).valued_by("reward")

    def without_verdicts(self, keep: Iterable[str] = ()) -> SampleLog:
        """Return the log as if nobody had graded it, but for the prompts to `keep`.

        Lines that record counts only stay as they are: they are nothing but verdicts.
        """
        kept = set(keep)
        known = np.array([prompt.id in kept for prompt in self.prompts])
        owner = np.repeat(self._columns.lines.prompt, np.diff(self._columns.lines.offsets))
        correct = np.where(known[owner], self._columns.samples.correct, -1).astype(np.int8)
        return self._with(replace(self._columns, samples=replace(self._columns.samples, correct=correct)))

    def _with(self, columns: LogColumns, **changes: Any) -> SampleLog:
        """Return a log of other columns that is like this one otherwise, but for `changes`."""
        same = {"generators": self._generators, "about": self._about, "valued_by": self._valued_by}
        return SampleLog(columns, **{**same, **changes})


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
