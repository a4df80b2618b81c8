"""The columnar form of a sample log: flat arrays per sample, offsets per line, tables for strings.

It assumes lines that were checked one by one; checks across lines happen in `difficulty.log.line_table`. The
form is canonical: equal logs have equal columns, whatever file they came from, so that digests and
comparisons are plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of, places
from difficulty.log.wire import canonical_json
from difficulty.prompt import Prompt

# Columns of samples by kind: whole numbers and others, both NaN where unknown; -1 where absent; objects.
COUNTS: Final = ("output_tokens", "prompt_tokens", "verifier_tokens", "cached_prompt_tokens")
NUMBERS: Final = ("score", "mean_logprob", "reward")
PLACES: Final = ("chain", "step")
OBJECTS: Final = ("text", "step_scores")
_LATER_COLUMNS: Final = ("verifier_tokens", "cached_prompt_tokens", "reward")  # older logs have none
OPTIONAL_COLUMNS: Final = (*OBJECTS, *_LATER_COLUMNS)
_ALL_KINDS: Final = ("correct", *COUNTS, *NUMBERS, *PLACES, *OBJECTS)

_Table = TypeVar("_Table", bound=Any)
StrategyKey: TypeAlias = tuple[str | None, str]
"""Strategy name (None for independent samples) and its parameters as canonical JSON."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleColumns:
    """One entry per sample (S samples), lines one after the other.

    Parameters
    ----------
    answer : ndarray of int32, shape (S,)
        Index into `answers`, -1 where the sample abstains.
    correct : ndarray of int8, shape (S,)
        1, 0, or -1 where unknown.
    output_tokens, prompt_tokens, score, mean_logprob : ndarray of float64, shape (S,)
        NaN where not recorded.
    finish : ndarray of int32, shape (S,)
        Index into `finishes`, -1 where not recorded.
    chain, step : ndarray of int32, shape (S,)
        Revision chain and step within it, -1 for other samples.
    text, step_scores : ndarray of object, shape (S,), or None
        Texts and tuples of scores, None where not recorded; the whole column is None where no sample has one.
    answers, finishes : tuple of str
        The distinct strings, in order of first appearance.
    verifier_tokens, cached_prompt_tokens, reward : ndarray of float64, shape (S,), or None
        NaN where not recorded; the whole column is None where no sample has one.
    """

    answer: NDArray[np.int32]
    correct: NDArray[np.int8]
    output_tokens: NDArray[np.float64]
    prompt_tokens: NDArray[np.float64]
    score: NDArray[np.float64]
    mean_logprob: NDArray[np.float64]
    finish: NDArray[np.int32]
    chain: NDArray[np.int32]
    step: NDArray[np.int32]
    text: NDArray[np.object_] | None = None
    step_scores: NDArray[np.object_] | None = None
    answers: tuple[str, ...]
    finishes: tuple[str, ...]
    verifier_tokens: NDArray[np.float64] | None = None
    cached_prompt_tokens: NDArray[np.float64] | None = None
    reward: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return int(self.answer.shape[0])

    def take(self, index: NDArray[np.int64]) -> SampleColumns:
        """Return the samples at `index`, with string tables reduced to what is left."""
        answer, answers = recode(self.answer[index], self.answers)
        finish, finishes = recode(self.finish[index], self.finishes)
        known = {name: getattr(self, name) for name in _ALL_KINDS}
        taken = {name: column[index] for name, column in known.items() if column is not None}
        taken |= {name: column_or_none(taken[name]) for name in OPTIONAL_COLUMNS if name in taken}
        return SampleColumns(answer=answer, finish=finish, answers=answers, finishes=finishes, **taken)

    @classmethod
    def concatenate(cls, parts: Sequence[SampleColumns]) -> SampleColumns:
        """Join columns end to end."""
        answer, answers = _join_codes([(part.answer, part.answers) for part in parts])
        finish, finishes = _join_codes([(part.finish, part.finishes) for part in parts])
        joined: dict[str, Any] = {}
        for name in _ALL_KINDS:
            columns = [getattr(part, name) for part in parts]
            known = next((column for column in columns if column is not None), None)
            joined[name] = known
            if known is not None:
                missing = None if known.dtype == object else np.nan
                joined[name] = np.concatenate(
                    [
                        np.full(len(part), missing, dtype=known.dtype) if column is None else column
                        for part, column in zip(parts, columns, strict=True)
                    ]
                )
        return cls(answer=answer, finish=finish, answers=answers, finishes=finishes, **joined)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LineColumns:
    """One entry per line (L lines).

    Parameters
    ----------
    prompt, generator, strategy : ndarray of int32, shape (L,)
        Indices into the log's prompts, generators and strategies.
    prompt_tokens : ndarray of float64, shape (L,)
        NaN where not recorded.
    n, n_correct : ndarray of int64, shape (L,)
        Of counts-only lines; -1 for lines with samples.
    offsets : ndarray of int64, shape (L + 1,)
        Samples of line ``i`` are ``offsets[i]:offsets[i + 1]``.
    meta : tuple of (dict or None), length L
        Free data of each line.
    """

    prompt: NDArray[np.int32]
    generator: NDArray[np.int32]
    strategy: NDArray[np.int32]
    prompt_tokens: NDArray[np.float64]
    n: NDArray[np.int64]
    n_correct: NDArray[np.int64]
    offsets: NDArray[np.int64]
    meta: tuple[dict[str, object] | None, ...]

    def __len__(self) -> int:
        return int(self.prompt.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LogColumns:
    """All lines of a log.

    Parameters
    ----------
    prompts : tuple of Prompt
        In order of first appearance.
    generators : tuple of str
        Names, in the order of the header.
    strategies : tuple of StrategyKey
        In order of first appearance.
    lines : LineColumns
    samples : SampleColumns
    """

    prompts: tuple[Prompt, ...]
    generators: tuple[str, ...]
    strategies: tuple[StrategyKey, ...]
    lines: LineColumns
    samples: SampleColumns

    def __post_init__(self) -> None:
        freeze(self.lines)
        freeze(self.samples)

    def take(self, lines: NDArray[np.int64], *, generators: Sequence[str] | None = None) -> LogColumns:
        """Return the lines at `lines`, in that order, with prompts and tables reduced to what is left.

        Parameters
        ----------
        lines : ndarray of int64
            Line numbers, counted from 0.
        generators : sequence of str, optional
            New list of generators; it must have every generator that the lines use. By default unchanged.
        """
        old = self.lines
        starts, stops = old.offsets[lines], old.offsets[lines + 1]
        sizes = stops - starts
        prompt, prompts = recode(old.prompt[lines], self.prompts)
        strategy, strategies = recode(old.strategy[lines], self.strategies)
        generator = old.generator[lines]
        if generators is not None:
            position = {name: place for place, name in enumerate(generators)}
            renumber = np.array([position.get(name, -1) for name in self.generators], dtype=np.int32)
            generator = renumber[generator]
        return LogColumns(
            prompts=prompts,
            generators=self.generators if generators is None else tuple(generators),
            strategies=strategies,
            lines=LineColumns(
                prompt=prompt,
                generator=generator,
                strategy=strategy,
                prompt_tokens=old.prompt_tokens[lines],
                n=old.n[lines],
                n_correct=old.n_correct[lines],
                offsets=offsets_of(sizes),
                meta=tuple(old.meta[line] for line in lines.tolist()),
            ),
            samples=self.samples.take(places(starts, sizes)),
        )

    def _blocks(self) -> Iterable[bytes]:
        for prompt in self.prompts:
            yield canonical_json(
                [prompt.id, prompt.text, [dict(m) for m in prompt.messages], prompt.group, prompt.gold]
            ).encode()
        yield canonical_json([self.strategies, self.lines.meta]).encode()
        for table in (self.lines, self.samples):
            for field in fields(table):
                if field.name == "meta":
                    continue
                column = getattr(table, field.name)
                if field.name in _LATER_COLUMNS and column is None:
                    continue  # logs that do not record it keep the digest that they had before there was one
                yield field.name.encode()
                if isinstance(column, np.ndarray) and column.dtype != object:
                    yield np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).tobytes()
                else:
                    yield canonical_json(
                        column.tolist() if isinstance(column, np.ndarray) else column
                    ).encode()

    def digest(self, header: object) -> str:
        """Return the SHA-256 of `header` and the content, as hexadecimal digits."""
        state = sha256(canonical_json(header).encode())
        for block in self._blocks():
            state.update(len(block).to_bytes(8, "little"))
            state.update(block)
        return state.hexdigest()


def freeze(table: _Table) -> _Table:
    """Make the arrays of a dataclass read-only, since a log hands out the same ones again."""
    for field in fields(table):
        column = getattr(table, field.name)
        if isinstance(column, np.ndarray):
            column.setflags(write=False)
    return table


def recode(codes: NDArray[np.int32], table: Sequence[Any]) -> tuple[NDArray[np.int32], tuple[Any, ...]]:
    """Renumber `codes` in order of first appearance and drop table entries that are not used.

    Parameters
    ----------
    codes : ndarray of int32
        Indices into `table`; -1 stays.
    table : sequence

    Examples
    --------
    >>> codes, table = recode(np.array([2, -1, 0, 2], dtype=np.int32), ("a", "b", "c"))
    >>> codes.tolist(), table
    ([0, -1, 1, 0], ('c', 'a'))
    """
    size = len(table)
    never = codes.shape[0]
    first = np.full(size + 1, never, dtype=np.int64)  # the last slot takes the -1
    # Written backwards, so that the earliest position of each code is the one that stays.
    first[codes[::-1]] = np.arange(never - 1, -1, -1)
    order = np.argsort(first[:size], kind="stable")
    order = order[first[order] < never]
    renumber = np.full(size + 1, -1, dtype=np.int32)
    renumber[order] = np.arange(order.shape[0], dtype=np.int32)
    return renumber[codes], tuple(table[code] for code in order.tolist())


def _join_codes(parts: Sequence[tuple[NDArray[np.int32], tuple[str, ...]]]) -> tuple[Any, tuple[str, ...]]:
    """Concatenate coded columns under one table, in order of first appearance."""
    table: dict[str, int] = {}
    joined = []
    for codes, strings in parts:
        renumber = np.array(
            [table.setdefault(string, len(table)) for string in strings] + [-1], dtype=np.int32
        )
        joined.append(renumber[codes])
    return np.concatenate(joined), tuple(table)


def column_or_none(column: NDArray[Any]) -> NDArray[Any] | None:
    """Return a column of objects or numbers, or None where it holds nothing but None or NaN.

    Examples
    --------
    >>> column_or_none(np.array([None, None], dtype=object)) is column_or_none(np.array([np.nan])) is None
    True
    """
    if column.dtype == object:
        values = column.tolist()
        return column if values.count(None) < len(values) else None
    return None if bool(np.isnan(column).all()) else column
