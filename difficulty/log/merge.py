"""Join several logs end to end, with the checks that one file gets.

Generators and prompts of one name must be the same, and lines may not repeat one another. Reading files is
left to `difficulty.log.formats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from difficulty.arithmetic.ragged import offsets_of
from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import LineColumns, LogColumns, SampleColumns, StrategyKey
from difficulty.log.line_table import PromptRow, PromptTable, agreed_tokens
from difficulty.log.lines import generator_record

_LEFT_OUT: Final = "duplicates_left_out"


def merge_generators(parts: Sequence[Mapping[str, Generator]]) -> dict[str, Generator]:
    """Return the generators of all parts by name.

    Raises
    ------
    InvalidLogError
        When one has other settings in another part.
    """
    generators: dict[str, Generator] = {}
    for part in parts:
        for name, generator in part.items():
            if generators.setdefault(name, generator) != generator:
                raise InvalidLogError(
                    f"generator {name!r} has different settings in the logs: "
                    f"{generator_record(generators[name])} and {generator_record(generator)}; "
                    "rename one of them"
                )
    return generators


def merge_about(parts: Sequence[Mapping[str, object]], n_left_out: int) -> dict[str, object]:
    """Return what is said of all parts together, with how many repeated lines were set aside.

    Examples
    --------
    >>> merge_about([{"source": "x"}, {"source": "x", "licence": "MIT"}], 0)
    {'merged': [{'source': 'x'}, {'source': 'x', 'licence': 'MIT'}]}
    """
    first, *others = [dict(part) for part in parts]
    about = {"merged": [first, *others]} if any(other != first for other in others) else first
    return left_out(about, n_left_out, of=parts)


def merge_columns(
    parts: Sequence[LogColumns], generators: tuple[str, ...], *, keep_first: bool = False
) -> tuple[LogColumns, int]:
    """Join columns end to end.

    Parameters
    ----------
    parts : sequence of LogColumns
    generators : tuple of str
        All names of generators, in the order that the result shall have.
    keep_first : bool
        Leave out lines that an earlier part has too, instead of refusing them.

    Returns
    -------
    columns : LogColumns
    n_left_out : int
        Lines left out.

    Raises
    ------
    InvalidLogError
        When a prompt_id stands for different prompts, or a prompt × generator × strategy is recorded twice.
    """
    place = {name: index for index, name in enumerate(generators)}
    table = PromptTable()
    strategies: dict[StrategyKey, int] = {}
    prompt, generator, strategy = [], [], []
    for part in parts:
        prompts = [table.add(prompt.id, PromptRow.of(prompt)) for prompt in part.prompts]
        prompt.append(np.array(prompts, dtype=np.int32)[part.lines.prompt])
        names = np.array([place[name] for name in part.generators], dtype=np.int32)
        generator.append(names[part.lines.generator])
        keys = [strategies.setdefault(key, len(strategies)) for key in part.strategies]
        strategy.append(np.array(keys, dtype=np.int32)[part.lines.strategy])
    lines = [part.lines for part in parts]
    sizes = np.concatenate([np.diff(part.offsets) for part in lines])
    prompt_tokens = np.concatenate([part.prompt_tokens for part in lines])
    joined = LineColumns(
        prompt=np.concatenate(prompt),
        generator=np.concatenate(generator),
        strategy=np.concatenate(strategy),
        prompt_tokens=prompt_tokens,
        n=np.concatenate([part.n for part in lines]),
        n_correct=np.concatenate([part.n_correct for part in lines]),
        offsets=offsets_of(sizes),
        meta=tuple(meta for part in lines for meta in part.meta),
    )
    columns = LogColumns(
        prompts=table.prompts(agreed_tokens(joined.prompt, prompt_tokens)),
        generators=generators,
        strategies=tuple(strategies),
        lines=joined,
        samples=SampleColumns.concatenate([part.samples for part in parts]),
    )
    return _without_repeats(columns, keep_first=keep_first)


def left_out(
    about: Mapping[str, object], n_more: int, *, of: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return what is said about a log, with how many repeated lines were set aside.

    Parameters
    ----------
    about : mapping
        What is said without that number.
    n_more : int
        Lines set aside now.
    of : sequence of mapping
        What the parts say, earlier numbers included.

    Examples
    --------
    >>> left_out({"source": "x"}, 2, of=[{"duplicates_left_out": 1}, {}])
    {'source': 'x', 'duplicates_left_out': 3}
    """
    before = [part.get(_LEFT_OUT, 0) for part in of]
    total = n_more + sum(number for number in before if isinstance(number, int))
    return {**about, _LEFT_OUT: total} if total else dict(about)


def _without_repeats(columns: LogColumns, *, keep_first: bool) -> tuple[LogColumns, int]:
    """Refuse lines that repeat an earlier one, or leave them out and count them."""
    lines = columns.lines
    key = lines.prompt.astype(np.int64) * len(columns.generators) + lines.generator
    key = key * len(columns.strategies) + lines.strategy
    unique, places, counts = np.unique(key, return_index=True, return_counts=True)
    repeated = unique[counts > 1]
    if repeated.size and keep_first:
        return columns.take(np.sort(places)), len(key) - len(unique)
    if repeated.size:
        first = int(repeated[0])
        rest, strategy = divmod(first, len(columns.strategies))
        prompt, generator = divmod(rest, len(columns.generators))
        name, params = columns.strategies[strategy]
        kind = "independent samples" if name is None else f"{name} {params}"
        raise InvalidLogError(
            f"duplicate: prompt {columns.prompts[prompt].id!r} x generator {columns.generators[generator]!r} "
            f"({kind}) is in two of the logs ({repeated.size} such pairs in all); keep it in one of them, or "
            "read with on_duplicate='first' (--on-duplicate first) to keep the first line of each"
        )
    return columns, 0
