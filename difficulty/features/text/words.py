"""Count words that tell the kind of work: questions, operations in words, code keywords and methods.

Words are looked up by their hash, so that the count of a whole batch is one sorted search. It assumes
English, and Python for the code groups; other languages are left to `difficulty.features.text.embedding`,
which needs no list of words.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from difficulty.features.text.tokens import LETTER, TextTokens, hash_words

# Words whose presence tells the kind or the length of the work. The groups were checked on logs of word
# problems, arithmetic and code; a word is in one group only.
_WORDS: dict[str, str] = {
    "question": "what who when where why how which whose whom",
    "adding": (
        "more plus sum total add adds added gets gains finds buys altogether together both another also"
    ),
    "subtracting": (
        "minus less fewer loses lost gives gave spends spent eats remain remains remaining left subtract "
        "difference away than"
    ),
    "multiplying": "times each every twice double doubled triple product multiply multiplied per",
    "dividing": (
        "half third quarter divided divide shares share split equally average mean ratio rate percent "
        "fraction"
    ),
    "number_word": (
        "one two three four five six seven eight nine ten eleven twelve dozen hundred thousand million"
    ),
    "time": (
        "second seconds minute minutes hour hours day days week weeks month months year years today "
        "yesterday tomorrow monday tuesday wednesday thursday friday saturday sunday date"
    ),
    "logic": "and or not if then all some none any no only",
    "proof": "prove show let suppose such that exists integer integers prime real function polynomial",
    "loop": "for while range enumerate zip map filter",
    "branch": "elif else try except break continue assert raise match case",
    "definition": "def return lambda class import from yield global",
    "string_method": (
        "join replace strip lstrip rstrip upper lower swapcase title capitalize isalpha isdigit isalnum "
        "isupper islower startswith endswith find rfind index rindex partition rpartition encode decode "
        "center ljust rjust zfill format translate maketrans splitlines casefold removeprefix "
        "removesuffix expandtabs count"
    ),
    "list_method": "append extend insert pop remove sort sorted reverse reversed copy clear",
    "dict_method": "keys values items get update setdefault popitem fromkeys dict set",
}
WORD_STATISTICS: tuple[str, ...] = tuple(f"{name}_words" for name in _WORDS)
"""Names of the columns of `word_statistics`, in order."""


def word_statistics(tokens: TextTokens) -> NDArray[np.float64]:
    """Count the words of each group in P texts.

    Parameters
    ----------
    tokens : TextTokens
        P texts, cut into tokens.

    Returns
    -------
    numpy.ndarray, shape (P, G)
        One column per name in `WORD_STATISTICS`.

    Examples
    --------
    >>> from difficulty.features.text.tokens import tokenize
    >>> counts = word_statistics(tokenize(["How many more? Twice as many."]))[0]
    >>> {name: int(count) for name, count in zip(WORD_STATISTICS, counts) if count}
    {'question_words': 1, 'adding_words': 1, 'multiplying_words': 1}
    """
    hashes, groups = _vocabulary()
    n_texts = len(tokens)
    word = (tokens.classes[tokens.start] == LETTER).nonzero()[0]
    found = np.minimum(hashes.searchsorted(tokens.hashes[word]), hashes.size - 1)
    known = hashes[found] == tokens.hashes[word]
    key = tokens.owner[word[known]] * len(_WORDS) + groups[found[known]]
    return np.bincount(key, minlength=n_texts * len(_WORDS)).reshape(n_texts, len(_WORDS)).astype(np.float64)


@cache
def _vocabulary() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Tabulate the hashes of all known words, ascending, and the group of each."""
    hashes = [hash_words(words.split()) for words in _WORDS.values()]
    groups = np.repeat(np.arange(len(hashes)), [part.size for part in hashes])
    order = np.argsort(np.concatenate(hashes))
    return np.concatenate(hashes)[order], groups[order]
