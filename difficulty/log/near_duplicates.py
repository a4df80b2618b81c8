"""Find prompts that are nearly the same question, under whatever ids, and put them into groups.

Two texts are near-duplicates when they are equal but for case, spaces and punctuation, or when they share
most of what is particular to either: runs of three words that few texts of the log have. What many texts
have is a template, which makes no two of them the same question. Prompts without text are grouped by their
recorded group alone; what groups are good for is left to splits and bootstraps, and texts that are not at
hand any more to `difficulty.log.known_texts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.log.shingles import Ragged, Shingles, n_shared, shingles
from difficulty.prompt import Prompt

# Chosen by looking at what they group: 250 questions of BBH's dates (contexts of about seven questions),
# 4,530 of reasoning-gym (about 50 per template), GSM8K, SVAMP and MBPP. Contexts are found; templates only
# where they are the whole text but for a few numbers.
_MOST_TEXTS: Final = 16  # a run of words that more texts have is of a template
_FEWEST_TEXTS: Final = 6
_TEXTS_PER_LOG: Final = 20  # the bound above is the number of texts over this, within the two limits
_SIMILAR: Final = 0.6  # least Jaccard index of what is particular
_LEAST_SHARED: Final = 5
_LEAST_SHARE: Final = 0.2  # of the longer text, where what is shared is short or the numbers differ
_ENOUGH_SHARED: Final = 8
_SAME_NUMBERS: Final = 0.5
_LEAST_NUMBERS: Final = 4  # rows of numbers that make two texts one by themselves: six numbers in order
_SIMILAR_NUMBERS: Final = 0.5  # words before and after the numbers are in two rows of each text
_PAIRS_AT_ONCE: Final = 50_000

Overlap: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""How many values both of N pairs have, and any of the two has; numbers may be estimates. Shape (N,) each."""


class NearDuplicates(NamedTuple):
    """Groups of near-duplicates among P prompts.

    Parameters
    ----------
    groups : tuple of str, length P
        Name of each prompt's group: of the recorded groups of its members, the first by name, so that the
        order of prompts does not matter.
    n_prompts : int
        Prompts that share their group with another one.
    n_groups : int
        Groups of more than one prompt.
    """

    groups: tuple[str, ...]
    n_prompts: int
    n_groups: int


def find_near_duplicates(prompts: Sequence[Prompt]) -> NearDuplicates:
    """Group near-duplicates; recorded groups stay together.

    Examples
    --------
    >>> texts = ["Sam buys 3 pens. How many?", "sam buys 3 pens: how many", "Sam buys 4 pens. How many?"]
    >>> find_near_duplicates([Prompt(id=f"q{i}", text=text) for i, text in enumerate(texts)]).groups
    ('q0', 'q0', 'q2')
    """
    found = groups_of_texts(shingles([prompt.content for prompt in prompts]))
    groups = join_groups([prompt.group for prompt in prompts], found.tolist())
    sizes = Counter(groups).values()
    return NearDuplicates(
        groups=groups,
        n_prompts=sum(size for size in sizes if size > 1),
        n_groups=sum(size > 1 for size in sizes),
    )


def join_groups(groups: Sequence[str], others: Sequence[Hashable]) -> tuple[str, ...]:
    """Join groups of P prompts that another grouping connects; each is named by its first group by name.

    Examples
    --------
    >>> join_groups(["b", "a", "c", "d"], [0, 0, 1, 2])
    ('a', 'a', 'c', 'd')
    """
    label = _components([_links(_numbered(groups)), _links(_numbered(others))], len(groups))
    names: dict[int, str] = {}
    for number, group in zip(label.tolist(), groups, strict=True):
        names[number] = min(names.get(number, group), group)
    return tuple(names[number] for number in label.tolist())


def groups_of_texts(texts: Shingles, *, few: int | None = None) -> NDArray[np.int64]:
    """Number the groups of T texts; one without words is alone. Shape (T,).

    Parameters
    ----------
    texts : Shingles
    few : int, optional
        How many texts may have a run of words that is particular to them; by default `few_texts`.
    """
    alone = texts.content == 0
    content = texts.content.copy()
    content[alone] = np.arange(1, int(alone.sum()) + 1, dtype=np.uint64)
    # In the order of hashes, so that nothing below depends on the order of prompts.
    _, first, same = np.unique(content, return_index=True, return_inverse=True)
    return _components([_similar(texts.take(first), few)], len(first))[same]


def few_texts(n_texts: int) -> int:
    """Return how many of a log's texts may have a run of words that is particular to them."""
    return min(_MOST_TEXTS, max(_FEWEST_TEXTS, n_texts // _TEXTS_PER_LOG))


def is_similar(runs: Overlap, numbers: Overlap, longer: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say of N pairs of texts whether they are near-duplicates; shape (N,).

    Parameters
    ----------
    runs, numbers : Overlap
        Of particular runs of words, and of those that are mostly numbers.
    longer : ndarray of int64, shape (N,)
        All runs of the longer text.
    """
    (shared, either), (shared_numbers, either_numbers) = runs, numbers
    much = shared >= _LEAST_SHARE * longer
    much |= (shared >= _ENOUGH_SHARED) & (shared_numbers >= _SAME_NUMBERS * either_numbers)
    by_words = (shared >= _LEAST_SHARED) & (shared >= _SIMILAR * either) & much
    by_numbers = shared_numbers >= np.maximum(_LEAST_NUMBERS, _SIMILAR_NUMBERS * either_numbers)
    return np.asarray(by_words | by_numbers)


def _similar(texts: Shingles, few: int | None) -> NDArray[np.int64]:
    """Return the pairs of texts that share most of what is particular to either."""
    most = few_texts(len(texts.content)) if few is None else few
    runs, numbers = particular(texts.runs, most), particular(texts.numbers, most)
    by_runs = _sharing(runs, least=_LEAST_SHARED, similar=_SIMILAR)
    by_numbers = _sharing(numbers, least=_LEAST_NUMBERS, similar=_SIMILAR_NUMBERS)
    one, two = np.concatenate([by_runs, by_numbers], axis=1)
    longer = np.maximum(texts.runs.sizes[one], texts.runs.sizes[two])
    similar = is_similar(_overlap(runs, one, two), _overlap(numbers, one, two), longer)
    return np.stack([one[similar], two[similar]])


def particular(rows: Ragged, most: int) -> Ragged:
    """Return rows with only the values that at most so many of them have."""
    _, place, counts = np.unique(rows.values, return_inverse=True, return_counts=True)
    return rows.keep(counts[place] <= most)


def _sharing(rows: Ragged, *, least: int, similar: float) -> NDArray[np.int64]:
    """Return the pairs of rows with at least so many values in common, and of that Jaccard index."""
    from scipy import sparse  # not at module level: heavy

    names, column = np.unique(rows.values, return_inverse=True)
    ones = np.ones(len(column), np.int32)
    table = sparse.csr_array((ones, column, rows.offsets), shape=(len(rows.sizes), len(names)))
    overlap = sparse.triu(table @ table.T, k=1, format="coo")
    one, two, shared = overlap.row.astype(np.int64), overlap.col.astype(np.int64), overlap.data
    either = rows.sizes[one] + rows.sizes[two] - shared
    near = (shared >= least) & (shared >= similar * either)
    return np.stack([one[near], two[near]])


def _overlap(rows: Ragged, one: NDArray[np.int64], two: NDArray[np.int64]) -> Overlap:
    """Count the values that both of a pair of rows have, and that any of the two has."""
    counts = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(one), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        counts.append(n_shared(rows.take(one[part]), rows.take(two[part])))
    shared = np.concatenate(counts)
    return shared, rows.sizes[one] + rows.sizes[two] - shared


def _numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _links(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs that connect what has the same label, shape (2, T)."""
    _, first, same = np.unique(label, return_index=True, return_inverse=True)
    return np.stack([np.arange(len(label)), first[same]])


def _components(pairs: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Number the groups that pairs connect, by first member."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    one, two = np.concatenate(pairs, axis=1)
    graph = sparse.coo_array((np.ones(len(one), np.int8), (one, two)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
