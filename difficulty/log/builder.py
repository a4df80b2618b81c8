"""Collect lines into columns, and check what only several lines together can show.

It assumes lines that passed `difficulty.log.wire.decode_line` (or the same checks on Arrow columns). It
finds unknown generators, repeated lines, prompts that contradict themselves, and broken chains; files are
left to the readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import (
    LATER_COLUMNS,
    LineColumns,
    LogColumns,
    SampleColumns,
    StrategyKey,
    column_or_none,
    known_or_none,
)
from difficulty.log.wire import LineWire, SampleWire, canonical_json
from difficulty.prompt import Prompt

__all__ = [
    "LineTable",
    "LogBuilder",
    "PromptTable",
    "agreed_tokens",
    "check_cached",
    "check_chains",
    "name_chains",
]

_BATCH: Final = 65_536  # samples held as objects before they become columns; bounds peak memory
_CORRECT: Final = {True: 1, False: 0, None: -1}


class PromptTable:
    """Prompts by id; later lines may add what earlier ones left out, and may not contradict them."""

    __slots__ = ("_index", "_rows")

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []  # text, messages, group, gold

    def add(
        self,
        prompt_id: str,
        *,
        text: str | None,
        messages: tuple[dict[str, Any], ...] | None,
        group: str | None,
        gold: str | None,
    ) -> int:
        """Return the index of the prompt, or raise `InvalidLogError` where it contradicts an earlier line."""
        rows = self._rows
        new = (text, messages, group, gold)
        index = self._index.setdefault(prompt_id, len(rows))
        if index == len(rows):
            rows.append(new)
        elif rows[index] != new:
            rows[index] = tuple(
                _agreed(prompt_id, name, old, value)
                for name, old, value in zip(
                    ("text", "messages", "group", "gold"), rows[index], new, strict=True
                )
            )
        return index

    def prompts(self, prompt_tokens: Sequence[int | None]) -> tuple[Prompt, ...]:
        """Return all prompts in order of first appearance."""
        return tuple(
            Prompt(
                id=prompt_id,
                text=text,
                messages=messages or (),
                group=group or "",
                gold=gold,
                prompt_tokens=tokens,
            )
            for (prompt_id, (text, messages, group, gold)), tokens in zip(
                zip(self._index, self._rows, strict=True), prompt_tokens, strict=True
            )
        )


def _agreed(prompt_id: str, name: str, old: object, new: object) -> object:
    if old is None or new is None or old == new:
        return new if old is None else old
    raise InvalidLogError(
        f"prompt {prompt_id!r} has another {name} here than on an earlier line; "
        "one prompt_id stands for one prompt: rename one of them"
    )


class LineTable:
    """Everything of the lines but their samples."""

    __slots__ = (
        "_columns",
        "_generators",
        "_keep_first",
        "_meta",
        "_places",
        "_prompts",
        "_seen",
        "_strategies",
        "n_left_out",
    )

    def __init__(self, generators: Mapping[str, Generator], *, keep_first: bool = False) -> None:
        self.n_left_out = 0
        self._keep_first = keep_first
        self._generators = {name: index for index, name in enumerate(generators)}
        self._prompts = PromptTable()
        self._strategies: dict[StrategyKey, int] = {}
        self._seen: dict[tuple[int, int, int], int] = {}
        self._columns: list[tuple[int, int, int, float, int, int, int]] = []
        self._meta: list[dict[str, object] | None] = []
        self._places: list[int] = []

    def add(self, line: LineWire, *, n_samples: int, place: int) -> bool:
        """Add one line whose samples are kept elsewhere; `place` is its number in the file.

        Returns
        -------
        bool
            False where the line repeats an earlier one and only the first is kept.

        Raises
        ------
        InvalidLogError
            Without path and line number, which the reader adds.
        """
        generator = self._generators.get(line.generator)
        if generator is None:
            known = ", ".join(map(repr, self._generators)) or "none"
            raise InvalidLogError(
                f"generator {line.generator!r} is not in the header (there: {known}); add it there"
            )
        prompt = self._prompts.add(
            line.prompt_id,
            text=line.prompt,
            messages=line.messages or None,
            group=line.group,
            gold=line.gold,
        )
        key = (line.strategy, canonical_json(line.params)) if line.params else (line.strategy, "{}")
        strategy = self._strategies.setdefault(key, len(self._strategies))
        first = self._seen.setdefault((prompt, generator, strategy), place)
        if first != place and self._keep_first:
            self.n_left_out += 1
            return False
        if first != place:
            kind = "independent samples" if line.strategy is None else f"{line.strategy} {key[1]}"
            raise InvalidLogError(
                f"duplicate: prompt {line.prompt_id!r} x generator {line.generator!r} ({kind}) is on line "
                f"{first} already; put all its samples on one line, rename what is another prompt, or read "
                "with on_duplicate='first' (--on-duplicate first) to keep the first line of each"
            )
        tokens = np.nan if line.prompt_tokens is None else float(line.prompt_tokens)
        n = -1 if line.n is None else line.n
        n_correct = -1 if line.n_correct is None else line.n_correct
        self._columns.append((prompt, generator, strategy, tokens, n, n_correct, n_samples))
        self._meta.append(line.meta)
        self._places.append(place)
        return True

    def place_of(self, line: int) -> int:
        """Return the number in the file of line `line`, counted from 0 in this table."""
        return self._places[line]

    def finish(self, samples: SampleColumns) -> LogColumns:
        """Join lines and samples."""
        columns: list[Sequence[Any]] = list(zip(*self._columns, strict=True)) or [()] * 7
        prompt = np.array(columns[0], dtype=np.int32)
        tokens = np.array(columns[3], dtype=np.float64)
        return LogColumns(
            prompts=self._prompts.prompts(agreed_tokens(prompt, tokens)),
            generators=tuple(self._generators),
            strategies=tuple(self._strategies),
            lines=LineColumns(
                prompt=prompt,
                generator=np.array(columns[1], dtype=np.int32),
                strategy=np.array(columns[2], dtype=np.int32),
                prompt_tokens=tokens,
                n=np.array(columns[4], dtype=np.int64),
                n_correct=np.array(columns[5], dtype=np.int64),
                offsets=np.concatenate(
                    [np.zeros(1, np.int64), np.cumsum(np.array(columns[6], dtype=np.int64))]
                ),
                meta=tuple(self._meta),
            ),
            samples=samples,
        )


class LogBuilder:
    """Turn decoded lines into columns, batch by batch."""

    __slots__ = ("_answers", "_finishes", "_line_sizes", "_n_checked", "_parts", "_path", "_samples", "lines")

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
        numeric: dict[str, Any] = {
            name: np.concatenate([part[name] for part in self._parts])
            for name in self._parts[0]
            if name not in ("text", "step_scores", *LATER_COLUMNS)
        }
        for name in ("text", "step_scores"):
            column = np.concatenate([part[name] for part in self._parts])
            numeric[name] = column_or_none(column)
        for name in LATER_COLUMNS:
            numeric[name] = known_or_none(np.concatenate([part[name] for part in self._parts]))
        samples = SampleColumns(answers=self._answers.table(), finishes=self._finishes.table(), **numeric)
        return self.lines.finish(samples)

    def _flush(self) -> None:
        part = _columnise(self._samples, self._answers, self._finishes)
        offsets = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(np.array(self._line_sizes, dtype=np.int64))]
        )
        broken = check_chains(part["chain"], part["step"], offsets) or check_cached(
            part["prompt_tokens"], part["cached_prompt_tokens"], offsets
        )
        if broken is not None:
            place = self.lines.place_of(self._n_checked + broken[0])
            raise InvalidLogError(broken[1], path=self._path, line=place)
        self._parts.append(part)
        self._n_checked += len(self._line_sizes)
        self._samples = []
        self._line_sizes = []


def name_chains(line: LineWire) -> None:
    """Give a line of revision chains its strategy, which may be left out.

    Raises
    ------
    InvalidLogError
        When the line names another strategy.
    """
    if line.strategy is None:
        line.strategy = "sequential_revision"
    elif line.strategy != "sequential_revision":
        raise InvalidLogError(
            f"'chain' and 'step' belong to strategy 'sequential_revision', got {line.strategy!r}; "
            "a run of another strategy is one sample"
        )


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
    """Turn sample objects into one array per field; one comprehension per field is the fastest way."""
    return {
        "answer": np.array([answers[s.answer] for s in samples], dtype=np.int32),
        "correct": np.array([_CORRECT[s.correct] for s in samples], dtype=np.int8),
        "output_tokens": _numbers([s.output_tokens for s in samples]),
        "prompt_tokens": _numbers([s.prompt_tokens for s in samples]),
        "score": _numbers([s.score for s in samples]),
        "mean_logprob": _numbers([s.mean_logprob for s in samples]),
        "finish": np.array([finishes[s.finish] for s in samples], dtype=np.int32),
        "chain": _indices([s.chain for s in samples]),
        "step": _indices([s.step for s in samples]),
        "text": _objects([s.text for s in samples]),
        "step_scores": _objects([s.step_scores for s in samples]),
        "verifier_tokens": _numbers([s.verifier_tokens for s in samples]),
        "cached_prompt_tokens": _numbers([s.cached_prompt_tokens for s in samples]),
        "reward": _numbers([s.reward for s in samples]),
    }


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    if values.count(None) == len(values):  # counting None is far cheaper than converting it
        return np.full(len(values), np.nan)
    return np.array(values, dtype=np.float64)


def _indices(values: list[int | None]) -> NDArray[np.int32]:
    if values.count(None) == len(values):
        return np.full(len(values), -1, dtype=np.int32)
    return np.nan_to_num(_numbers(values), nan=-1).astype(np.int32)


def check_cached(
    prompt_tokens: NDArray[np.float64], cached: NDArray[np.float64] | None, offsets: NDArray[np.int64]
) -> tuple[int, str] | None:
    """Find the first line with a sample that got more prompt tokens from a cache than it sent.

    Examples
    --------
    >>> check_cached(np.array([5.0, 5.0]), np.array([5.0, 6.0]), np.array([0, 2]))
    (0, 'cached_prompt_tokens is a part of prompt_tokens and must be at most 5, got 6')
    """
    bad = np.flatnonzero(cached > prompt_tokens) if cached is not None else np.zeros(0, np.int64)
    if not bad.size or cached is None:
        return None
    first = int(bad[0])
    return int(np.searchsorted(offsets, first, side="right")) - 1, (
        f"cached_prompt_tokens is a part of prompt_tokens and must be at most {prompt_tokens[first]:.0f}, "
        f"got {cached[first]:.0f}"
    )


def check_chains(
    chain: NDArray[np.int32], step: NDArray[np.int32], offsets: NDArray[np.int64]
) -> tuple[int, str] | None:
    """Find the first line whose chains are broken.

    Parameters
    ----------
    chain, step : ndarray of int32, shape (S,)
        -1 where absent.
    offsets : ndarray of int64, shape (L + 1,)
        Samples of each line.

    Returns
    -------
    tuple of int and str, or None
        Line, counted from 0, and what is wrong with it.

    Examples
    --------
    >>> offsets = np.array([0, 2])
    >>> check_chains(np.array([0, 0]), np.array([0, 1]), offsets) is None
    True
    >>> check_chains(np.array([0, 0]), np.array([0, 2]), offsets)[1]
    'the steps of chain 0 must be 0, 1, 2, ... without gap or repeat; got 0, 2'
    """
    in_chain = chain >= 0
    if not in_chain.any() and not (step >= 0).any():
        return None
    bad = np.flatnonzero(in_chain != (step >= 0))
    first = offsets.shape[0] if bad.size == 0 else int(np.searchsorted(offsets, bad[0], side="right")) - 1
    for line in np.unique(np.searchsorted(offsets, np.flatnonzero(in_chain), side="right") - 1).tolist():
        if line >= first:
            break
        here = slice(int(offsets[line]), int(offsets[line + 1]))
        if not in_chain[here].all():
            return (
                line,
                "some samples have 'chain' and some do not; put independent samples on their own line",
            )
        for number in np.unique(chain[here]).tolist():
            steps = np.sort(step[here][chain[here] == number])
            if not np.array_equal(steps, np.arange(steps.shape[0])):
                got = ", ".join(map(str, steps.tolist()))
                return (
                    line,
                    f"the steps of chain {number} must be 0, 1, 2, ... without gap or repeat; got {got}",
                )
    if bad.size:
        present, absent = ("chain", "step") if in_chain[bad[0]] else ("step", "chain")
        return first, f"a sample has {present!r} without {absent!r}; a revision needs both"
    return None


def agreed_tokens(prompt: NDArray[np.int32], tokens: NDArray[np.float64]) -> list[int | None]:
    """Return each prompt's length where all lines that record one agree."""
    n_prompts = int(prompt.max()) + 1 if prompt.size else 0
    low, high = np.full(n_prompts, np.inf), np.full(n_prompts, -np.inf)
    known = ~np.isnan(tokens)
    np.minimum.at(low, prompt[known], tokens[known])
    np.maximum.at(high, prompt[known], tokens[known])
    return [int(a) if a == b else None for a, b in zip(low.tolist(), high.tolist(), strict=True)]


def _objects(values: list[Any]) -> NDArray[np.object_]:
    """Return a column of objects (tuples stay one object each)."""
    column = np.empty(len(values), dtype=object)
    if values.count(None) < len(values):
        column[:] = values
    return column
