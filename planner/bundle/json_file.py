"""JSON of a bundle: read into a known type, bounded in size and depth.

Decoders spend the machine's stack on nested brackets and some fifty bytes on a pair of them, so both are
counted before anything is decoded.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec
import numpy as np

from difficulty.errors import InvalidBundleError

__all__ = ["read_json"]

_Kind = TypeVar("_Kind")

_MAX_BYTES: Final = 12 << 20
_MAX_DEPTH: Final = 32
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_STEP: Final = np.zeros(256, dtype=np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1


def read_json(content: bytes, kind: type[_Kind], *, name: str) -> _Kind:
    """Decode JSON.

    Parameters
    ----------
    content : bytes
        UTF-8.
    kind : type
        What it must be.
    name : str
        The file, for the error.

    Raises
    ------
    InvalidBundleError
        When the text is too long, nested too deeply, no JSON, or of another type.

    Examples
    --------
    >>> read_json(b'{"a": [1]}', dict[str, list[int]], name="a.json")
    {'a': [1]}
    """
    if len(content) > _MAX_BYTES:
        raise InvalidBundleError(f"{name}: longer than {_MAX_BYTES:,} bytes, which no bundle needs")
    steps = _STEP[np.frombuffer(_STRING.sub(b"", content), dtype=np.uint8)]
    if np.cumsum(steps, dtype=np.int64).max(initial=0) > _MAX_DEPTH:
        raise InvalidBundleError(f"{name}: brackets are nested more than {_MAX_DEPTH} deep")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBundleError(f"{name}: {error}; it was changed or cut short") from error
