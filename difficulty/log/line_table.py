"""Collect the lines of a log but their samples, and refuse those that contradict earlier ones.

It assumes lines that passed `difficulty.log.wire.decode_line` (or the same checks on Arrow columns). It finds
unknown generators, repeated lines and prompts that contradict themselves; samples are left to
`difficulty.log.builder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of
from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import LineColumns, LogColumns, SampleColumns, StrategyKey
from difficulty.log.wire import LineWire, canonical_json
from difficulty.prompt import Prompt


class PromptRow(NamedTuple):
    """What lines say of a prompt; None where one leaves it out."""

    text: str | None
    messages: tuple[dict[str, Any], ...] | None
    group: str | None
    gold: str | None

    @classmethod
    def of(cls, prompt: Prompt) -> PromptRow:
        """Return what a line would say of a prompt."""
        messages = tuple(dict(message) for message in prompt.messages) or None
        return cls(prompt.text, messages, None if prompt.group == prompt.id else prompt.group, prompt.gold)


class PromptTable:
    """Prompts by id; later lines may add what earlier ones left out, and may not contradict them."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._rows: list[PromptRow] = []

    def add(self, prompt_id: str, new: PromptRow) -> int:
        """Return the index of the prompt, or raise `InvalidLogError` where it contradicts an earlier line."""
        rows = self._rows
        index = self._index.setdefault(prompt_id, len(rows))
        if index == len(rows):
            rows.append(new)
        elif rows[index] != new:
            agreed: Any = map(partial(_agreed, prompt_id), new._fields, rows[index], new)
            rows[index] = PromptRow(*agreed)
        return index

    def prompts(self, prompt_tokens: Sequence[int | None]) -> tuple[Prompt, ...]:
        """Return all prompts in order of first appearance."""
        told = zip(self._index, self._rows, prompt_tokens, strict=True)
        return tuple(
            Prompt(
                id=prompt_id,
                text=text,
                messages=messages or (),
                group=group or "",
                gold=gold,
                prompt_tokens=tokens,
            )
            for prompt_id, (text, messages, group, gold), tokens in told
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

    def __init__(self, generators: Mapping[str, Generator], *, keep_first: bool) -> None:
        self.n_left_out = 0
        self._keep_first = keep_first
        self._generators = {name: index for index, name in enumerate(generators)}
        self._prompts = PromptTable()
        self._strategies: dict[StrategyKey, int] = {}
        self._seen: dict[tuple[int, int, int], int] = {}
        self._columns: list[tuple[int, int, int, float, int, int, int]] = []
        self._meta: list[dict[str, object] | None] = []
        self.places: list[int] = []

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
        row = PromptRow(line.prompt, line.messages or None, line.group, line.gold)
        prompt = self._prompts.add(line.prompt_id, row)
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
        self.places.append(place)
        return True

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
                offsets=offsets_of(np.array(columns[6], dtype=np.int64)),
                meta=tuple(self._meta),
            ),
            samples=samples,
        )


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


def agreed_tokens(prompt: NDArray[np.int32], tokens: NDArray[np.float64]) -> list[int | None]:
    """Return each prompt's length where all lines that record one agree."""
    n_prompts = int(prompt.max()) + 1 if prompt.size else 0
    low, high = np.full(n_prompts, np.inf), np.full(n_prompts, -np.inf)
    known = ~np.isnan(tokens)
    np.minimum.at(low, prompt[known], tokens[known])
    np.maximum.at(high, prompt[known], tokens[known])
    return [int(a) if a == b else None for a, b in zip(low.tolist(), high.tolist(), strict=True)]
