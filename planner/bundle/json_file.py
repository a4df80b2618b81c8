"""JSON of a bundle: read into a known type, bounded in size and depth.

Decoders spend the machine's stack on nested brackets and some sixty bytes on a pair of them, so depth and
number are counted before anything is decoded.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
import numpy as np

from difficulty.errors import InvalidBundleError

__all__ = ["MAX_JSON_BYTES", "read_json"]

_Kind = TypeVar("_Kind")

MAX_JSON_BYTES: Final = 16 << 20
"""No file of a bundle has more: the rules of sixty price levels over ten generators fit."""

_MAX_DEPTH: Final = 32
_MAX_BRACKETS: Final = 300_000
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
    depth, number = _brackets(content)
    if depth > _MAX_DEPTH or number > _MAX_BRACKETS:
        raise InvalidBundleError(
            f"{name}: {number:,} brackets are nested up to {depth} deep; no bundle has more than "
            f"{_MAX_BRACKETS:,}, or deeper than {_MAX_DEPTH}"
        )
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBundleError(f"{name}: {error}; it was changed or cut short") from error


def _brackets(content: bytes) -> tuple[int, int]:
    """Return how deep brackets are nested, and how many open; those in texts left out."""
    # Pairs of backslashes first, so that a backslash before a quote is one that escapes it.
    plain = content.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    letters = np.frombuffer(plain, dtype=np.uint8)
    in_text = np.bitwise_xor.accumulate((letters == ord('"')).view(np.uint8))
    steps = np.where(in_text, 0, _STEP[letters])
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0)), int(np.count_nonzero(steps > 0))
