"""Measure the quoted strings in texts: in code, what a program works on; in prose, what somebody said.

A literal is a run between two equal quotation marks on one line; an apostrophe within a word opens none. It
assumes the escapes of Python and C, which most languages share. Everything outside quotation marks is left to
`difficulty.features.text.statistics`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import places
from difficulty.features.text.tokens import LETTER, TextTokens, histogram, largest_by_text

# The look-behind stands after the quotation mark, so that the search may skip to the next mark.
_LITERAL = re.compile(
    r"""'(?<![^\W_]')[^'\\\n]*(?:\\.[^'\\\n]*)*'|"(?<![^\W_]")[^"\\\n]*(?:\\.[^"\\\n]*)*\""""
)

LITERAL_STATISTICS: tuple[str, ...] = (
    "literals",
    "literal_characters",
    "longest_literal",
    "literal_marks",
    "literal_repeats",
)
"""Names of the columns of `literal_statistics`, in order."""


def literal_statistics(texts: Sequence[str], tokens: TextTokens) -> NDArray[np.float64]:
    """Measure the quoted strings in P texts.

    Parameters
    ----------
    texts : sequence of str
        P texts.
    tokens : TextTokens
        The same texts, cut into tokens.

    Returns
    -------
    numpy.ndarray, shape (P, 5)
        One column per name in `LITERAL_STATISTICS`: how many literals, their characters without the quotation
        marks, the longest, their characters that are no letters, and those that repeat an earlier character.

    Examples
    --------
    >>> from difficulty.features.text.tokens import tokenize
    >>> texts = ["print('abca!', \\"it's\\")", "don't say it isn't"]
    >>> literal_statistics(texts, tokenize(texts)).tolist()
    [[2.0, 9.0, 5.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    n_texts = len(texts)
    result = np.zeros((n_texts, len(LITERAL_STATISTICS)))
    spans = [match.span() for match in _LITERAL.finditer("\n".join(texts))]
    if not spans:
        return result
    bounds = np.array(spans)
    start, lengths = bounds[:, 0] + 1, bounds[:, 1] - bounds[:, 0] - 2
    owner = np.searchsorted(tokens.offsets, start, side="right") - 1
    place = places(start, lengths)
    of_character = np.repeat(owner, lengths)
    distinct = np.count_nonzero(histogram(tokens.codes[place], of_character, n_texts), axis=1)
    result[:, 0] = np.bincount(owner, minlength=n_texts)
    result[:, 1] = np.bincount(of_character, minlength=n_texts)
    result[:, 2] = largest_by_text(lengths, owner, n_texts)
    result[:, 3] = np.bincount(of_character[tokens.classes[place] != LETTER], minlength=n_texts)
    result[:, 4] = result[:, 1] - distinct
    return result
