"""The sample log: recorded samples of many prompts and generators; read, write, slice and look at them.

A log is immutable and columnar inside, so that a million samples take a few arrays; prompts keep the order in
which they first appear. Estimates from the samples are left to the other modules of this room. The class is
the one door to a log and hands over to the other modules of `difficulty.log`, which is why the file is long.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, InvalidLogError, UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.log.builder import LogBuilder
from difficulty.log.columns import LogColumns
from difficulty.log.families import Families, find_families
from difficulty.log.formats.files import read_file, write_file
from difficulty.log.known_texts import KnownTexts
from difficulty.log.label_signals import Labels, LabelSignals, label_signals
from difficulty.log.lines import generator_record, samples_of
from difficulty.log.merge import left_out, merge_columns
from difficulty.log.near_duplicates import NearDuplicates, find_near_duplicates, join_groups
from difficulty.log.notebook import log_html
from difficulty.log.pooling import (
    CHAIN,
    INDEPENDENT,
    chain_pool,
    line_counts,
    line_kinds,
    line_values,
    local_answers,
    recorded_runs,
    sample_pool,
)
from difficulty.log.rewards import with_rewards
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool
from difficulty.log.split import held_out_groups
from difficulty.log.tables.frames import FrameKind, frame_of, rows_of_frame
from difficulty.log.tables.rows import lines_of_rows
from difficulty.log.wire import SampleWire, decode_about, decode_line, encode_record
from difficulty.prompt import Prompt
from difficulty.scale import UNIT, Scale

__all__ = ["Counts", "SampleLog", "Values"]


class Counts(NamedTuple):
    """Counts of independent samples, for P prompts and G generators.

    Parameters
    ----------
    n : ndarray of int64, shape (P, G)
        Samples whose correctness is known; 0 where there are none, or no line at all.
    n_correct : ndarray of int64, shape (P, G)
        Correct ones among them.
    """

    n: NDArray[np.int64]
    n_correct: NDArray[np.int64]


class Values(NamedTuple):
    """What independent samples are worth, for P prompts and G generators.

    Parameters
    ----------
    n : ndarray of int64, shape (P, G)
        Samples whose value is known.
    total : ndarray of float64, shape (P, G)
        Sum of their values.
    """

    n: NDArray[np.int64]
    total: NDArray[np.float64]


@final
class SampleLog:
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

    __slots__ = (
        "_about",
        "_columns",
        "_digest",
        "_generators",
        "_kinds",
        "_lines",
        "_local",
        "_near",
        "_pools",
        "_rows",
        "_valued_by",
    )

    def __init__(
        self,
        columns: LogColumns,
        *,
        generators: Mapping[str, Generator],
        about: Mapping[str, object],
        valued_by: Literal["correct", "reward"] = "correct",
    ) -> None:
        self._valued_by: Literal["correct", "reward"] = valued_by
        self._columns = columns
        self._generators = MappingProxyType(dict(generators))
        self._about = MappingProxyType(dict(about))
        self._kinds = line_kinds(columns)
        self._local: NDArray[np.int32] | None = None
        self._digest: str | None = None
        self._near: NearDuplicates | None = None
        self._pools: dict[str, SamplePool] = {}
        self._lines: dict[tuple[int, int], int] | None = None
        self._rows: dict[str, int] = {}

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
        generators: dict[str, Generator] = {}
        for part in parts:
            for name, generator in part._generators.items():
                if generators.setdefault(name, generator) != generator:
                    raise InvalidLogError(
                        f"generator {name!r} has different settings in the logs: "
                        f"{generator_record(generators[name])} and {generator_record(generator)}; "
                        "rename one of them"
                    )
        about: dict[str, object] = {}
        for part in parts:
            for key, value in part._about.items():
                about.setdefault(key, value)
        if any(dict(part._about) != about for part in parts):
            about = {"merged": [dict(part._about) for part in parts]}
        columns, n_left_out = merge_columns(
            [part._columns for part in parts], tuple(generators), keep_first=keep_first
        )
        about = left_out(about, n_left_out, of=[part._about for part in parts])
        return cls(columns, generators=generators, about=about)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The P prompts, in order of first appearance."""
        return self._columns.prompts

    @property
    def generators(self) -> Mapping[str, Generator]:
        """The G generators by name, in the order of the header; read-only."""
        return self._generators

    @property
    def about(self) -> Mapping[str, object]:
        """What the header says about the log; free, read-only."""
        return self._about

    @property
    def digest(self) -> str:
        """SHA-256 of the content (all but `about`), the same for every file form; 64 hexadecimal digits."""
        if self._digest is None:
            header = [[name, generator_record(generator)] for name, generator in self._generators.items()]
            self._digest = self._columns.digest(header)
        return self._digest

    @property
    def n_samples(self) -> int:
        """Samples recorded: independent ones (counted ones too), steps of chains, and runs."""
        counted = self._columns.lines.n
        return len(self._columns.samples) + int(counted[counted > 0].sum())

    @property
    def has_text(self) -> bool:
        """Whether every prompt has a text or messages."""
        return all(prompt.content is not None for prompt in self.prompts)

    @property
    def has_answers(self) -> bool:
        """Whether any independent sample has an answer."""
        return bool((self._columns.samples.answer[self._independent()] >= 0).any())

    @property
    def has_tokens(self) -> bool:
        """Whether every independent sample has output tokens; counts-only lines have none."""
        return self._complete(self._columns.samples.output_tokens)

    @property
    def has_scores(self) -> bool:
        """Whether every independent sample has a score."""
        return self._complete(self._columns.samples.score)

    @property
    def has_rewards(self) -> bool:
        """Whether every independent sample has a reward, its graded truth."""
        reward = self._columns.samples.reward
        return reward is not None and self._complete(reward)

    @property
    def has_logprobs(self) -> bool:
        """Whether every independent sample has a mean log-probability."""
        return self._complete(self._columns.samples.mean_logprob)

    @property
    def has_chains(self) -> bool:
        """Whether any generator has revision chains."""
        return bool((self._kinds == CHAIN).any())

    def __len__(self) -> int:
        return len(self._columns.prompts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleLog):
            return NotImplemented
        return self.digest == other.digest and dict(self._about) == dict(other._about)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self._columns, dict(self._generators), dict(self._about), self._valued_by)

    def __repr__(self) -> str:
        shown = ("text", "answers", "tokens", "scores", "rewards", "logprobs", "chains")
        having = [name for name in shown if getattr(self, f"has_{name}")]
        return (
            f"SampleLog({_count(len(self), 'prompt')}, {_count(len(self._generators), 'generator')}, "
            f"{_count(self.n_samples, 'sample')}; with {', '.join(having) or 'counts only'})"
        )

    def _repr_html_(self) -> str:
        counts = self.counts()
        return log_html(repr(self), tuple(self._generators), self.n_recorded(), counts.n, counts.n_correct)

    def near_duplicates(self) -> NearDuplicates:
        """Return the groups of near-duplicates: the recorded ones, joined where texts say so."""
        if self._near is None:
            self._near = find_near_duplicates(self.prompts)
        return self._near

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

    @property
    def meta_keys(self) -> frozenset[str]:
        """Keys that the `meta` of any line has."""
        return frozenset(key for meta in self._columns.lines.meta if meta for key in meta)

    def families(self, key: str | None = None) -> Families | None:
        """Return the families of prompts that the log names in `meta`; None where it names none.

        Parameters
        ----------
        key : str, optional
            Key of `meta` that names them; by default ``family`` or ``task``, whichever the log has.

        Raises
        ------
        InvalidInputError
            When no line has `key`, or a prompt has two families.
        """
        lines = self._columns.lines
        ids = [prompt.id for prompt in self.prompts]
        return find_families(ids, list(zip(lines.prompt.tolist(), lines.meta, strict=True)), key)

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
            own = zip(families.names, groups, strict=True)
            groups = join_groups(groups, [group if name is None else (name,) for name, group in own])
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
        place = {prompt.id: index for index, prompt in enumerate(self.prompts)}
        rank = np.full(len(self), -1, dtype=np.int64)
        n_selected = 0
        for prompt_id in prompt_ids:
            index = place.get(prompt_id)
            if index is None:
                raise InvalidInputError(
                    f"prompt {prompt_id!r} is not in the log, which has {len(self)} prompts"
                )
            if rank[index] >= 0:
                raise InvalidInputError(f"prompt {prompt_id!r} is selected twice; select each prompt once")
            rank[index] = n_selected
            n_selected += 1
        if not n_selected:
            raise InvalidInputError("select at least one prompt; a log cannot be empty")
        line_rank = rank[self._columns.lines.prompt]
        lines = np.flatnonzero(line_rank >= 0)
        kept = line_rank[lines]
        _, first = np.unique(kept, return_index=True)
        if (np.diff(first) < 0).any():  # only another order of prompts moves lines
            lines = lines[np.argsort(kept, kind="stable")]
        return self._with(self._columns.take(lines))

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
        return SampleLog(
            columns,
            generators={name: self._generators[name] for name in wanted},
            about=self._about,
            valued_by=self._valued_by,
        )

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
        """Return the same log, in whose pools a sample is worth its reward, or 1 and 0 for right and wrong.

        Raises
        ------
        InvalidInputError
            When it is another word, or no sample has a reward.
        """
        if what not in ("correct", "reward"):
            raise InvalidInputError(f"samples are valued by 'correct' or 'reward', got {what!r}")
        if what == "reward" and self._columns.samples.reward is None:
            raise InvalidInputError(
                "no sample of this log has a reward: record it in the samples, or say where it stands, as in "
                "with_rewards('meta.rubric') or with_rewards('score') (--reward on the command line)"
            )
        return SampleLog(self._columns, generators=self._generators, about=self._about, valued_by=what)

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
        columns = replace(self._columns, samples=samples)
        return SampleLog(columns, generators=self._generators, about=self._about, valued_by="reward")

    def without_verdicts(self, keep: Iterable[str] = ()) -> SampleLog:
        """Return the log as if nobody had graded it, but for the prompts to `keep`.

        Lines that record counts only stay as they are: they are nothing but verdicts.
        """
        kept = set(keep)
        known = np.array([prompt.id in kept for prompt in self.prompts])
        owner = np.repeat(self._columns.lines.prompt, np.diff(self._columns.lines.offsets))
        correct = np.where(known[owner], self._columns.samples.correct, -1).astype(np.int8)
        return self._with(replace(self._columns, samples=replace(self._columns.samples, correct=correct)))

    def values(self) -> Values:
        """Return what independent samples are worth; columns in the order of `generators`."""
        values = line_values(self._columns, self._kinds, self._worth())
        return Values(n=values.n, total=values.total)

    @property
    def scale(self) -> Scale:
        """The scale of what samples are worth: 0 to 1, unless rewards reach further.

        Raises
        ------
        InvalidInputError
            When samples are valued by rewards and all of these are one number outside [0, 1].
        """
        worth = self._worth()
        return UNIT if worth is None else Scale.of(worth)

    def pool(self, generator: str) -> SamplePool:
        """Return the independent samples of a generator; rows in the order of `prompts`.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        """
        index = self._generator_index(generator)
        if generator not in self._pools:
            self._pools[generator] = sample_pool(
                self._columns, self._local_answers(), self._kinds, index, worth=self._worth()
            )
        return self._pools[generator]

    def samples(self, prompt_id: str, generator: str) -> list[SampleWire]:
        """Return the independent samples of one prompt as recorded; none where there are counts only.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        """
        index = self._generator_index(generator)
        if self._lines is None:
            lines = self._columns.lines
            independent = np.flatnonzero(self._kinds == INDEPENDENT)
            owners = zip(
                lines.prompt[independent].tolist(), lines.generator[independent].tolist(), strict=True
            )
            self._lines = dict(zip(owners, independent.tolist(), strict=True))
            self._rows = {prompt.id: row for row, prompt in enumerate(self.prompts)}
        line = self._lines.get((self._rows.get(prompt_id, -1), index))
        return [] if line is None else samples_of(self._columns, line)

    def answers(self, prompt_id: str) -> tuple[str, ...]:
        """Return the distinct answers of one prompt; the codes of pools, chains and runs are places in it.

        Raises
        ------
        InvalidInputError
            When the prompt is not in the log.
        """
        row = next((row for row, prompt in enumerate(self.prompts) if prompt.id == prompt_id), None)
        if row is None:
            raise InvalidInputError(f"prompt {prompt_id!r} is not in the log, which has {len(self)} prompts")
        samples, offsets = self._columns.samples, self._columns.lines.offsets
        lines = np.flatnonzero(self._columns.lines.prompt == row).tolist()
        codes = np.concatenate([samples.answer[offsets[line] : offsets[line + 1]] for line in lines])
        return tuple(samples.answers[code] for code in dict.fromkeys(codes.tolist()) if code >= 0)

    def chains(self, generator: str) -> ChainPool | None:
        """Return the revision chains of a generator, or None where it has none.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        InvalidLogError
            When it has chains under parameters that differ in more than ``depth``.
        """
        return chain_pool(
            self._columns,
            self._local_answers(),
            self._kinds,
            self._generator_index(generator),
            worth=self._worth(),
        )

    def runs(self) -> tuple[RecordedRuns, ...]:
        """Return the recorded runs of search strategies, by generator, strategy and parameter set."""
        return recorded_runs(self._columns, self._local_answers(), self._kinds, worth=self._worth())

    def counts(self) -> Counts:
        """Return the counts of independent samples; columns in the order of `generators`."""
        counts = line_counts(self._columns, self._kinds)
        return Counts(n=counts.n_known, n_correct=counts.n_correct)

    def n_recorded(self) -> NDArray[np.int64]:
        """Return how many independent samples each prompt has of each generator, of known correctness or not.

        Returns
        -------
        ndarray of int64, shape (P, G)
            0 where a generator has no line for a prompt.
        """
        return line_counts(self._columns, self._kinds).n_recorded

    def _with(self, columns: LogColumns, *, about: Mapping[str, object] | None = None) -> SampleLog:
        """Return a log of other columns that is like this one otherwise."""
        return SampleLog(
            columns,
            generators=self._generators,
            about=self._about if about is None else about,
            valued_by=self._valued_by,
        )

    def _worth(self) -> NDArray[np.float64] | None:
        """Return the rewards where samples are valued by them."""
        return None if self._valued_by == "correct" else self._columns.samples.reward

    def _generator_index(self, name: str) -> int:
        if name not in self._generators:
            known = ", ".join(map(repr, self._generators))
            raise UnknownGeneratorError(f"generator must be one of {known}; got {name!r}")
        return self._columns.generators.index(name)

    def _local_answers(self) -> NDArray[np.int32]:
        if self._local is None:
            self._local = local_answers(self._columns)
        return self._local

    def _independent(self) -> NDArray[np.bool_]:
        """Say of each sample whether it is independent."""
        return np.repeat(self._kinds == INDEPENDENT, np.diff(self._columns.lines.offsets))

    def _complete(self, column: NDArray[np.float64]) -> bool:
        lines = self._columns.lines
        if ((self._kinds == INDEPENDENT) & (lines.n >= 0)).any():
            return False
        values = column[self._independent()]
        return bool(values.size) and not bool(np.isnan(values).any())


def _rebuilt(
    columns: LogColumns,
    generators: Mapping[str, Generator],
    about: Mapping[str, object],
    valued_by: Literal["correct", "reward"],
) -> SampleLog:
    return SampleLog(columns, generators=generators, about=about, valued_by=valued_by)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
