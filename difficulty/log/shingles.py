"""Read texts as sets of hashed runs of three words, many texts at once, in one spelling.

Case, spaces and punctuation do not count; numbers and the signs of mathematics do. Hashes are equal in
every process and on every platform, so that they can be kept in a file. What counts as nearly the same text
is left to `difficulty.log.near_duplicates` and `difficulty.log.known_texts`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of, places

_RUN: Final = 3
_MOST_WORDS: Final = 20_000
# Texts that are cut into words at a time: their words are Python objects.
_CHUNK: Final = 4_000

# Languages without spaces are cut into characters. What ends sentences or marks speech is no token.
_TOKEN: Final = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
    r"|[^\w\s.,;:?\"`¡¿«»“”„‟。、「」『』《》،؛؟।]|_"
)
# After a word it ends a sentence; "5!", "n!" and "a != b" are mathematics.
_EXCLAIMED: Final = re.compile(r"!(?:(?<=[^\W\d_]{2}!)|(?<=[^\W\d_]{2}[\"”»?]!))[!?]*(?!=)")
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


class Ragged(NamedTuple):
    """Rows of hashes: row i is ``values[offsets[i]:offsets[i + 1]]``, ascending and without repeats.

    Parameters
    ----------
    offsets : ndarray of int64, shape (T + 1,)
    values : ndarray of uint64, shape (V,)
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.uint64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Length of each row."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> NDArray[np.int64]:
        """Row of each value."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.sizes)

    def keep(self, kept: NDArray[np.bool_]) -> Ragged:
        """Return the rows with only the values that are marked."""
        sizes = np.bincount(self.owner[kept], minlength=len(self.offsets) - 1)
        return Ragged(offsets_of(sizes), self.values[kept])

    def first(self, most: int) -> Ragged:
        """Return the least `most` values of each row."""
        place = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.sizes)
        return self.keep(place < most)

    def take(self, rows: NDArray[np.intp]) -> Ragged:
        """Return some rows."""
        sizes = self.sizes[rows]
        return Ragged(offsets_of(sizes), self.values[places(self.offsets[:-1][rows], sizes)])


class Shingles(NamedTuple):
    """T texts as hashes.

    Parameters
    ----------
    content : ndarray of uint64, shape (T,)
        Equal where texts are equal but for case, spaces and punctuation; 0 where there is no word at all.
    runs : Ragged
        Runs of three words with at most one number among them.
    numbers : Ragged
        Runs of three words that are mostly numbers.
    """

    content: NDArray[np.uint64]
    runs: Ragged
    numbers: Ragged

    def take(self, rows: NDArray[np.intp]) -> Shingles:
        """Return some texts."""
        return Shingles(self.content[rows], self.runs.take(rows), self.numbers.take(rows))


def shingles(contents: Sequence[str | None]) -> Shingles:
    """Read T texts; one that is missing has no runs.

    Examples
    --------
    >>> read = shingles(["Why is the sky blue?", "why is  the SKY blue", "7 times 8 is 56 or 57?", None])
    >>> bool(read.content[0] == read.content[1]), read.runs.sizes.tolist(), read.numbers.sizes.tolist()
    (True, [3, 3, 2, 0], [0, 0, 3, 0])
    """
    content: list[int] = []
    parts = [_hashed(words) for words in _in_chunks(contents, content)]
    return Shingles(
        np.array(content, dtype=np.uint64),
        _joined([runs for runs, _ in parts]),
        _joined([numbers for _, numbers in parts]),
    )


def n_shared(one: Ragged, two: Ragged) -> NDArray[np.int64]:
    """Count the values that row i of both has in common; shape (T,)."""
    owner = np.concatenate([one.owner, two.owner])
    values = np.concatenate([one.values, two.values])
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    twice = (values[1:] == values[:-1]) & (owner[1:] == owner[:-1])
    return np.bincount(owner[1:][twice], minlength=len(one.offsets) - 1)


class _Words(NamedTuple):
    """Words of some texts, one after the other, without signs."""

    hashes: NDArray[np.uint64]
    is_number: NDArray[np.bool_]
    sizes: NDArray[np.int64]


def _in_chunks(contents: Sequence[str | None], content: list[int]) -> Iterator[_Words]:
    """Yield the words of texts, and append the hash of each whole text to `content`."""
    vocabulary: dict[str, int] = {}
    hashes: list[int] = []
    for start in range(0, len(contents), _CHUNK):
        codes: list[int] = []
        sizes = []
        for text in contents[start : start + _CHUNK]:
            words = _TOKEN.findall(_folded(text or ""))
            content.append(_hash("\0".join(words)) if words else 0)
            plain = [word for word in words[:_MOST_WORDS] if word[0].isalnum()]
            for word in plain:
                if word not in vocabulary:
                    vocabulary[word] = len(hashes)
                    # The last bit tells numbers.
                    hashes.append(_hash(word) & ~1 | word[0].isdigit())
            codes += [vocabulary[word] for word in plain]
            sizes.append(len(plain))
        found = np.array(hashes, dtype=np.uint64)[np.array(codes, dtype=np.int64)]
        yield _Words(found, (found & np.uint64(1)).astype(bool), np.array(sizes, dtype=np.int64))


def _folded(text: str) -> str:
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = folded.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _EXCLAIMED.sub(" ", folded) if "!" in folded else folded


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _hashed(words: _Words) -> tuple[Ragged, Ragged]:
    """Return the runs of each text, and those that are mostly numbers."""
    n_texts = len(words.sizes)
    owner = np.repeat(np.arange(n_texts), words.sizes)
    n_runs = max(len(owner) - _RUN + 1, 0)
    run = np.zeros(n_runs, dtype=np.uint64)
    n_numbers = np.zeros(n_runs, dtype=np.int64)
    for step in range(_RUN):
        run = _mix(run * _ODD + words.hashes[step : step + n_runs])
        n_numbers += words.is_number[step : step + n_runs]
    whole = owner[:n_runs] == owner[_RUN - 1 :]
    mostly = n_numbers > 1
    return (
        _distinct(owner[:n_runs], run, whole & ~mostly, n_texts),
        _distinct(owner[:n_runs], run, whole & mostly, n_texts),
    )


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread 64 bits evenly (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _distinct(
    owner: NDArray[np.int64], values: NDArray[np.uint64], kept: NDArray[np.bool_], n_rows: int
) -> Ragged:
    owner, values = owner[kept], values[kept]
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    new = np.ones(len(values), dtype=bool)
    new[1:] = (values[1:] != values[:-1]) | (owner[1:] != owner[:-1])
    return Ragged(offsets_of(np.bincount(owner[new], minlength=n_rows)), values[new])


def _joined(parts: Sequence[Ragged]) -> Ragged:
    sizes = [part.sizes for part in parts]
    return Ragged(
        offsets_of(np.concatenate(sizes) if sizes else np.zeros(0, dtype=np.int64)),
        np.concatenate([part.values for part in parts]) if parts else np.zeros(0, dtype=np.uint64),
    )
