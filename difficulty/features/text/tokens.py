"""Cut many texts into tokens at once, as numpy arrays.

A token is a run of word characters (letters, digits, underscore, anything beyond ASCII) or one punctuation
mark; every token has a 64-bit hash that is equal in every process and on every platform. It assumes Unicode
text in any language and costs a few dozen array operations however many texts there are. What the tokens say
about difficulty is left to `difficulty.features.text.statistics` and `difficulty.features.text.embedding`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arithmetic.ragged import offsets_of

# Character classes; the order is used: everything from DIGIT on is a word character.
SPACE, MARK, DIGIT, LETTER = 0, 1, 2, 3
N_CODES = 129
"""Characters that are told apart in counts: ASCII, and one for everything beyond it."""
# Characters beyond this position in a token share one weight, so only their order is lost.
_MAX_POSITION = 63
# Texts are worked on in pieces of this many characters: about 100 bytes per character stay near the cache.
_CHUNK_CHARACTERS = 250_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTokens:
    """Characters and tokens of P texts, one after the other, each text followed by one newline.

    Parameters
    ----------
    codes : numpy.ndarray, shape (C,), uint16
        Lower-case code of each character, modulo 65536.
    classes : numpy.ndarray, shape (C,), uint8
        0 white space, 1 punctuation mark, 2 digit, 3 letter.
    offsets : numpy.ndarray, shape (P + 1,), int64
        Where each text begins in `codes`; the last entry is C.
    owner : numpy.ndarray, shape (T,), int64
        The text that each token belongs to.
    start, end : numpy.ndarray, shape (T,), int64
        First character of each token and the one after its last.
    hashes : numpy.ndarray, shape (T,), uint64
        Hash of each token; the case of letters is ignored.
    upper_case : numpy.ndarray, shape (P,), int64
        Number of ASCII capitals in each text.

    Examples
    --------
    >>> tokens = tokenize(["Add 12 + 12"])
    >>> tokens.start.tolist(), int(tokens.hashes[1] == tokens.hashes[3])
    ([0, 4, 7, 9], 1)
    """

    codes: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    owner: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    upper_case: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.upper_case)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Characters of each text, with the newline that follows it, (P,)."""
        return self.offsets[1:] - self.offsets[:-1]

    def part(self, first: int, last: int) -> TextTokens:
        """Return the texts from `first` up to `last`, as if they had been cut alone.

        Examples
        --------
        >>> tokenize(["a b", "c", "d e"]).part(1, 3).start.tolist()
        [0, 2, 4]
        """
        if first == 0 and last >= len(self):
            return self
        begin, end = self.offsets[[first, min(last, len(self))]]
        some = slice(*np.searchsorted(self.start, (begin, end)))
        return TextTokens(
            codes=self.codes[begin:end],
            classes=self.classes[begin:end],
            offsets=self.offsets[first : last + 1] - begin,
            owner=self.owner[some] - first,
            start=self.start[some] - begin,
            end=self.end[some] - begin,
            hashes=self.hashes[some],
            upper_case=self.upper_case[first:last],
        )


def chunks(texts: Sequence[str]) -> Iterator[slice]:
    """Yield slices of `texts` of about a quarter of a million characters each, and at least one text."""
    start = size = 0
    for index, text in enumerate(texts):
        if size and size + len(text) > _CHUNK_CHARACTERS:
            yield slice(start, index)
            start, size = index, 0
        size += len(text) + 1
    if start < len(texts):
        yield slice(start, len(texts))


def tokenize(texts: Sequence[str]) -> TextTokens:
    """Cut P >= 1 texts into tokens.

    Parameters
    ----------
    texts : sequence of str
        P texts; they may be empty.

    Returns
    -------
    TextTokens

    Examples
    --------
    >>> [int(n) for n in tokenize(["a b", "", "x_1 = [2]"]).owner]
    [0, 0, 2, 2, 2, 2, 2]
    """
    # Lone surrogates (broken input) pass through as characters like any other.
    buffer = "\n".join([*texts, ""]).encode("utf-32-le", "surrogatepass")
    raw = (np.frombuffer(buffer, dtype="<u4") & 0xFFFF).astype(np.uint16)
    offsets = offsets_of(np.array([len(text) + 1 for text in texts]))
    lower, character_class = _tables()
    codes = lower[raw]
    classes = character_class[raw]
    upper_case = np.add.reduceat(codes != raw, offsets[:-1], dtype=np.int64)

    word = classes >= DIGIT
    begins = classes != SPACE
    # A word character begins a token only when the one before is no word character; a mark always does.
    begins[1:] &= ~(word[1:] & word[:-1])
    start = begins.nonzero()[0]
    owner = np.arange(len(texts)).repeat(np.add.reduceat(begins, offsets[:-1], dtype=np.int64))
    end = start + 1
    if start.size:
        # The end of a word is the first character after it that is no word character; the last newline is a
        # guard.
        end[word[start]] = (word[:-1] & ~word[1:]).nonzero()[0] + 1
        # Characters before the first token belong to none, and count from 0.
        bounds = np.concatenate([[0], start, [codes.size]])
        position = np.arange(codes.size) - bounds[:-1].repeat(bounds[1:] - bounds[:-1])
        hashed = mix(codes) * _weights()[np.minimum(position, _MAX_POSITION)]
        hashed[classes == SPACE] = 0
        hashes = spread(np.add.reduceat(hashed, start))
    else:
        hashes = np.zeros(0, dtype=np.uint64)
    return TextTokens(
        codes=codes,
        classes=classes,
        offsets=offsets,
        owner=owner,
        start=start,
        end=end,
        hashes=hashes,
        upper_case=upper_case,
    )


def hash_words(words: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hashes that `tokenize` gives to single-token words.

    Examples
    --------
    >>> bool((hash_words(["while"]) == tokenize(["While"]).hashes).all())
    True
    """
    return tokenize([" ".join(words)]).hashes


def mix(codes: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Return a random-looking 64-bit number for each character code."""
    return _mixed()[codes]


def histogram(codes: NDArray[np.uint16], owner: NDArray[np.int64], n_texts: int) -> NDArray[np.int64]:
    """Count each ASCII character, and all others together, in each of P = `n_texts` texts; shape (P, 129)."""
    key = owner * N_CODES + np.minimum(codes, N_CODES - 1)
    return np.bincount(key, minlength=n_texts * N_CODES).reshape(n_texts, N_CODES)


def distinct_by_text(hashes: NDArray[np.uint64], owner: NDArray[np.int64], n_texts: int) -> NDArray[np.int64]:
    """Count the different values in each of P = `n_texts` texts; fewer than 2**20 texts at once.

    Examples
    --------
    >>> distinct_by_text(hash_words(["a", "b", "a"]), np.array([0, 0, 0]), 2).tolist()
    [2, 0]
    """
    keys = np.sort((owner.astype(np.uint64) << np.uint64(44)) | (hashes >> np.uint64(20)))
    first = first_of_runs(keys)
    return np.bincount((keys[first] >> np.uint64(44)).astype(np.int64), minlength=n_texts)


def first_of_runs(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return where each run of equal neighbours begins.

    Examples
    --------
    >>> first_of_runs(np.array([3, 3, 5])).tolist()
    [0, 2]
    """
    # Several times faster than numpy.diff with `prepend` on the short arrays of one prompt.
    begins = np.ones(values.size, dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins.nonzero()[0]


def largest_by_text(
    values: NDArray[np.number], owner: NDArray[np.int64], n_texts: int, *, empty: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Return the largest value of each of P = `n_texts` texts, or `empty`; `owner` must ascend.

    Values of shape (..., T) give shape (..., P).

    Examples
    --------
    >>> largest_by_text(np.array([1, 5, 2]), np.array([0, 0, 2]), 3).tolist()
    [5.0, 0.0, 2.0]
    """
    result = np.full((*values.shape[:-1], n_texts), empty, dtype=np.float64)
    if values.size:
        first = first_of_runs(owner)
        result[..., owner[first]] = np.maximum.reduceat(values, first, axis=-1)
    return result


def spread(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit of `values` over all bits: the finaliser of splitmix64 (Steele et al. 2014)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


@cache
def _mixed() -> NDArray[np.uint64]:
    """Tabulate splitmix64 over all 16-bit codes."""
    return spread((np.arange(65536, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


@cache
def _weights() -> NDArray[np.uint64]:
    """Tabulate an odd multiplier for each position in a token, so that order matters."""
    return _mixed()[1000 : 1001 + _MAX_POSITION] | np.uint64(1)


@cache
def _tables() -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Tabulate lower case and class over all 16-bit codes; only ASCII letters change case."""
    lower = np.arange(65536, dtype=np.uint16)
    lower[65:91] += 32
    classes = np.full(65536, LETTER, dtype=np.uint8)
    classes[:128] = MARK
    classes[[*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x2028, 0x2029, 0x3000]] = SPACE
    for first, last, kind in (("0", "9", DIGIT), ("a", "z", LETTER), ("A", "Z", LETTER)):
        classes[ord(first) : ord(last) + 1] = kind
    classes[ord("_")] = LETTER
    # Latin-1 signs, times and divide, general punctuation, arrows and mathematical operators, CJK marks.
    for first_code, last_code in (
        (0xA1, 0xBF),
        (0xD7, 0xD7),
        (0xF7, 0xF7),
        (0x2010, 0x2027),
        (0x2190, 0x22FF),
        (0x3001, 0x303F),
    ):
        classes[first_code : last_code + 1] = MARK
    return lower, classes
