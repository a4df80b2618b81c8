"""Join the columns of several logs, with the checks that one file gets.

It assumes that generators of one name were compared by the caller. Prompts and repeated lines are compared
here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from difficulty.errors import InvalidLogError
from difficulty.log_builder import PromptTable, agreed_tokens
from difficulty.log_columns import LineColumns, LogColumns, SampleColumns, StrategyKey

__all__ = ["merge_columns"]


def merge_columns(parts: Sequence[LogColumns], generators: tuple[str, ...]) -> LogColumns:
    """Join columns end to end.

    Parameters
    ----------
    parts : sequence of LogColumns
    generators : tuple of str
        All names of generators, in the order that the result shall have.

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
        prompts = [
            table.add(
                item.id,
                text=item.text,
                messages=tuple(dict(message) for message in item.messages) or None,
                group=None if item.group == item.id else item.group,
                gold=item.gold,
            )
            for item in part.prompts
        ]
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
        offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]),
        meta=tuple(meta for part in lines for meta in part.meta),
    )
    columns = LogColumns(
        prompts=table.prompts(agreed_tokens(joined.prompt, prompt_tokens)),
        generators=generators,
        strategies=tuple(strategies),
        lines=joined,
        samples=SampleColumns.concatenate([part.samples for part in parts]),
    )
    _refuse_repeats(columns)
    return columns


def _refuse_repeats(columns: LogColumns) -> None:
    lines = columns.lines
    key = lines.prompt.astype(np.int64) * len(columns.generators) + lines.generator
    key = key * len(columns.strategies) + lines.strategy
    unique, counts = np.unique(key, return_counts=True)
    repeated = unique[counts > 1]
    if repeated.size:
        first = int(repeated[0])
        rest, strategy = divmod(first, len(columns.strategies))
        prompt, generator = divmod(rest, len(columns.generators))
        name, params = columns.strategies[strategy]
        kind = "independent samples" if name is None else f"{name} {params}"
        raise InvalidLogError(
            f"duplicate: prompt {columns.prompts[prompt].id!r} x generator "
            f"{columns.generators[generator]!r} ({kind}) is in two of the logs "
            f"({repeated.size} such pairs in all); keep it in one of them"
        )
