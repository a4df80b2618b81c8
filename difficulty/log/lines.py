"""Turn columns back into lines and samples, for writing a log and for looking at one.

It assumes columns as `difficulty.log.builder` makes them, and leaves out what is not recorded: null and
absent are one thing in a log. Files are left to `difficulty.log.formats.jsonl` and
`difficulty.log.formats.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.generator import Generator
from difficulty.log.columns import LogColumns
from difficulty.log.wire import FORMAT_VERSION, LineWire, SampleWire


def generator_record(generator: Generator) -> dict[str, object]:
    """Return what a header says about a generator: all fields that are known, without the name.

    Examples
    --------
    >>> generator_record(Generator(name="tiny", temperature=0.8))
    {'temperature': 0.8}
    """
    values = {field.name: getattr(generator, field.name) for field in fields(generator)}
    return {name: value for name, value in values.items() if name != "name" and value is not None}


def encode_header(generators: Mapping[str, Generator], about: Mapping[str, object]) -> bytes:
    """Return the header as one line of JSON."""
    header: dict[str, object] = {"sample_log": FORMAT_VERSION}
    if about:
        header["about"] = dict(about)
    header["generators"] = {name: generator_record(generator) for name, generator in generators.items()}
    return msgspec.json.encode(header)


def lines_of(columns: LogColumns) -> Iterator[LineWire]:
    """Yield each line with its samples."""
    lines = columns.lines
    params = [msgspec.json.decode(text) or None for _, text in columns.strategies]
    tokens = _optional_ints(lines.prompt_tokens)
    for place in range(len(lines)):
        prompt = columns.prompts[lines.prompt[place]]
        strategy = int(lines.strategy[place])
        counted = bool(lines.n[place] >= 0)
        yield LineWire(
            prompt_id=prompt.id,
            generator=columns.generators[lines.generator[place]],
            prompt=prompt.text,
            messages=tuple(dict(message) for message in prompt.messages) or None,
            group=None if prompt.group == prompt.id else prompt.group,
            gold=prompt.gold,
            prompt_tokens=tokens[place],
            strategy=columns.strategies[strategy][0],
            params=params[strategy],
            meta=lines.meta[place],
            n=int(lines.n[place]) if counted else None,
            n_correct=int(lines.n_correct[place]) if counted else None,
            samples=None if counted else samples_of(columns, place),
        )


def samples_of(columns: LogColumns, line: int) -> list[SampleWire]:
    """Return the samples of one line, counted from 0, as objects."""
    table = columns.samples
    start, stop = columns.lines.offsets[line : line + 2].tolist()
    here = slice(start, stop)
    answers, finishes = table.answers, table.finishes
    nothing: list[Any] = [None] * (stop - start)
    # In the order of the fields of SampleWire, which is how the constructor takes them.
    values = zip(
        [None if code < 0 else answers[code] for code in table.answer[here].tolist()],
        [None if correct < 0 else correct == 1 for correct in table.correct[here].tolist()],
        _optional_ints(table.output_tokens[here]),
        _optional_ints(table.prompt_tokens[here]),
        _optional_floats(table.score[here]),
        _optional_floats(table.mean_logprob[here]),
        [None if code < 0 else finishes[code] for code in table.finish[here].tolist()],
        nothing if table.text is None else table.text[here].tolist(),
        [None if chain < 0 else chain for chain in table.chain[here].tolist()],
        [None if step < 0 else step for step in table.step[here].tolist()],
        nothing if table.step_scores is None else table.step_scores[here].tolist(),
        nothing if table.verifier_tokens is None else _optional_ints(table.verifier_tokens[here]),
        nothing if table.cached_prompt_tokens is None else _optional_ints(table.cached_prompt_tokens[here]),
        nothing if table.reward is None else _optional_floats(table.reward[here]),
        strict=True,
    )
    return [SampleWire(*fields_of_one) for fields_of_one in values]


def _optional_ints(values: NDArray[np.float64]) -> list[int | None]:
    return [None if value != value else int(value) for value in values.tolist()]


def _optional_floats(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
