"""Damage bytes in the ways in which files get damaged, and in some in which an attacker would; seeded."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Final

import numpy as np

_VALUES: Final = [
    *(b"null", b"true", b"-1", b"0", b"1e999", b"-0.0", b"NaN", b'""', b'"\\ud800"', b"[]", b"{}", b"[[]]"),
    *(b'["42"]', b'{"a": 1}', b"1" + b"0" * 400, b"9007199254740993", b"1e-400", b"1000000", b'"\xff\xfe"'),
    b"[" * 3000 + b"]" * 3000,
]
_PIECES: Final = [
    b"\xef\xbb\xbf",
    b"\x00",
    b"\r\n",
    b"\n\n",
    b"\xe9",
    b"\x85",
    "\u2028".encode(),
    b",",
    b'"',
    b"}",
]
_VALUE: Final = re.compile(rb'(?<=:)\s*(?:"[^"\n]*"|-?[\d.e+]+|true|false|null|\[[^\[\]\n]*\])')


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with one to three faults."""
    for _ in range(int(rng.integers(1, 4))):
        content = _FAULTS[int(rng.integers(len(_FAULTS)))](content, rng)
    return content


def _replace_value(content: bytes, rng: np.random.Generator) -> bytes:
    found = list(_VALUE.finditer(content))
    if not found:
        return content
    one = found[int(rng.integers(len(found)))]
    return content[: one.start()] + _VALUES[int(rng.integers(len(_VALUES)))] + content[one.end() :]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.choice([0, int(rng.integers(len(content) + 1))]))
    return content[:place] + _PIECES[int(rng.integers(len(_PIECES)))] + content[place:]


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _change(content: bytes, rng: np.random.Generator) -> bytes:
    if not content:
        return content
    place = int(rng.integers(len(content)))
    return content[:place] + bytes([int(rng.integers(256))]) + content[place + 1 :]


def _drop(content: bytes, rng: np.random.Generator) -> bytes:
    start, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 40))
    return content[:start] + content[start + size :]


def _swap_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[place] for place in rng.integers(len(lines), size=len(lines)).tolist())


def _encode(content: bytes, rng: np.random.Generator) -> bytes:
    text = content.decode(errors="replace")
    encoding = ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"][int(rng.integers(5))]
    return text.encode(encoding, errors="replace")


def _pack(content: bytes, rng: np.random.Generator) -> bytes:
    packed = gzip.compress(content, compresslevel=1)
    return packed if rng.random() < 0.3 else _change(packed, rng)


_FAULTS: Final[list[Callable[[bytes, np.random.Generator], bytes]]] = [
    *[_replace_value] * 6,
    *(_insert, _cut, _change, _change, _drop, _swap_lines, _encode, _pack),
]
