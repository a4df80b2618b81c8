"""The wire form of a sample log: what one header and one line may hold, and how a mistake in them is named.

It assumes UTF-8 JSON, format version 1; unknown fields are refused everywhere except in ``about`` and
``meta``, and null means absent. Files, checks across lines, and the columns that lines end up in are left to
the other modules of `difficulty.log`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.files.lines import not_utf8
from difficulty.generator import Generator, generator_of

FORMAT_VERSION: Final = 1
MAX_COUNT: Final = 2**53  # the largest integer that a float64 column keeps exactly
MAX_SAMPLES: Final = (
    1_000_000  # of a counts-only line, which pools spread out: a typing error must not eat memory
)

IMPORT_IT: Final = "a table or another tool's log becomes one with `planner import FILE`"

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_Drawn: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_SAMPLES)]
_Index: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
ParameterScalar: TypeAlias = str | int | float | bool


class SampleWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One sample of a line, or one complete run where the line names a search strategy."""

    answer: str | None = None
    correct: bool | None = None
    output_tokens: _Count | None = None
    prompt_tokens: _Count | None = None
    score: float | None = None
    mean_logprob: float | None = None
    finish: str | None = None
    text: str | None = None
    chain: _Index | None = None
    step: _Index | None = None
    step_scores: tuple[float, ...] | None = None
    verifier_tokens: _Count | None = None
    cached_prompt_tokens: _Count | None = None
    reward: float | None = None


class LineWire(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line: the samples (or the counts) of one generator for one prompt."""

    prompt_id: str
    generator: str
    prompt: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    group: str | None = None
    gold: str | None = None
    prompt_tokens: _Count | None = None
    strategy: str | None = None
    params: dict[str, ParameterScalar] | None = None
    meta: dict[str, Any] | None = None
    n: _Drawn | None = None
    n_correct: _Drawn | None = None
    samples: list[SampleWire] | None = None


class HeaderWire(msgspec.Struct, forbid_unknown_fields=True):
    """The first line of a log."""

    sample_log: int
    generators: dict[str, dict[str, Any]]
    about: dict[str, Any] = {}


_LINE_DECODER: Final = msgspec.json.Decoder(LineWire)
_HEADER_DECODER: Final = msgspec.json.Decoder(HeaderWire)
_FIELDS: Final[dict[type[msgspec.Struct], str]] = {
    kind: ", ".join(kind.__struct_fields__) for kind in (SampleWire, LineWire, HeaderWire)
}


def decode_header(data: bytes | str) -> tuple[dict[str, Generator], dict[str, object]]:
    """Read a header: the generators by name, and the free ``about`` object.

    Raises
    ------
    InvalidLogError
        When `data` is not a header of format version 1, or a generator in it is not valid.

    Examples
    --------
    >>> generators, about = decode_header('{"sample_log": 1, "generators": {"tiny": {"params": 1e6}}}')
    >>> generators["tiny"].params
    1000000.0
    """
    try:
        first = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise InvalidLogError(_not_utf8(error), line=1) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidLogError(
            "not a sample log: the first line is not JSON, and must be the header "
            f'{{"sample_log": 1, "generators": {{...}}}}; {IMPORT_IT}',
            line=1,
        ) from error
    if not isinstance(first, dict) or "sample_log" not in first:
        raise InvalidLogError(
            'the header is missing: the first line must be {"sample_log": 1, "generators": {...}}; '
            + IMPORT_IT,
            line=1,
        )
    if first["sample_log"] != FORMAT_VERSION or isinstance(first["sample_log"], bool):
        raise InvalidLogError(
            f"format version must be {FORMAT_VERSION}, got {first['sample_log']!r}; a newer release of "
            "ttc-planner may read it",
            line=1,
        )
    try:
        header = _HEADER_DECODER.decode(data)
        generators = {name: generator_of(name, record) for name, record in header.generators.items()}
    except msgspec.ValidationError as error:
        raise InvalidLogError(_explain(error, HeaderWire), line=1) from error
    except InvalidInputError as error:
        raise InvalidLogError(str(error), line=1) from error
    return generators, header.about


def decode_line(data: bytes) -> LineWire:
    """Read one line after the header, and check what can be checked without other lines.

    Raises
    ------
    InvalidLogError
        When it is not JSON, has an unknown or ill-typed field, or its fields contradict one another.

    Examples
    --------
    >>> decode_line(b'{"prompt_id": "a", "generator": "tiny", "n": 10, "n_correct": 3}').n_correct
    3
    """
    try:
        decoded = _LINE_DECODER.decode(data)
    except msgspec.ValidationError as error:
        kind = SampleWire if "$.samples" in str(error) else LineWire
        raise InvalidLogError(_explain(error, kind)) from error
    except UnicodeDecodeError as error:
        raise InvalidLogError(_not_utf8(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidLogError(
            f"broken JSON: {error}; NaN and Infinity are not JSON, write null where a number is unknown",
        ) from error
    reason = contradiction(decoded)
    if reason is not None:
        raise InvalidLogError(reason)
    return decoded


def encode_record(record: Mapping[str, object]) -> bytes:
    """Encode a line given as a mapping; NumPy scalars and arrays are allowed, NaN is not.

    Raises
    ------
    InvalidLogError
        When the record cannot be written as JSON.

    Examples
    --------
    >>> encode_record({"score": np.float64(0.5)})
    b'{"score": 0.5}'
    """
    try:
        return json.dumps(record, allow_nan=False, ensure_ascii=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidLogError(
            f"the record cannot be written as JSON: {error}; use None where a number is unknown"
        ) from error


def canonical_json(value: object) -> str:
    """Encode a JSON-able value with sorted keys, so that equal values have equal text."""
    return msgspec.json.encode(value, order="deterministic").decode()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _not_utf8(error: UnicodeDecodeError) -> str:
    return not_utf8(error.object[error.start])


def _explain(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """Turn the decoder's message into one that names the field and the allowed ones."""
    message = str(error)
    unknown = re.search(r"unknown field `(.*?)`", message)
    if unknown:
        return (
            f"unknown field {unknown.group(1)!r}; allowed here: {_FIELDS[kind]} (free data goes into 'meta')"
        )
    return message.replace(" - at `$", " at `$").replace("`", "'")


def contradiction(line: LineWire) -> str | None:
    """Return what is wrong between the fields of one line, or None."""
    if not line.prompt_id:
        return "prompt_id is empty; every prompt needs an id"
    if line.prompt is not None and not line.prompt.strip():
        return "the prompt is blank; give its text, or null where it is not recorded"
    if line.group is not None and not line.group:
        return "group is empty; leave it out where a prompt has no near-duplicates"
    if line.samples is None:
        if line.n is None or line.n_correct is None:
            return "the line has neither 'samples' nor both 'n' and 'n_correct'"
        if line.n < 1:
            return "n must be at least 1, got 0; leave the line out where nothing was sampled"
        if line.n_correct > line.n:
            return f"n_correct must be at most n = {line.n}, got {line.n_correct}"
    else:
        if line.n is not None or line.n_correct is not None:
            return "the line has 'samples' and counts ('n', 'n_correct'); keep one of them"
        if not line.samples:
            return "samples is empty; leave the line out where nothing was sampled"
        if len(line.samples) > MAX_SAMPLES:
            return (
                f"the line has {len(line.samples):,} samples, more than {MAX_SAMPLES:,}; give counts instead"
            )
    if line.strategy is None and line.params is not None:
        return "params without strategy; name the strategy that they belong to"
    if line.strategy is not None and not line.strategy:
        return "strategy is empty; leave it out for independent samples"
    return None
