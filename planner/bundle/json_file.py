"""JSON of a bundle: read into a known type, bounded in size and depth.

Decoders spend the machine's stack on nested brackets, some sixty bytes on a pair of them and nearly as many
on a word, so all are counted before anything is decoded.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from difficulty.errors import InvalidBundleError

_Kind = TypeVar("_Kind")

MAX_JSON_BYTES: Final = 48 << 20
"""No file of a bundle has more: nine generators of 16 samples, with ablations, take 15 MB."""

_MAX_DEPTH: Final = 32
_MAX_BRACKETS: Final = 300_000
_MAX_VALUES: Final = 2_500_000
# Letters looked at a time.
_PIECE: Final = 1 << 20
_STEP: Final = np.zeros(256, dtype=np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1


def read_json(content: bytes, kind: type[_Kind], *, name: str, most: int = MAX_JSON_BYTES) -> _Kind:
    """Decode JSON.

    Parameters
    ----------
    content : bytes
        UTF-8.
    kind : type
        What it must be.
    name : str
        The file, for the error.
    most : int
        Bytes that it may have.

    Raises
    ------
    InvalidBundleError
        When the text is too long, nested too deeply, no JSON, or of another type.

    Examples
    --------
    >>> read_json(b'{"a": [1]}', dict[str, list[int]], name="a.json")
    {'a': [1]}
    """
    if len(content) > most:
        raise InvalidBundleError(f"{name}: longer than {most:,} bytes, which no bundle needs")
    counts = _count(content)
    if counts.depth > _MAX_DEPTH or counts.brackets > _MAX_BRACKETS or counts.values > _MAX_VALUES:
        raise InvalidBundleError(
            f"{name}: {counts.values:,} values in {counts.brackets:,} brackets, nested {counts.depth} deep; "
            f"no bundle has more than {_MAX_VALUES:,}, {_MAX_BRACKETS:,} and {_MAX_DEPTH}"
        )
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBundleError(f"{name}: {error}; it was changed or cut short") from error


class _Counts(NamedTuple):
    depth: int
    brackets: int
    values: int


def _count(content: bytes) -> _Counts:
    """Count how deep brackets are nested, how many open, and commas; those in texts left out."""
    # Pairs of backslashes first, so that a backslash before a quote is one that escapes it.
    plain = np.frombuffer(content.replace(b"\\\\", b"  ").replace(b'\\"', b"  "), dtype=np.uint8)
    open_text, level, depth, brackets, values = False, 0, 0, 0, 0
    for start in range(0, len(plain), _PIECE):
        letters = plain[start : start + _PIECE]
        outside = np.bitwise_xor.accumulate(letters == ord('"')) == open_text
        steps = np.where(outside, _STEP[letters], 0)
        levels = level + np.cumsum(steps, dtype=np.int64)
        open_text = not outside[-1]
        level, depth = int(levels[-1]), max(depth, int(levels.max()))
        brackets += int(np.count_nonzero(steps > 0))
        values += int(np.count_nonzero(outside & (letters == ord(","))))
    return _Counts(depth, brackets, values)
