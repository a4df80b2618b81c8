"""Remember texts by a few hashes each, so that near-duplicates of them are found without the texts.

Kept are, of each text, a hash of the whole and sketches of its particular runs of words and numbers: exact
for short texts, an estimate for long ones. Hashes of 32 bits will do, since several must agree before two
texts are taken for one; who knows a text can tell from them that it was among these. What counts as nearly
the same is said in `difficulty.log.near_duplicates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import places
from difficulty.errors import InvalidInputError
from difficulty.log.near_duplicates import few_texts, groups_of_texts, is_similar
from difficulty.log.shingles import Ragged, Shingles, shingles
from difficulty.log.sketches import Sketches

# Hashes per text: a Jaccard index of .75 is then estimated to ± .06.
_SKETCH: Final = 48
# Of all texts together: 16 MB. From 83,000 texts on, each keeps fewer hashes.
_MOST_HASHES: Final = 4_000_000
_FEWEST_HASHES: Final = 8
# Runs of templates, the commonest; more are not remembered.
_MOST_COMMON: Final = 500_000
# Known texts are mostly the train side of a log, where a template stands in fewer texts than in all of it.
_SHARE_OF_LOG: Final = 0.6
# Known texts that one run leads to; copies of a text may be many, and one of them is enough.
_MOST_LED: Final = 64
_QUERIES_AT_ONCE: Final = 2_000
_LEAST_MET: Final = 3
_KINDS: Final = {
    "content": "u8",
    "sizes": "u4",
    "counts": "u1",
    "runs": "u4",
    "numbers": "u4",
    "common": "u4",
}


class Found(NamedTuple):
    """Which known text each of P texts is, as a row; -1 where none.

    Parameters
    ----------
    same : ndarray of int64, shape (P,)
        Equal but for case, spaces and punctuation.
    near : ndarray of int64, shape (P,)
        Nearly the same; the same ones among them.
    """

    same: NDArray[np.int64]
    near: NDArray[np.int64]


class _Read(NamedTuple):
    """T texts: sketches of particular runs of words and of numbers, and how many runs of words there are."""

    runs: Sketches
    numbers: Sketches
    n_runs: NDArray[np.int64]

    @classmethod
    def of(cls, read: Shingles, common: Sequence[NDArray[np.uint64]], most: int) -> _Read:
        runs, numbers = _short(read.runs), _short(read.numbers)
        return cls(
            Sketches.of(_without(runs, common), most),
            Sketches.of(_without(numbers, common), most),
            runs.sizes,
        )

    def take(self, rows: NDArray[np.intp]) -> _Read:
        return _Read(self.runs.take(rows), self.numbers.take(rows), self.n_runs[rows])


@final
class KnownTexts:
    """Sketches of T texts; make one with `of` or `from_arrays`.

    Parameters
    ----------
    content : ndarray of uint64, shape (T,)
        Hash of each whole text; 0 where it has no words.
    read : tuple
        Sketches of particular runs of words and of numbers, and the number of runs.
    common : ndarray of uint64, shape (C,)
        Hashes of the runs that are of templates, ascending.

    Examples
    --------
    >>> known = KnownTexts.of(["Why is the sky blue, and why is the sunset so often red instead?"])
    >>> asked = ["why is the sky blue and why is the sunset so OFTEN red instead", "Who wrote Hamlet?"]
    >>> known.find(asked).same.tolist()
    [0, -1]
    """

    def __init__(self, *, content: NDArray[np.uint64], read: _Read, common: NDArray[np.uint64]) -> None:
        self._content = content
        self._read = read
        self._common = common

    def __len__(self) -> int:
        return len(self._content)

    @classmethod
    def of(cls, contents: Sequence[str | None]) -> KnownTexts:
        """Remember T texts; one that is missing is never found."""
        read = shingles(contents)
        few = max(few_texts(0), int(_SHARE_OF_LOG * few_texts(len(contents))))
        common = np.union1d(
            _in_many(read, read.content.astype(np.int64), most=few),
            _in_many(read, groups_of_texts(read, few=few), most=few // 2),
        )
        most = int(np.clip(_MOST_HASHES // max(len(contents), 1), _FEWEST_HASHES, _SKETCH))
        return cls(content=read.content, read=_Read.of(read, [common], most), common=common)

    def find(self, contents: Sequence[str | None]) -> Found:
        """Return which known text each of P texts is."""
        read = shingles(contents)
        same = np.full(len(contents), -1, dtype=np.int64)
        if not (len(self) and len(contents)):
            return Found(same, same.copy())
        order = np.argsort(self._content, kind="stable")
        place = np.minimum(np.searchsorted(self._content, read.content, sorter=order), len(self) - 1)
        known = (self._content[order[place]] == read.content) & (read.content != 0)
        same[known] = order[place[known]]
        near = same.copy()
        by_runs, by_numbers = _Index.of(self._read.runs.least), _Index.of(self._read.numbers.least)
        # What wraps the texts that are asked for, and no known text has, is a template of theirs.
        own = _in_many(read, read.content.astype(np.int64), most=few_texts(len(contents)))
        wraps = own[~(_among(own, by_runs.values) | _among(own, by_numbers.values))]
        asked = _Read.of(read, [self._common, wraps], _SKETCH)
        left = np.flatnonzero(same < 0)
        for start in range(0, len(left), _QUERIES_AT_ONCE):
            rows = left[start : start + _QUERIES_AT_ONCE]
            part = asked.take(rows)
            pairs = np.union1d(by_runs.meet(part.runs.least), by_numbers.meet(part.numbers.least))
            one, two = np.divmod(pairs, len(self))
            similar = _similar(part.take(one), self._read.take(two))
            query, at = np.unique(one[similar], return_index=True)
            near[rows[query]] = two[similar][at]
        return Found(same, near)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, without pickle."""
        runs, numbers, n_runs = self._read
        return {
            "content": self._content,
            "sizes": np.stack([runs.size, numbers.size, n_runs], axis=1).astype(np.uint32),
            "counts": np.stack([runs.least.sizes, numbers.least.sizes], axis=1).astype(np.uint8),
            "runs": runs.least.values.astype(np.uint32),
            "numbers": numbers.least.values.astype(np.uint32),
            "common": self._common.astype(np.uint32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> KnownTexts:
        """Restore from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When arrays are missing, of another kind or shape, or no sketches.
        """
        if set(arrays) != set(_KINDS):
            raise InvalidInputError(f"sketches of texts need the arrays {', '.join(_KINDS)}")
        n_texts = arrays["content"].size
        shapes = {"content": (n_texts,), "sizes": (n_texts, 3), "counts": (n_texts, 2)}
        for name, kind in _KINDS.items():
            found = arrays[name]
            if found.dtype.str[1:] != kind or found.shape != shapes.get(name, (found.size,)):
                raise InvalidInputError(f"sketches of texts: {name} has another kind or shape than it may")
        sizes, counts = arrays["sizes"], arrays["counts"]
        read = _Read(
            Sketches.restored(counts[:, 0], arrays["runs"], sizes[:, 0]),
            Sketches.restored(counts[:, 1], arrays["numbers"], sizes[:, 1]),
            sizes[:, 2].astype(np.int64),
        )
        common = np.unique(arrays["common"]).astype(np.uint64)
        return cls(content=arrays["content"], read=read, common=common)


class _Index(NamedTuple):
    """Which of T sketches have a hash: hashes, ascending, and the sketch of each."""

    values: NDArray[np.uint64]
    owner: NDArray[np.int64]
    n_known: int

    @classmethod
    def of(cls, known: Ragged) -> _Index:
        order = np.argsort(known.values, kind="stable")
        return cls(known.values[order], known.owner[order], len(known.sizes))

    def meet(self, asked: Ragged) -> NDArray[np.int64]:
        """Return pairs of sketches with a few hashes in common: row asked for × T + known row."""
        first = np.searchsorted(self.values, asked.values)
        n_led = np.minimum(np.searchsorted(self.values, asked.values, side="right") - first, _MOST_LED)
        led = np.repeat(asked.owner, n_led) * self.n_known + self.owner[places(first, n_led)]
        pairs, counts = np.unique(led, return_counts=True)
        return np.asarray(pairs[counts >= _LEAST_MET])


def _similar(one: _Read, two: _Read) -> NDArray[np.bool_]:
    """Say of pairs of texts whether they are near-duplicates."""
    longer = np.maximum(one.n_runs, two.n_runs)
    return is_similar(one.runs.overlap(two.runs), one.numbers.overlap(two.numbers), longer)


def _short(rows: Ragged) -> Ragged:
    """Return the upper halves of hashes, which keep their order."""
    return Ragged(rows.offsets, rows.values >> np.uint64(32))


def _without(rows: Ragged, common: Sequence[NDArray[np.uint64]]) -> Ragged:
    """Return rows without values that are common; each of these arrays ascends."""
    kept = np.ones(len(rows.values), dtype=bool)
    for values in common:
        kept &= ~_among(rows.values, values)
    return rows.keep(kept)


def _among(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say of values whether they are among known ones, which ascend."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[place] == values)


def _in_many(read: Shingles, group: NDArray[np.int64], *, most: int) -> NDArray[np.uint64]:
    """Return runs that more than `most` groups have, ascending; the commonest where they are many."""
    both = (_short(read.runs), _short(read.numbers))
    values = np.concatenate([rows.values for rows in both])
    groups = np.concatenate([group[rows.owner] for rows in both])
    order = np.lexsort((groups, values))
    values, groups = values[order], groups[order]
    new = np.ones(len(values), dtype=bool)
    new[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
    found, counts = np.unique(values[new], return_counts=True)
    found, counts = found[counts > most], counts[counts > most]
    if len(found) > _MOST_COMMON:
        found = np.sort(found[np.argsort(-counts, kind="stable")[:_MOST_COMMON]])
    return found
