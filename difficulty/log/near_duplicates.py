"""Find prompts that are nearly the same question, under whatever ids, and put them into groups.

Two texts are near-duplicates when they are equal but for case, spaces and punctuation, or when they share
most of what is particular to either: runs of three words that few texts of the log have. What many texts
have is a template, which makes no two of them the same question. Prompts without text are grouped by their
recorded group alone; what groups are good for is left to splits and bootstraps.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.prompt import Prompt

__all__ = ["NearDuplicates", "content_hash", "find_near_duplicates", "renamed_prompts"]

# Chosen by looking at what they group: 250 questions of BBH's dates (contexts of about seven questions),
# 4,530 of reasoning-gym (about 50 per template), GSM8K, SVAMP and MBPP. Contexts are found; templates only
# where they are the whole text but for a few numbers.
_RUN: Final = 3
_MOST_TEXTS: Final = 16  # a run of words that more texts have is of a template
_FEWEST_TEXTS: Final = 6
_TEXTS_PER_LOG: Final = 20  # the bound above is the number of texts over this, within the two limits
_SIMILAR: Final = 0.6  # least Jaccard index of what is particular
_LEAST_SHARED: Final = 5
_LEAST_SHARE: Final = 0.2  # of the longer text, where what is shared is short or the numbers differ
_ENOUGH_SHARED: Final = 8
_SAME_NUMBERS: Final = 0.5
_MOST_WORDS: Final = 20_000

# Languages without spaces are cut into characters.
_TOKEN: Final = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\w\s]|_"
)
_SILENT: Final = frozenset('.,;:?"`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}')


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
    n_found : int
        Prompts that were joined to a group beyond what was recorded.
    """

    groups: tuple[str, ...]
    n_prompts: int
    n_groups: int
    n_found: int


def find_near_duplicates(prompts: Sequence[Prompt]) -> NearDuplicates:
    """Group near-duplicates; recorded groups stay together.

    Examples
    --------
    >>> texts = ["Sam buys 3 pens. How many?", "sam buys 3 pens: how many", "Sam buys 4 pens. How many?"]
    >>> find_near_duplicates([Prompt(id=f"q{i}", text=text) for i, text in enumerate(texts)]).groups
    ('q0', 'q0', 'q2')
    """
    numbers: dict[str, int] = {}
    recorded = np.array(
        [numbers.setdefault(prompt.group, len(numbers)) for prompt in prompts], dtype=np.int64
    )
    label = _components(len(prompts), _near_pairs([prompt.content for prompt in prompts]), recorded)
    names: dict[int, str] = {}
    for number, prompt in zip(label.tolist(), prompts, strict=True):
        names[number] = min(names.get(number, prompt.group), prompt.group)
    groups = tuple(names[number] for number in label.tolist())
    sizes = np.bincount(label)
    return NearDuplicates(
        groups=groups,
        n_prompts=int(sizes[sizes > 1].sum()),
        n_groups=int((sizes > 1).sum()),
        n_found=sum(group != prompt.group for group, prompt in zip(groups, prompts, strict=True)),
    )


def renamed_prompts(prompts: Sequence[Prompt], known: Sequence[Prompt]) -> dict[str, str]:
    """Return which prompts are near-duplicates of known ones: id to the id of the first such known prompt.

    Parameters
    ----------
    prompts : sequence of Prompt
        E.g. those of a test log.
    known : sequence of Prompt
        E.g. those of the training log.

    Examples
    --------
    >>> train = [Prompt(id="a", text="Why is the sky blue?")]
    >>> renamed_prompts([Prompt(id="b", text="why is the sky blue"), Prompt(id="c", text="Who?")], train)
    {'b': 'a'}
    """
    both = [*known, *prompts]
    groups = find_near_duplicates(both).groups
    first: dict[str, str] = {}
    for prompt, group in zip(known, groups, strict=False):
        first.setdefault(group, prompt.id)
    return {
        prompt.id: first[group]
        for prompt, group in zip(prompts, groups[len(known) :], strict=True)
        if group in first
    }


def content_hash(prompt: Prompt) -> int | None:
    """Return 64 bits that tell a text, but for case, spaces and punctuation; None without a text."""
    words = _words(prompt.content or "")
    if not words:
        return None
    return int.from_bytes(blake2b("\0".join(words).encode(), digest_size=8).digest(), "little")


class _Text(NamedTuple):
    """Runs of words of one text: those with at most one number, and those that are mostly numbers."""

    words: tuple[str, ...]
    runs: frozenset[tuple[str, ...]]
    numbers: frozenset[tuple[str, ...]]


def _words(text: str) -> tuple[str, ...]:
    """Return words, numbers and the signs that mean something, in one spelling."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return tuple(token for token in _TOKEN.findall(folded) if token not in _SILENT)


def _text_of(words: tuple[str, ...]) -> _Text:
    plain = [word for word in words[:_MOST_WORDS] if word[0].isalnum()]
    runs = {tuple(plain[start : start + _RUN]) for start in range(len(plain) - _RUN + 1)}
    numbers = {run for run in runs if sum(word[0].isdigit() for word in run) > 1}
    return _Text(words, frozenset(runs - numbers), frozenset(numbers))


def _near_pairs(contents: Sequence[str | None]) -> NDArray[np.int64]:
    """Return pairs of near-duplicates, shape (2, pairs), enough of them to connect each group."""
    first: dict[tuple[str, ...], int] = {}
    pairs: list[tuple[int, int]] = []
    places, texts = [], []
    for place, content in enumerate(contents):
        words = _words(content or "")
        if not words:
            continue
        same = first.setdefault(words, place)
        if same != place:
            pairs.append((same, place))
            continue
        places.append(place)
        texts.append(_text_of(words))
    exact = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return np.concatenate([exact, np.array(places, dtype=np.int64)[_similar_pairs(texts)]], axis=1)


def _similar_pairs(texts: Sequence[_Text]) -> NDArray[np.int64]:
    """Return the pairs of distinct texts that share most of what is particular to either."""
    from scipy import sparse  # not at module level: heavy

    index: dict[tuple[str, ...], int] = {}
    columns = [index.setdefault(run, len(index)) for text in texts for run in text.runs]
    if not columns:
        return np.zeros((2, 0), dtype=np.int64)
    total = np.array([len(text.runs) for text in texts])
    rows = np.repeat(np.arange(len(texts)), total)
    most = min(_MOST_TEXTS, max(_FEWEST_TEXTS, len(texts) // _TEXTS_PER_LOG))
    particular = np.bincount(columns, minlength=len(index))[columns] <= most
    table = sparse.csr_array(
        (np.ones(int(particular.sum()), np.int32), (rows[particular], np.array(columns)[particular])),
        shape=(len(texts), len(index)),
    )
    size: NDArray[np.int64] = np.asarray(table.sum(axis=1)).ravel()
    overlap = sparse.triu(table @ table.T, k=1, format="coo")
    one, two, shared = overlap.row, overlap.col, overlap.data
    similar = (shared >= _LEAST_SHARED) & (shared >= _SIMILAR * (size[one] + size[two] - shared))
    one, two, shared = one[similar], two[similar], shared[similar]
    much = shared >= _LEAST_SHARE * np.maximum(total[one], total[two])
    for place in np.flatnonzero(~much & (shared >= _ENOUGH_SHARED)).tolist():
        much[place] = _same_numbers(texts[one[place]], texts[two[place]])
    return np.stack([one[much], two[much]]).astype(np.int64)


def _same_numbers(one: _Text, two: _Text) -> bool:
    """Whether rows of numbers, where there are any, are mostly the same."""
    return len(one.numbers & two.numbers) >= _SAME_NUMBERS * len(one.numbers | two.numbers)


def _components(n: int, pairs: NDArray[np.int64], recorded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups that pairs and recorded groups connect, by first member."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    _, first = np.unique(recorded, return_index=True)
    links = np.concatenate([pairs, np.stack([np.arange(n), first[recorded]])], axis=1)
    graph = sparse.coo_array((np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
